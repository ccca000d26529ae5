"""The trial of each group before its gates are trusted: what passes it, what does not, and the reason it gives."""

import dataclasses
from collections.abc import Callable

import pytest
import torch
from timm.layers import StdConv2d
from torch import Tensor, nn
from torch.nn import functional

from incrlearn.errors import PluginError
from incrlearn.network import OPEN, ChannelMap, build_backbone, map_channels
from incrlearn.network.pruning import why_inexact
from incrlearn.recipe import BackboneOptions
from incrlearn.types import Backbone

IMAGES = (3, 16, 16)
CHANGED = "taking them out changes the output"


def every_other(channels: ChannelMap) -> Tensor:
    return torch.arange(channels.gates) % 2 == 0


def one_step(step: nn.Module, last: type[nn.Conv2d] = nn.Conv2d) -> Backbone:
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), step, last(8, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return Backbone(nn.Sequential(*layers), 6)


class Step(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, maps: Tensor) -> Tensor:
        return self.function(maps)


class SilentMix(nn.Module):
    """Mixes channels, but by nothing as long as its scale is as drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.scale * maps.mean(1, keepdim=True)


MIXING: dict[str, Callable[[], Backbone]] = {
    "softmax": lambda: one_step(nn.Softmax(dim=1)),
    "normalisation": lambda: one_step(Step(lambda maps: functional.normalize(maps, dim=1))),
    "centering": lambda: one_step(Step(lambda maps: maps - maps.mean(1, keepdim=True))),
    "gating by the largest": lambda: one_step(Step(lambda maps: maps * maps.amax(1, keepdim=True))),
    "local response norm": lambda: one_step(nn.LocalResponseNorm(3)),
    "shuffle": lambda: one_step(nn.ChannelShuffle(2)),
    "flip": lambda: one_step(Step(lambda maps: maps.flip(1))),
    "halves": lambda: one_step(Step(lambda maps: torch.cat([maps[:, :4] * maps[:, 4:], maps[:, 4:]], dim=1))),
    "scaled by zero": lambda: one_step(SilentMix()),
    "standardised weights": lambda: one_step(nn.ReLU(), last=StdConv2d),
}


@pytest.mark.parametrize("kind", MIXING)
def test_step_that_mixes_channels_is_found_by_trial_and_keeps_them(kind: str) -> None:
    backbone = MIXING[kind]()
    mapped = map_channels(backbone, IMAGES)
    (left,) = mapped.ungated
    assert left.name == "model.0"
    assert left.reason == CHANGED or (kind == "halves" and left.reason.startswith("taking them out fails (RuntimeErr"))
    # The features behind it are another group.
    assert [group.name for group in mapped.groups] == ["model.3"]
    assert why_inexact(backbone, mapped, every_other(mapped)) is None


def test_step_that_treats_each_channel_alone_is_gated() -> None:
    for step in (nn.ReLU(), nn.InstanceNorm2d(8, affine=True), nn.MaxPool2d(2), Step(lambda maps: maps.sin() + 1)):
        mapped = map_channels(one_step(step), IMAGES)
        assert [group.name for group in mapped.groups] == ["model.0", "model.3"]
        assert mapped.ungated == ()


def test_features_flattened_by_pixels_do_not_stop_the_mapping() -> None:
    backbone = Backbone(nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.Flatten()), 4 * 36)
    mapped = map_channels(backbone, IMAGES)
    assert "model.0" in [group.name for group in mapped.groups]
    assert why_inexact(backbone, mapped, every_other(mapped)) is None


class HalfResidual(nn.Module):
    """A residual block over one half of a layer's channels, as CSP networks have it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.block = nn.Conv2d(3, 8, 3), nn.Conv2d(4, 4, 1)
        self.behind, self.last = nn.Conv2d(4, 4, 1), nn.Conv2d(8, 5, 1)

    def forward(self, images: Tensor) -> Tensor:
        left, right = self.first(images).split(4, 1)
        right = right + self.block(right)
        return self.last(torch.cat([left, self.behind(right)], 1)).mean((2, 3))


def test_backbone_that_cannot_be_traced_is_a_clear_error() -> None:
    with pytest.raises(PluginError, match="the channels of this backbone cannot be traced"):
        map_channels(Backbone(HalfResidual(), 5), IMAGES)


def test_trial_fails_for_a_map_that_names_the_wrong_channels() -> None:
    settings = {"layers": [1, 2, 1, 1], "channels": [4, 6, 8, 10]}
    backbone = build_backbone(BackboneOptions(name="resnet18", stem="cifar", options=settings), 3, seed=1)
    channels = map_channels(backbone, IMAGES)
    assert why_inexact(backbone, channels, every_other(channels)) is None
    for at, layer in enumerate(channels.layers):
        if layer.inputs is not None and layer.name != "model.conv1":
            wrong = dataclasses.replace(layer, inputs=layer.inputs.roll(1))
            layers = (*channels.layers[:at], wrong, *channels.layers[at + 1 :])
            broken = dataclasses.replace(channels, layers=layers)
            assert why_inexact(backbone, broken, every_other(channels)) == CHANGED
    shifted = dataclasses.replace(channels, features=channels.features.roll(1))
    assert why_inexact(backbone, shifted, every_other(channels)) == CHANGED


class Narrowest(nn.Module):
    """Does not work with other than 8 channels, as a layer that was written for its network."""

    def forward(self, maps: Tensor) -> Tensor:
        if maps.shape[1] != 8:
            raise RuntimeError("8 channels\nwanted")
        return maps.relu()


class InFloat32(nn.Module):
    """Computes in float32 only."""

    def forward(self, maps: Tensor) -> Tensor:
        return functional.conv2d(maps, torch.ones(8, 1, 1, 1), groups=8)


REASONS: dict[str, tuple[nn.Module, str]] = {
    "fails": (Narrowest(), "taking them out fails (RuntimeError: 8 channels wanted)"),
    "in float32": (InFloat32(), "masking them fails in float64 (RuntimeError: "),
    "not finite": (Step(lambda maps: maps / 0), "the output is not finite for noise, so that nothing can be compared"),
    "mixes": (nn.Softmax(dim=1), CHANGED),
}


@pytest.mark.parametrize("kind", REASONS)
def test_reason_tells_what_was_seen_in_the_trial(kind: str) -> None:
    step, reason = REASONS[kind]
    mapped = map_channels(one_step(step), IMAGES)
    (first,) = [left.reason for left in mapped.ungated if left.name == "model.0"]
    assert first.startswith(reason)
    assert "\n" not in first


def test_output_of_another_shape_is_told() -> None:
    backbone = Backbone(nn.Sequential(nn.Conv2d(3, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), 6)
    mapped = map_channels(backbone, IMAGES)
    assert mapped.gates == 6
    narrower = dataclasses.replace(mapped, features=torch.full((6,), OPEN))
    reason = why_inexact(backbone, narrower, every_other(mapped))
    assert reason == "taking them out gives an output of shape (2, 3) instead of (2, 6)"


class Odd(nn.Module):
    """Each of two layers may lose channels, but not both: then its scale is another."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Conv2d(3, 8, 3), nn.Conv2d(3, 6, 3), nn.Conv2d(14, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        first, second = self.first(images), self.second(images)
        both = first.shape[1] < 8 and second.shape[1] < 6
        return (2 if both else 1) * self.last(torch.cat([first, second], 1)).mean((2, 3))


def test_groups_that_can_go_alone_but_not_together_are_told_apart() -> None:
    mapped = map_channels(Backbone(Odd(), 2), IMAGES)
    assert mapped.groups == ()
    reasons = {left.name: left.reason for left in mapped.ungated}
    assert reasons["model.first"] == f"each group can go alone, but of several: {CHANGED}"
