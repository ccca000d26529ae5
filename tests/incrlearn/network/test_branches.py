"""Extractors side by side: the old ones stand still."""

import pytest
import torch
from torch import nn

from incrlearn.errors import OutputError
from incrlearn.network import BranchedNetwork, LinearHead
from incrlearn.types import Backbone


def small_backbone(width: int = 3) -> Backbone:
    layers = [nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return Backbone(nn.Sequential(*layers), width)


def two_branches() -> BranchedNetwork:
    network = BranchedNetwork([small_backbone(3), small_backbone(2)], frozen=1)
    network.head = LinearHead(5, 4, bias=False, generator=torch.Generator().manual_seed(0))
    return network


def test_features_are_the_parts_side_by_side_oldest_first() -> None:
    network = two_branches().eval()
    images = torch.randn(2, 1, 6, 6)
    out = network(images)
    expected = [backbone(images) for backbone in network.backbones]
    assert [part.shape for part in out.parts] == [(2, 3), (2, 2)]
    torch.testing.assert_close(out.features, torch.cat(expected, dim=1))
    torch.testing.assert_close(out.logits, out.features @ network.head.weight.T)


def test_temperature_divides_the_logits() -> None:
    network = two_branches().eval()
    parts = network.extract(torch.randn(2, 1, 6, 6))
    torch.testing.assert_close(network.classify(parts, 5.0).logits * 5, network.classify(parts).logits)


def test_frozen_extractor_has_no_gradient_and_stays_in_eval_mode() -> None:
    network = two_branches().train()
    old, new = network.backbones
    assert not old.training
    assert new.training
    statistics = old.model[1].running_mean.clone()
    network(torch.randn(4, 1, 6, 6)).logits.sum().backward()
    assert all(p.grad is None and not p.requires_grad for p in old.parameters())
    assert all(p.grad is not None for p in new.parameters())
    assert torch.equal(old.model[1].running_mean, statistics)
    assert not torch.equal(new.model[1].running_mean, torch.zeros(2))


def test_layout_gives_the_same_shapes_again() -> None:
    network = BranchedNetwork([small_backbone(), small_backbone(), small_backbone()], frozen=2)
    again = BranchedNetwork.from_layout(network.layout(), lambda purpose: small_backbone())
    again.load_state_dict(network.state_dict())
    assert again.frozen == 2
    assert again.widths == network.widths


def test_broken_layout_is_a_clear_error() -> None:
    with pytest.raises(OutputError, match="not the layout"):
        BranchedNetwork.from_layout({"network": "branched"}, lambda purpose: small_backbone())
