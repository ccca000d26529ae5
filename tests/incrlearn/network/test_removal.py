"""Around the removal of channels: what it leaves behind, and what it refuses."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from incrlearn.errors import OutputError
from incrlearn.network import (
    AppliedMask,
    ChannelMap,
    build_backbone,
    grow_back,
    kept_features,
    map_channels,
    remove_channels,
)
from incrlearn.network.pruning import replay
from incrlearn.recipe import BackboneOptions
from incrlearn.types import Backbone, Removal

IMAGES = (3, 16, 16)


def resnet(channels: tuple[int, ...] = (4, 6, 8, 10), seed: int = 1) -> Backbone:
    settings = {"layers": [1, 2, 1, 1], "channels": list(channels)}
    return build_backbone(BackboneOptions(name="resnet18", stem="cifar", options=settings), 3, seed)


@pytest.fixture(scope="module")
def channels() -> ChannelMap:
    return map_channels(resnet(), IMAGES)


def every_other(channels: ChannelMap) -> Tensor:
    return torch.arange(channels.gates) % 2 == 0


def test_mapping_leaves_the_backbone_and_the_global_generator_as_they_were() -> None:
    backbone = resnet().train()
    backbone.model.layer1.eval()
    backbone.model.layer2.requires_grad_(False)
    before = copy.deepcopy(backbone)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    map_channels(backbone, IMAGES)
    assert torch.equal(torch.rand(3), expected)
    kept, now = before.state_dict(), backbone.state_dict()
    assert list(now) == list(kept)
    assert all(torch.equal(now[name], kept[name]) for name in kept)
    assert [m.training for m in backbone.modules()] == [m.training for m in before.modules()]
    assert [p.requires_grad for p in backbone.parameters()] == [p.requires_grad for p in before.parameters()]
    assert all(p.grad is None for p in backbone.parameters())
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in backbone.modules())
    assert (backbone.width, backbone.removed) == (before.width, ())


def test_frozen_backbone_has_the_gates_of_a_trainable_one(channels: ChannelMap) -> None:
    frozen = resnet().requires_grad_(False)
    assert map_channels(frozen, IMAGES).groups == channels.groups
    assert not any(parameter.requires_grad for parameter in frozen.parameters())


def test_removal_keeps_requires_grad_and_modes_and_cuts_the_buffers(channels: ChannelMap) -> None:
    backbone = resnet().train()
    backbone.model.layer1.eval().requires_grad_(False)
    trainable = {name: parameter.requires_grad for name, parameter in backbone.named_parameters()}
    modes = [module.training for module in backbone.modules()]
    remove_channels(backbone, channels, every_other(channels))
    assert {name: parameter.requires_grad for name, parameter in backbone.named_parameters()} == trainable
    assert [module.training for module in backbone.modules()] == modes
    norms = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    sizes = [32, *(3 * [2]), *(5 * [3]), *(3 * [4]), *(3 * [5])]
    assert [norm.num_features for norm in norms] == sizes
    for norm in norms:
        assert norm.running_mean is not None
        assert norm.running_mean.shape == norm.weight.shape == (norm.num_features,)
    assert backbone.width == 5


def test_training_step_of_the_pruned_network_is_that_of_the_masked_one(channels: ChannelMap) -> None:
    """Whatever the closed channels would learn, the others learn the same without them."""
    open_gates = every_other(channels)
    masked = resnet().double().train()
    with torch.no_grad():
        for name, parameter in masked.named_parameters():
            if name.endswith("bn2.weight"):
                parameter.fill_(0.7)
    pruned = copy.deepcopy(masked)
    remove_channels(pruned, channels, open_gates)
    kept = kept_features(channels, open_gates)
    mask = AppliedMask(masked, channels, lambda: open_gates.double())
    generator = torch.Generator().manual_seed(2)
    batch = torch.randn(6, *IMAGES, generator=generator, dtype=torch.float64)
    towards = torch.randn(6, len(kept), generator=generator, dtype=torch.float64)
    started = {name: parameter.detach().clone() for name, parameter in pruned.named_parameters()}
    for network, width in ((masked, kept), (pruned, torch.arange(len(kept)))):
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
        for _ in range(2):
            optimizer.zero_grad()
            (network(batch)[:, width] * towards).sum().backward()
            optimizer.step()
    mask.remove()
    remove_channels(masked, channels, open_gates)
    wanted, got = masked.state_dict(), pruned.state_dict()
    for name in wanted:
        torch.testing.assert_close(got[name], wanted[name], rtol=1e-8, atol=1e-10)
    assert all(not torch.equal(got[name], value) for name, value in started.items())


def test_group_without_an_open_gate_is_refused_and_nothing_is_removed(channels: ChannelMap) -> None:
    for group, place in channels.slices():
        backbone = resnet()
        gates = torch.ones(channels.gates, dtype=torch.bool)
        gates[place] = False
        with pytest.raises(ValueError, match=f"at least one gate of each group must stay open.*'{group.name}'"):
            remove_channels(backbone, channels, gates)
        assert backbone.removed == ()
        assert backbone.width == 10


def test_open_gates_remove_nothing(channels: ChannelMap) -> None:
    backbone = resnet()
    remove_channels(backbone, channels, torch.ones(channels.gates, dtype=torch.bool))
    assert backbone.removed == ()
    kept = resnet().state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in backbone.state_dict().items())


def test_kept_features_are_those_of_open_gates(channels: ChannelMap) -> None:
    gates = torch.ones(channels.gates, dtype=torch.bool)
    gates[channels.features[torch.tensor([0, 7])]] = False
    assert kept_features(channels, gates).tolist() == [1, 2, 3, 4, 5, 6, 8, 9]


@pytest.mark.parametrize(
    "other",
    # Other layers; a layer that has not the channel; one that has it and more, so that the width is another.
    [
        lambda: build_backbone(BackboneOptions(name="mobilenetv3_small_050"), 3, seed=1),
        lambda: resnet((4, 6, 8, 8)),
        lambda: resnet((4, 6, 8, 12)),
    ],
)
def test_removal_from_another_backbone_is_refused(channels: ChannelMap, other: Callable[[], Backbone]) -> None:
    backbone = resnet()
    gates = torch.ones(channels.gates, dtype=torch.bool)
    gates[channels.features[-1]] = False
    remove_channels(backbone, channels, gates)
    with pytest.raises(OutputError, match="tells of channels that this backbone has not"):
        replay(other(), backbone.removed)


def test_removal_of_an_unknown_layer_is_refused() -> None:
    with pytest.raises(OutputError, match=r"has not .*model\.layer9"):
        replay(resnet(), (Removal(IMAGES, {"model.layer9": [0]}, 10, 1),))


def test_backbone_of_which_nothing_was_removed_grows_back_whole() -> None:
    old, grown = resnet(seed=1), resnet(seed=2)
    grow_back(old, grown)
    kept = old.state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in grown.state_dict().items())


def test_growing_back_leaves_the_pruned_backbone_alone_and_the_rest_as_drawn(channels: ChannelMap) -> None:
    pruned = resnet(seed=1)
    with torch.no_grad():
        for value in pruned.state_dict().values():
            value.fill_(100)
    remove_channels(pruned, channels, every_other(channels))
    grown = resnet(seed=2)
    grow_back(pruned, grown)
    drawn, sizes = resnet(seed=2).state_dict(), pruned.state_dict()
    for name, value in grown.state_dict().items():
        inherited = value == 100
        assert int(inherited.sum()) == sizes[name].numel()
        assert torch.equal(value[~inherited], drawn[name][~inherited])
    assert bool((pruned.model.conv1.weight == 100).all())
    assert grown.model.conv1.weight.requires_grad


def test_growing_back_takes_dormant_weights_for_what_was_removed(channels: ChannelMap) -> None:
    pruned, grown = resnet(seed=1), resnet(seed=2)
    pruned.dormant = {name: torch.full_like(value, 7) for name, value in resnet().state_dict().items()}
    with torch.no_grad():
        for value in pruned.state_dict().values():
            value.fill_(100)
    remove_channels(pruned, channels, every_other(channels))
    grow_back(pruned, grown)
    sizes = pruned.state_dict()
    for name, value in grown.state_dict().items():
        assert int((value == 100).sum()) == sizes[name].numel()
        assert int((value == 7).sum()) == value.numel() - sizes[name].numel()
