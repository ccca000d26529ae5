"""Removal is exact: the pruned network gives what the masked one gives."""

import copy
import dataclasses
import io
import json
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from incrlearn.network import (
    OPEN,
    AppliedMask,
    BranchedNetwork,
    ChannelMap,
    build_backbone,
    kept_features,
    map_channels,
)
from incrlearn.network.channels import map_groups
from incrlearn.network.pruning import grow_back, remove_channels, replay
from incrlearn.recipe import BackboneOptions
from incrlearn.types import Backbone

IMAGES = (3, 32, 32)
SMALL = BackboneOptions(name="resnet18", stem="cifar", options={"layers": [1, 2, 1, 1], "channels": [4, 6, 8, 10]})
VIT = {"img_size": 32, "patch_size": 4, "depth": 3}
BACKBONES = {
    "resnet18": BackboneOptions(name="resnet18", stem="cifar"),
    "resnet50": BackboneOptions(name="resnet50"),
    "preactivation": BackboneOptions(name="resnetv2_18"),
    "regnet": BackboneOptions(name="regnety_002"),
    "mobilenetv3": BackboneOptions(name="mobilenetv3_small_100"),
    "efficientnet": BackboneOptions(name="efficientnet_b0"),
    "convnext": BackboneOptions(name="convnext_atto"),
    "vit": BackboneOptions(name="vit_tiny_patch16_224", options=VIT),
}


FEW = pytest.mark.parametrize("case", ["preactivation", "mobilenetv3", "vit"], indirect=True)
"""One of each kind, where all would take long."""


@dataclasses.dataclass
class Case:
    options: BackboneOptions
    backbone: Backbone
    channels: ChannelMap


