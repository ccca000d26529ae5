"""Maps of an extractor's stages: which, read off where, and nothing left behind."""

import copy

import pytest
import torch
from torch import nn

from incrlearn.errors import PluginError, RecipeError
from incrlearn.network import BranchedNetwork, build_backbone, find_stages, map_channels, map_shapes, read_maps
from incrlearn.network.pruning import remove_channels
from incrlearn.recipe import BackboneOptions
from incrlearn.types import Backbone, Stage

SMALL = {"layers": [1, 2, 1, 1], "channels": [4, 6, 8, 10]}
SHAPES = {"layer1": (4, 16, 16), "layer2": (6, 8, 8), "layer3": (8, 4, 4), "layer4": (10, 2, 2)}


def small(seed: int = 1, signed: bool = False) -> Backbone:
    return build_backbone(BackboneOptions(name="resnet18", stem="cifar", signed=signed, options=SMALL), 3, seed)


def images(count: int = 3) -> torch.Tensor:
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def lively(backbone: Backbone) -> Backbone:
    """A fresh residual branch ends in a norm of zeros, which passes on what an earlier ReLU gave."""
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.fill_(1)
    return backbone.eval()


def hooks_of(module: nn.Module) -> int:
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules())


def test_a_resnet_has_four_stages_without_the_stem() -> None:
    assert map_shapes(small(), (3, 16, 16)) == SHAPES


@pytest.mark.parametrize("signed", [False, True])
def test_maps_of_a_resnet_are_those_before_the_activation_that_ends_the_stage(signed: bool) -> None:
    backbone = lively(small(signed=signed))
    after: dict[str, torch.Tensor] = {}
    modules = dict(backbone.model.named_modules())
    for name in SHAPES:
        modules[name].register_forward_hook(lambda _m, _i, out, name=name: after.update({name: out.clone()}))
    with torch.no_grad(), read_maps(find_stages(backbone)) as maps:
        features = backbone(images())
    for name, before in zip(SHAPES, maps, strict=True):
        assert bool((before < 0).any())
        assert torch.equal(after[name], before if signed and name == "layer4" else before.relu())
    wanted = maps[-1] if signed else maps[-1].relu()
    torch.testing.assert_close(features, wanted.mean(dim=(2, 3)))


@pytest.mark.parametrize(
    ("name", "settings", "stages"),
    [
        ("resnet50", {"layers": [1] * 4}, 4),
        ("resnetv2_18", {"layers": [1] * 4}, 4),
        ("mobilenetv3_small_050", {}, 4),
        ("regnetx_002", {}, 4),
        ("convnext_atto", {}, 4),
    ],
)
def test_other_convolutional_networks_have_stages_too(name: str, settings: dict[str, object], stages: int) -> None:
    backbone = build_backbone(BackboneOptions(name=name, options=settings), 3, 1)
    assert len(map_shapes(backbone, (3, 64, 64))) == stages


@pytest.mark.parametrize(
    ("name", "size", "told"),
    [
        ("vit_tiny_patch16_224", 224, r"its stage 'blocks\.1' gives \(2, 197, 192\)"),
        ("swin_tiny_patch4_window7_224", 224, r"its stage 'layers\.1' gives \(2, 28, 28, 192\)"),
    ],
)
def test_what_is_no_map_is_refused(name: str, size: int, told: str) -> None:
    with pytest.raises(RecipeError, match=rf"backbone\.name: there are no maps .*{told}.*such as resnet18"):
        map_shapes(build_backbone(BackboneOptions(name=name), 3, 1), (3, size, size))


def test_a_model_that_tells_no_stages_is_refused() -> None:
    with pytest.raises(RecipeError, match="timm does not tell its stages"):
        map_shapes(Backbone(nn.Conv2d(3, 4, 1), 4), (3, 8, 8))


def test_nothing_is_left_on_the_network_even_where_the_pass_fails() -> None:
    network = BranchedNetwork([small(), small(2)], frozen=1)
    before = copy.deepcopy(network.state_dict())
    with read_maps(network.stages()):
        assert hooks_of(network) == 4
        network.extract(images())
    assert hooks_of(network) == 0
    with pytest.raises(RuntimeError), read_maps(network.stages()):
        network.extract(torch.zeros(1, 7, 8, 8))
    assert hooks_of(network) == 0
    assert list(network.state_dict()) == list(before)


def test_only_the_newest_extractor_has_its_maps_read() -> None:
    network = BranchedNetwork([small(), small(2)], frozen=1).eval()
    with torch.no_grad(), read_maps(network.stages()) as maps:
        network.extract(images())
    with torch.no_grad(), read_maps(find_stages(network.backbones[-1])) as alone:
        network.backbones[-1](images())
    assert all(torch.equal(one, other) for one, other in zip(maps, alone, strict=True))


def test_gradients_flow_through_maps_and_reading_changes_none() -> None:
    plain, read = lively(small()), lively(small())
    plain(images()).square().sum().backward()
    with read_maps(find_stages(read)) as maps:
        features = read(images())
    features.square().sum().backward(retain_graph=True)
    for one, other in zip(plain.parameters(), read.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert torch.equal(one.grad, other.grad)
    read.zero_grad()
    maps[0].sum().backward()
    assert read.model.get_submodule("conv1").weight.grad is not None
    assert read.model.get_submodule("layer2.0.conv1").weight.grad is None


def test_maps_are_float32_in_a_pass_in_bfloat16() -> None:
    backbone = small()
    with torch.autocast("cpu", torch.bfloat16), read_maps(find_stages(backbone)) as maps:
        assert backbone(images()).dtype == torch.bfloat16
    assert {found.dtype for found in maps} == {torch.float32}


def test_a_pruned_extractor_has_the_maps_of_the_channels_that_are_left() -> None:
    backbone = small()
    channels = map_channels(backbone, (3, 16, 16))
    remove_channels(backbone, channels, torch.arange(channels.gates) % 2 == 0)
    assert hooks_of(backbone) == 0
    with torch.no_grad(), read_maps(find_stages(backbone)) as maps:
        backbone(images())
    assert [found.shape[1] for found in maps] == [2, 3, 4, 5]


def test_a_stage_that_the_pass_does_not_meet_is_told() -> None:
    backbone = small()
    elsewhere = Stage("nowhere", nn.Identity(), "output")
    with pytest.raises(PluginError, match=r"\['nowhere'\] must be passed once"), read_maps([elsewhere]):
        backbone(images())
