"""Heads are drawn as the authors draw them, each from its own generator."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from incrlearn.errors import PluginError
from incrlearn.network import BranchedNetwork, LinearHead, Narrowable, redraw_heads
from incrlearn.network.heads import narrow_linear, obstacle_to_narrowing
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


class Cosine(nn.Module):
    """A cosine head, which knows nothing of narrowing."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3, width))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return nn.functional.normalize(features) @ nn.functional.normalize(self.weight).T


class NarrowCosine(Cosine):
    """One that can be narrowed, but does not tell what it reads."""

    def narrow(self, kept: torch.Tensor) -> None:
        self.weight = nn.Parameter(self.weight[:, kept])


class Pairs(nn.Module):
    """Reads features beside something else."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self.layer(features)[labels]


class State(nn.Module):
    """No more than a place for a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = nn.Parameter(torch.zeros(4))


@pytest.mark.parametrize("width", [4, 9])
@pytest.mark.parametrize("make", [lambda d: nn.Sequential(nn.Linear(d, 2), nn.ReLU()), Cosine, nn.BatchNorm1d])
def test_attached_module_that_takes_features_of_one_width_alone_reads_them(width: int, make: Any) -> None:
    assert "give it in_features and narrow(kept)" in (obstacle_to_narrowing(make(width), (4, 9)) or "")


def test_module_that_can_be_narrowed_must_tell_what_it_reads() -> None:
    assert "does not tell which features it reads" in (obstacle_to_narrowing(NarrowCosine(4), (4, 9)) or "")


@pytest.mark.parametrize(
    "module",
    [
        head(4, 2),
        head(9, 2),
        nn.Linear(9, 2),
        nn.Linear(6, 2),
        Cosine(5),
        State(),
        Pairs(),
        nn.ReLU(),
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()),
        nn.Embedding(4, 9),
    ],
    ids=lambda module: type(module).__name__,
)
def test_module_that_follows_or_reads_something_else_or_does_not_tell_is_no_obstacle(module: nn.Module) -> None:
    assert obstacle_to_narrowing(module, (4, 9)) is None


def test_trying_a_module_leaves_it_and_the_global_generator_as_they_were() -> None:
    module = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 2)).train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    torch.manual_seed(4)
    expected = torch.get_rng_state()
    assert obstacle_to_narrowing(module, (4, 9)) is not None
    assert torch.equal(torch.get_rng_state(), expected)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(part.training for part in module.modules())


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
