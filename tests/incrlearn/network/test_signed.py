"""Features without the last activation: negative where a ReLU would have cut, the same weights, pruned exactly."""

import copy

import pytest
import torch
from torch import nn

from incrlearn.errors import RecipeError
from incrlearn.network import BranchedNetwork, build_backbone, map_channels
from incrlearn.network.pruning import grow_back, remove_channels, why_inexact
from incrlearn.recipe import BackboneOptions
from incrlearn.types import Backbone

SMALL = {"layers": [1, 2, 1, 1], "channels": [4, 6, 8, 10]}
RESNETS = ["resnet18", "resnet50", "seresnet50", "resnetv2_18"]


def options(name: str, signed: bool, **settings: object) -> BackboneOptions:
    return BackboneOptions(name=name, stem="cifar", signed=signed, options=settings)


def small(seed: int = 1, signed: bool = True) -> Backbone:
    return build_backbone(options("resnet18", signed, **SMALL), 3, seed)


@torch.no_grad()
def lively(backbone: Backbone) -> Backbone:
    """A fresh residual branch ends in a norm of zeros, which passes on what an earlier ReLU gave."""
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.fill_(1)
    return backbone.eval()


@pytest.mark.parametrize("name", RESNETS)
def test_features_are_those_before_the_last_activation_and_the_weights_the_same(name: str) -> None:
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    plain, signed = (lively(build_backbone(options(name, flag, layers=[1] * 4), 3, seed=1)) for flag in (False, True))
    assert [n for n, _ in plain.named_parameters()] == [n for n, _ in signed.named_parameters()]
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), signed.parameters(), strict=True))
    with torch.no_grad():
        maps = signed.model.forward_features(images)
        assert bool((maps < 0).any())
        assert torch.equal(maps.relu(), plain.model.forward_features(images))
        assert bool((signed(images) < 0).any())


def test_only_the_last_activation_is_gone() -> None:
    plain, signed = small(signed=False), small()
    activations = [sum(isinstance(m, nn.ReLU) for m in backbone.modules()) for backbone in (plain, signed)]
    assert activations[0] == activations[1] + 1


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "mobilenetv3_small_050", "skresnet18"])
def test_model_whose_last_activation_is_not_known_is_refused(name: str) -> None:
    with pytest.raises(RecipeError, match=rf"backbone\.signed: .*'{name}'.*or write signed: false"):
        build_backbone(BackboneOptions(name=name, signed=True), 3, 1)


@pytest.mark.parametrize("name", ["resnet18", "resnetv2_18"])
def test_channels_are_mapped_and_removed_exactly(name: str) -> None:
    backbones = [build_backbone(options(name, flag, **SMALL), 3, seed=1) for flag in (False, True)]
    plain, signed = (map_channels(backbone, (3, 32, 32)) for backbone in backbones)
    assert [group.name for group in signed.groups] == [group.name for group in plain.groups]
    assert torch.equal(signed.features, plain.features)
    half = torch.arange(signed.gates) % 2 == 0
    assert why_inexact(backbones[1], signed, half) is None


def test_pruned_one_is_rebuilt_from_its_layout_and_grows_back() -> None:
    backbone = small()
    channels = map_channels(backbone, (3, 32, 32))
    remove_channels(backbone, channels, torch.arange(channels.gates) % 2 == 0)
    network = BranchedNetwork([backbone])
    again = BranchedNetwork.from_layout(copy.deepcopy(network.layout()), lambda purpose: small(seed=len(purpose)))
    again.load_state_dict(network.state_dict())
    for each in (network, again):
        lively(each.backbones[0])
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    found, wanted = again.eval().extract(images)[0], network.eval().extract(images)[0]
    assert torch.equal(found, wanted)
    assert bool((found < 0).any())
    full = small(seed=5)
    grow_back(backbone, full)
    assert full.width == 10