def shake(backbone: Backbone, seed: int = 0) -> Backbone:
    """Weights and statistics that hide nothing: fresh norms are 0 or 1, layer scales all but 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in backbone.state_dict().items():
            noise = torch.rand(value.shape, generator=generator)
            if value.dim() == 1:
                value.copy_(0.5 * noise + 0.5 if name.endswith(("weight", "var", "gamma")) else 1.5 * noise)
            elif not value.any():
                value.copy_(0.2 * noise - 0.1)
    return backbone


def make_case(options: BackboneOptions) -> Case:
    backbone = build_backbone(options, 3, seed=1)
    return Case(options, shake(backbone).eval(), map_channels(backbone, IMAGES))


@pytest.fixture(scope="module", params=BACKBONES)
def case(request: pytest.FixtureRequest) -> Case:
    return make_case(BACKBONES[request.param])


@pytest.fixture(scope="module")
def small() -> Case:
    return make_case(SMALL)


def images(count: int = 8) -> Tensor:
    """Noise on patches of colour, which tell the images apart far down in a network."""
    generator = torch.Generator().manual_seed(7)
    patches = torch.randn(count, 3, 4, 4, generator=generator)
    noise = torch.randn(count, *IMAGES, generator=generator)
    return 0.3 * noise + patches.repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)


def random_gates(channels: ChannelMap, share: float, seed: int = 0) -> Tensor:
    """About a share of the gates of each group open, at least one."""
    generator = torch.Generator().manual_seed(seed)
    gates = torch.zeros(channels.gates, dtype=torch.bool)
    for group, place in channels.slices():
        order = place.start + torch.randperm(group.gates, generator=generator)
        gates[order[: max(1, round(share * group.gates))]] = True
    return gates


def inner_places(channels: ChannelMap) -> list[slice]:
    """The gates of each group that is not over the features."""
    return [place for _, place in channels.slices() if place.start not in channels.features]


def one_gate_in_each_inner_group(channels: ChannelMap) -> Tensor:
    gates = random_gates(channels, 0.0, seed=2)
    gates[channels.features[channels.features != OPEN]] = True
    return gates


def one_gate_in_one_inner_group(channels: ChannelMap) -> Tensor:
    gates = torch.ones(channels.gates, dtype=torch.bool)
    largest = max(inner_places(channels), key=lambda place: place.stop - place.start)
    gates[largest] = False
    gates[largest.start + 1] = True
    return gates


MASKS: dict[str, Callable[[ChannelMap], Tensor]] = {
    "half": lambda channels: random_gates(channels, 0.5),
    "a tenth": lambda channels: random_gates(channels, 0.1, seed=1),
    "one gate in each inner group": one_gate_in_each_inner_group,
    "one gate in one inner group": one_gate_in_one_inner_group,
}


@torch.no_grad()
def settled(backbone: Backbone, channels: ChannelMap, open_gates: Tensor) -> Backbone:
    """A copy whose batch norms know what they get under a mask: no signal dies on the way to the features."""
    backbone = copy.deepcopy(backbone)
    mask = AppliedMask(backbone, channels, lambda: open_gates.to(next(backbone.parameters())))
    norms = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    backbone.train()(images(32).to(next(backbone.parameters())))
    for norm in norms:
        norm.momentum = 0.1
    mask.remove()
    return backbone.eval()


def pruned_copy(backbone: Backbone, channels: ChannelMap, open_gates: Tensor) -> Backbone:
    pruned = copy.deepcopy(backbone)
    remove_channels(pruned, channels, open_gates)
    return pruned


@torch.no_grad()
def masked_output(backbone: Backbone, channels: ChannelMap, open_gates: Tensor, batch: Tensor) -> Tensor:
    masked = copy.deepcopy(backbone)
    AppliedMask(masked, channels, lambda: open_gates.to(batch))
    features: Tensor = masked(batch)
    return features


def difference(got: Tensor, wanted: Tensor) -> float:
    return float((got - wanted).abs().max() / wanted.abs().max().clamp(min=1e-12))


def implied_parameters(channels: ChannelMap, open_gates: Tensor) -> int:
    """Counted weight by weight from the map."""
    is_open = torch.cat([open_gates, torch.ones(1, dtype=torch.bool)])
    gone = 0
    for layer in channels.layers:
        makes = is_open[layer.outputs]
        reads = torch.ones(1, dtype=torch.bool) if layer.inputs is None else is_open[layer.inputs]
        gone += layer.kernel * (len(makes) * len(reads) - int(makes.sum()) * int(reads.sum()))
        gone += layer.biases * int((~makes).sum())
    return channels.parameters - gone


def count(backbone: nn.Module) -> int:
    return sum(parameter.numel() for parameter in backbone.parameters())


def test_no_group_that_the_rules_accept_fails_the_trial(case: Case) -> None:
    by_rules = map_groups(case.backbone, IMAGES, refused={})
    assert case.channels.groups == by_rules.groups
    assert case.channels.ungated == by_rules.ungated
    assert case.channels.gates > 0


@pytest.mark.parametrize("mask", MASKS)
def test_pruned_network_gives_what_the_masked_one_gives(case: Case, mask: str) -> None:
    open_gates = MASKS[mask](case.channels)
    backbone = settled(case.backbone, case.channels, open_gates)
    pruned = pruned_copy(backbone, case.channels, open_gates)
    kept = kept_features(case.channels, open_gates)
    with torch.no_grad():
        wanted, got = masked_output(backbone, case.channels, open_gates, images()), pruned(images())
        assert got.shape == (8, pruned.width)
        assert difference(got, wanted[:, kept]) <= 1e-5
        # Without the rounding of float32.
        exactly = masked_output(backbone.double(), case.channels, open_gates, images(2).double())
        assert difference(pruned.double()(images(2).double()), exactly[:, kept]) <= 1e-11
    # The networks tell images apart.
    assert difference(got, got.mean(0, keepdim=True)) > 1e-3
    closed = torch.ones(case.backbone.width, dtype=torch.bool)
    closed[kept] = False
    assert not wanted[:, closed].any()
    assert count(pruned) == implied_parameters(case.channels, open_gates) < case.channels.parameters


def test_a_wrong_channel_in_any_group_would_be_seen(case: Case) -> None:
    open_gates = random_gates(case.channels, 0.5)
    backbone = settled(case.backbone, case.channels, open_gates).double()
    mask = open_gates.double().requires_grad_()
    AppliedMask(backbone, case.channels, lambda: mask)
    features = backbone(images(2).double())
    towards = torch.randn(features.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    (gradient,) = torch.autograd.grad((features * towards).sum(), mask)
    scale = features.abs().max()
    for group, place in case.channels.slices():
        assert float((gradient[place].abs() > 1e-4 * scale).double().mean()) >= 0.1, group.name


def test_removing_other_channels_gives_another_output(case: Case) -> None:
    open_gates, other = random_gates(case.channels, 0.5), random_gates(case.channels, 0.5, seed=1)
    backbone = settled(case.backbone, case.channels, open_gates)
    wanted = masked_output(backbone, case.channels, open_gates, images())
    assert difference(masked_output(backbone, case.channels, other, images()), wanted) > 1e-2


def saved_and_loaded(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    buffer = io.BytesIO()
    torch.save(tensors, buffer)
    buffer.seek(0)
    loaded: dict[str, Tensor] = torch.load(buffer, weights_only=True)
    return loaded


def test_saved_and_loaded_pruned_network_gives_the_same_bits(case: Case) -> None:
    open_gates = random_gates(case.channels, 0.4, seed=5)
    network = BranchedNetwork([pruned_copy(case.backbone, case.channels, open_gates)]).eval()
    layout = json.loads(json.dumps(network.layout()))
    again = BranchedNetwork.from_layout(layout, lambda purpose: build_backbone(case.options, 3, seed=9)).eval()
    again.load_state_dict(saved_and_loaded(network.state_dict()))
    assert again.widths == network.widths
    with torch.no_grad():
        assert torch.equal(again.extract(images())[0], network.extract(images())[0])
    assert json.loads(json.dumps(again.layout())) == layout


@FEW
def test_backbone_pruned_twice_is_exact_and_replayed(case: Case) -> None:
    once = pruned_copy(case.backbone, case.channels, random_gates(case.channels, 0.7, seed=6))
    channels = map_channels(once, IMAGES)
    assert channels.parameters == count(once)
    open_gates = random_gates(channels, 0.6, seed=7)
    twice = pruned_copy(once, channels, open_gates)
    wanted = masked_output(once, channels, open_gates, images())[:, kept_features(channels, open_gates)]
    fresh = build_backbone(case.options, 3, seed=9).eval()
    replay(fresh, twice.removed)
    fresh.load_state_dict(twice.state_dict())
    with torch.no_grad():
        assert difference(twice(images()), wanted) <= 1e-5
        assert torch.equal(fresh(images()), twice(images()))
    assert len(twice.removed) == 2
    assert fresh.removed == twice.removed


@FEW
def test_grown_back_backbone_holds_the_pruned_weights_where_they_were(case: Case) -> None:
    pruned = pruned_copy(case.backbone, case.channels, random_gates(case.channels, 0.5, seed=8))
    drawn = shake(build_backbone(case.options, 3, seed=9), seed=1)
    grown = copy.deepcopy(drawn)
    grow_back(pruned, grown)
    # As many weights as the pruned one has are new; the same removal leaves just these.
    for name, value in grown.state_dict().items():
        changed = int((value != drawn.state_dict()[name]).sum())
        assert pruned.state_dict()[name].numel() * 0.98 - 2 <= changed <= pruned.state_dict()[name].numel()
    assert grown.width == case.backbone.width
    assert grown.removed == ()
    replay(grown, pruned.removed)
    kept, again = pruned.state_dict(), grown.state_dict()
    assert all(torch.equal(again[name], kept[name]) for name in kept)


@given(seed=st.integers(0, 2**16), share=st.floats(0, 1))
@settings(max_examples=15)
def test_any_mask_is_removed_exactly(small: Case, seed: int, share: float) -> None:
    open_gates = random_gates(small.channels, share, seed)
    backbone = copy.deepcopy(small.backbone).double()
    pruned = pruned_copy(backbone, small.channels, open_gates)
    wanted = masked_output(backbone, small.channels, open_gates, images(2).double())
    with torch.no_grad():
        got = pruned(images(2).double())
    assert difference(got, wanted[:, kept_features(small.channels, open_gates)]) <= 1e-10
    assert count(pruned) == implied_parameters(small.channels, open_gates)
    assert len(pruned.removed) == int(not bool(open_gates.all()))
