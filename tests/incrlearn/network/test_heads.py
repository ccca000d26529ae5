"""Heads are drawn as the authors draw them, each from its own generator."""

import math

import pytest
import torch
from torch import nn

from incrlearn.errors import PluginError
from incrlearn.network import BranchedNetwork, LinearHead, Narrowable, redraw_heads
from incrlearn.network.heads import narrow_linear
from incrlearn.types import Backbone, RunState, Task


def head(width: int, classes: int, seed: int = 0, bias: bool = True) -> LinearHead:
    return LinearHead(width, classes, bias, torch.Generator().manual_seed(seed))


def test_weights_are_kaiming_normal_with_gain_one() -> None:
    weights = head(400, 500).weight.detach().double()
    # 200,000 draws: the standard error of the standard deviation is 1/sqrt(2n) = 0.16 % of it.
    assert weights.std().item() == pytest.approx(1 / math.sqrt(400), rel=0.01)
    assert weights.mean().item() == pytest.approx(0.0, abs=5e-4)


def test_same_generator_same_weights_and_global_generator_untouched() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    assert torch.equal(head(4, 3, seed=1).weight, head(4, 3, seed=1).weight)
    assert torch.equal(torch.rand(2), expected)


def test_inherit_keeps_old_rows_and_columns_only() -> None:
    old, new = head(2, 3, seed=1), head(4, 5, seed=2)
    drawn = new.weight.detach().clone()
    new.inherit(old)
    assert torch.equal(new.weight[:3, :2], old.weight)
    assert torch.equal(new.weight[3:], drawn[3:])
    assert torch.equal(new.weight[:3, 2:], drawn[:3, 2:])


@pytest.mark.parametrize("bias", [True, False])
def test_narrowed_head_says_what_it_said_without_the_other_features(bias: bool) -> None:
    wide = head(5, 3, bias=bias)
    narrow = head(5, 3, bias=bias)
    kept = torch.tensor([0, 3, 4])
    narrow.narrow(kept)
    features = torch.randn(4, 5, generator=torch.Generator().manual_seed(1))
    masked = features.clone()
    masked[:, [1, 2]] = 0
    torch.testing.assert_close(narrow(features[:, kept]), wide(masked))
    assert torch.equal(narrow.weight, wide.weight[:, kept])
    assert narrow.in_features == 3
    assert narrow.weight.requires_grad


def test_narrowed_head_can_be_drawn_and_inherited_from() -> None:
    narrow = head(5, 3, seed=1)
    narrow.narrow(torch.tensor([1, 4]))
    larger = head(4, 5, seed=2)
    larger.inherit(narrow)
    assert torch.equal(larger.weight[:3, :2], head(5, 3, seed=1).weight[:, [1, 4]])
    narrow.draw(torch.Generator().manual_seed(3))
    assert torch.equal(narrow.weight, head(2, 3, seed=3).weight)


def test_narrowing_keeps_a_frozen_layer_frozen() -> None:
    layer = nn.Linear(4, 2).requires_grad_(False)
    narrow_linear(layer, torch.tensor([3, 0]))
    assert isinstance(layer.weight, nn.Parameter)
    assert not layer.weight.requires_grad
    assert layer(torch.ones(1, 2)).shape == (1, 2)


def test_head_that_can_be_narrowed_is_known_by_its_method() -> None:
    assert isinstance(head(2, 2), Narrowable)
    assert not isinstance(nn.Linear(2, 2), Narrowable)


def state_with(network: BranchedNetwork) -> RunState:
    return RunState(1, torch.device("cpu"), Task(2, 2, 2, 4), (3, 32, 32), current=network)


def test_redraw_changes_head_and_attached_heads_differently() -> None:
    network = BranchedNetwork([Backbone(nn.Identity(), 4)])
    network.head = head(4, 3)
    network.attach("auxiliary", head(4, 3))
    redraw_heads(state_with(network), "train/after warm-up")
    main, attached = network.head.weight, network.attached("auxiliary").weight
    assert not torch.equal(main, head(4, 3).weight)
    assert not torch.equal(main, attached)


def test_redraw_keeps_the_parameters_the_optimizer_holds() -> None:
    network = BranchedNetwork([Backbone(nn.Identity(), 4)])
    network.head = head(4, 3)
    parameter = network.head.weight
    redraw_heads(state_with(network), "x")
    assert network.head.weight is parameter


def test_head_that_cannot_be_drawn_is_named() -> None:
    network = BranchedNetwork([Backbone(nn.Identity(), 4)])
    network.head = nn.Bilinear(2, 2, 2)
    with pytest.raises(PluginError, match="Bilinear"):
        redraw_heads(state_with(network), "x")
