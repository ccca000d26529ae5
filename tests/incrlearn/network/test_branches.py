"""Extractors side by side: the old ones stand still."""

import copy
import io
import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from incrlearn.errors import OutputError, PluginError
from incrlearn.network import AppliedMask, BranchedNetwork, LinearHead, kept_features, map_channels, remove_channels
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


IMAGES = (1, 6, 6)


def prune_newest(network: BranchedNetwork, closed: list[int]) -> Tensor:
    """Remove channels from the newest extractor; gives the features that are kept."""
    newest = network.backbones[-1]
    channels = map_channels(newest, IMAGES)
    open_gates = torch.ones(channels.gates, dtype=torch.bool)
    open_gates[closed] = False
    kept = kept_features(channels, open_gates)
    network.narrow_newest(kept)
    remove_channels(newest, channels, open_gates)
    return kept


class NarrowStack(nn.Module):
    """Reads features through more than a layer, and takes note of what it is left of them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.in_features = width
        self.layers = nn.Sequential(nn.Linear(width, 2), nn.Linear(2, 3))
        self.kept: list[int] | None = None

    def narrow(self, kept: Tensor) -> None:
        self.kept = kept.tolist()


def three_branches() -> BranchedNetwork:
    network = BranchedNetwork([small_backbone(3), small_backbone(2), small_backbone(4)], frozen=2)
    network.head = LinearHead(9, 4, bias=True, generator=torch.Generator().manual_seed(0))
    return network.eval()


def test_pruned_branch_and_narrowed_head_give_the_logits_of_the_masked_ones() -> None:
    network = three_branches()
    masked = copy.deepcopy(network)
    newest = masked.backbones[-1]
    mask = torch.tensor([1.0, 0.0, 1.0, 0.0])
    AppliedMask(newest, map_channels(newest, IMAGES), lambda: mask)
    kept = prune_newest(network, [1, 3])
    assert kept.tolist() == [0, 2]
    assert network.widths == (3, 2, 2)
    images = torch.randn(5, *IMAGES)
    got, wanted = network(images), masked(images)
    torch.testing.assert_close(got.logits, wanted.logits)
    torch.testing.assert_close(got.features, wanted.features[:, [0, 1, 2, 3, 4, 5, 7]])


def test_head_and_attached_layers_read_the_kept_features_only() -> None:
    network = three_branches()
    network.attach("newest", nn.Linear(4, 3))
    network.attach("all", nn.Linear(9, 3))
    network.attach("other", nn.Linear(6, 3))
    network.attach("stack of newest", NarrowStack(4))
    network.attach("stack of all", NarrowStack(9))
    network.attach("stack of other", NarrowStack(5))
    before = copy.deepcopy(network)
    network.narrow_newest(torch.tensor([1, 2, 3]))
    assert torch.equal(network.head.weight, before.head.weight[:, [0, 1, 2, 3, 4, 6, 7, 8]])
    assert torch.equal(network.attached("newest").weight, before.attached("newest").weight[:, 1:])
    assert torch.equal(network.attached("all").weight, before.attached("all").weight[:, [0, 1, 2, 3, 4, 6, 7, 8]])
    assert network.attached("other").weight.shape == (3, 6)
    kept = {key: network.attached(f"stack of {key}").kept for key in ("newest", "all", "other")}
    assert kept == {"newest": [1, 2, 3], "all": [0, 1, 2, 3, 4, 6, 7, 8], "other": None}


def test_attachments_that_cannot_follow_are_named_and_nothing_is_narrowed() -> None:
    network = three_branches()
    network.attach("first", nn.Linear(4, 3))
    network.attach("stack", nn.Sequential(nn.Linear(4, 3)))
    network.attach("norm", nn.BatchNorm1d(9))
    before = copy.deepcopy(network)
    with pytest.raises(PluginError) as caught:
        network.narrow_newest(torch.tensor([1, 2, 3]))
    first, second = str(caught.value).split("; ")
    assert first.startswith("what is attached for stack (Sequential) reads features: it cannot follow: give it in_fea")
    assert second.startswith("what is attached for norm (BatchNorm1d) reads features: it cannot follow")
    assert [module.weight.shape for module in (network.head, network.attached("first"))] == [(4, 9), (3, 4)]
    assert all(torch.equal(value, before.state_dict()[name]) for name, value in network.state_dict().items())


def test_head_that_cannot_follow_is_named() -> None:
    network = three_branches()
    network.head = nn.Linear(9, 4)
    with pytest.raises(PluginError, match="the head Linear cannot follow"):
        network.narrow_newest(torch.tensor([0]))


def test_head_need_not_follow_when_all_features_are_kept() -> None:
    network = three_branches()
    network.head = nn.Linear(9, 4)
    weight = network.head.weight
    network.narrow_newest(torch.arange(4))
    assert network.head.weight is weight


def store(values: Any) -> Any:
    buffer = io.BytesIO()
    torch.save(values, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


@pytest.mark.parametrize("through", [store, lambda layout: json.loads(json.dumps(layout))])
def test_layout_tells_what_was_removed_from_each_extractor(through: Any) -> None:
    first = BranchedNetwork([small_backbone(6)])
    first.head = LinearHead(6, 2, bias=False, generator=torch.Generator())
    # Twice from the same extractor, once from the next, never from the last.
    prune_newest(first, [0, 2])
    prune_newest(first, [3])
    second = BranchedNetwork([*first.backbones, small_backbone(6)], frozen=1)
    second.head = LinearHead(9, 2, bias=False, generator=torch.Generator())
    prune_newest(second, [5])
    network = BranchedNetwork([*second.backbones, small_backbone(6)], frozen=2).eval()
    assert [len(steps) for steps in network.layout()["removed"]] == [2, 1, 0]

    made = []

    def make_backbone(purpose: str) -> Backbone:
        made.append(purpose)
        return small_backbone(6)

    again = BranchedNetwork.from_layout(through(network.layout()), make_backbone).eval()
    again.load_state_dict(store(network.state_dict()))
    assert again.widths == network.widths == (3, 5, 6)
    assert again.frozen == 2
    assert len(set(made)) == 3
    images = torch.randn(2, *IMAGES)
    for got, wanted in zip(again.extract(images), network.extract(images), strict=True):
        assert torch.equal(got, wanted)
    assert through(again.layout()) == through(network.layout())


def pruned_layout() -> dict[str, Any]:
    network = BranchedNetwork([small_backbone(6)])
    network.head = LinearHead(6, 2, bias=False, generator=torch.Generator())
    prune_newest(network, [0, 2])
    return network.layout()


@pytest.mark.parametrize(
    "wrong",
    [
        {"removed": []},
        {"removed": None},
        {"removed": [[{"channels": {}, "width": 3, "parameters": 9}]]},
        {"removed": [[{"images": [1, 6, 6], "channels": {}, "width": 3, "parameters": 9, "more": 1}]]},
        {"extractors": "many"},
    ],
)
def test_layout_whose_removals_cannot_be_read_is_a_clear_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(OutputError, match="not the layout of a branched network"):
        BranchedNetwork.from_layout(pruned_layout() | wrong, lambda purpose: small_backbone(6))


def test_layout_of_another_backbone_is_a_clear_error() -> None:
    other = Backbone(nn.Sequential(nn.Flatten(), nn.Linear(36, 6)), 6)
    with pytest.raises(OutputError, match="this backbone has not"):
        BranchedNetwork.from_layout(pruned_layout(), lambda purpose: other)
