"""DER's sparsity loss (Eq. 10) and the count of what is left, against weights counted by hand and by removal."""

import copy
import dataclasses
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from incrlearn.network import OPEN, ChannelMap, build_backbone, map_channels, remove_channels
from incrlearn.recipe import BackboneOptions
from incrlearn.types import Backbone
from incrlearn_plugins.prune.gates import WeightCounts, count_weights, kept_channels, open_gates, sparsity_loss

BACKBONES: dict[str, BackboneOptions] = {
    "resnet": BackboneOptions(
        name="resnet18", stem="cifar", options={"layers": [1, 1, 1, 1], "channels": [4, 6, 8, 10]}
    ),
    "mobilenet": BackboneOptions(name="mobilenetv3_small_100", stem="cifar"),
    "vit": BackboneOptions(name="vit_tiny_patch16_224", options={"img_size": 32, "patch_size": 4, "depth": 2}),
    "convnext": BackboneOptions(name="convnext_atto", options={"patch_size": 2}),
}


@cache
def mapped(name: str) -> tuple[Backbone, ChannelMap]:
    backbone = build_backbone(BACKBONES[name], 3, seed=1)
    return backbone, map_channels(backbone, (3, 32, 32))


def plain(*layers: nn.Module, width: int) -> ChannelMap:
    backbone = Backbone(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), width)
    return map_channels(backbone, (3, 8, 8))


def two_layers() -> ChannelMap:
    return plain(
        nn.Conv2d(3, 5, 3, padding=1, bias=False),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.Conv2d(5, 4, (1, 3), bias=False),
        nn.BatchNorm2d(4),
        width=4,
    )


def with_depthwise() -> ChannelMap:
    return plain(
        nn.Conv2d(3, 6, 1, bias=False),
        nn.BatchNorm2d(6),
        nn.Conv2d(6, 6, 3, groups=6, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 4, 1, bias=False),
        width=4,
    )


def random_mask(gates: int, seed: int = 3) -> Tensor:
    return torch.rand(gates, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def norms(mask: Tensor, channels: ChannelMap) -> dict[str, float]:
    """|m|_1 of each group, by the path of its first layer."""
    return {group.makers[0].removeprefix("model."): float(mask[place].sum()) for group, place in channels.slices()}


def ratio_of_two_layers(mask: Tensor, channels: ChannelMap) -> float:
    m = norms(mask, channels)
    return (9 * 3 * m["0"] + 3 * m["0"] * m["3"]) / (9 * 3 * 5 + 3 * 5 * 4)


def ratio_with_depthwise(mask: Tensor, channels: ChannelMap) -> float:
    # Each output of the depthwise convolution reads one channel, its own.
    m = norms(mask, channels)
    return (3 * m["0"] + 9 * m["0"] + m["0"] * m["5"]) / (3 * 6 + 9 * 6 + 6 * 4)


def ratio_of_resnet(mask: Tensor, channels: ChannelMap) -> float:
    """Every convolution: its kernel, the mask of what feeds it, its own mask; the shortcuts make the same stream."""
    m = norms(mask, channels)
    stem, first = 3.0, "layer{}.0.conv1".format
    stream = [m["conv1"], *(m[f"layer{stage}.0.conv2"] for stage in (1, 2, 3, 4))]
    used, everything = 9 * stem * stream[0], 9.0 * 3 * 64
    widths = [64, 4, 6, 8, 10]
    for stage in (1, 2, 3, 4):
        before, inner, after = stream[stage - 1], m[first(stage)], stream[stage]
        used += 9 * before * inner + 9 * inner * after + 1 * before * after
        c_before, c = widths[stage - 1], widths[stage]
        everything += 9 * c_before * c + 9 * c * c + 1 * c_before * c
    return used / everything


Case = tuple[Callable[[], ChannelMap], Callable[[Tensor, ChannelMap], float]]
CASES: dict[str, Case] = {
    "two layers": (two_layers, ratio_of_two_layers),
    "depthwise": (with_depthwise, ratio_with_depthwise),
    "resnet": (lambda: mapped("resnet")[1], ratio_of_resnet),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[ChannelMap, Callable[[Tensor, ChannelMap], float]]:
    make, reference = CASES[request.param]
    return make(), reference


def test_loss_equals_the_equation_written_out_layer_by_layer(
    case: tuple[ChannelMap, Callable[[Tensor, ChannelMap], float]],
) -> None:
    channels, reference = case
    counts = count_weights(channels)
    for seed in range(5):
        mask = random_mask(channels.gates, seed)
        assert sparsity_loss(mask, counts).item() == pytest.approx(reference(mask, channels), rel=1e-12)


def test_loss_is_one_with_every_gate_open_and_zero_with_none(
    case: tuple[ChannelMap, Callable[[Tensor, ChannelMap], float]],
) -> None:
    channels, _ = case
    everything = torch.ones(channels.gates, dtype=torch.float64)
    assert sparsity_loss(everything, count_weights(channels)).item() == 1
    assert sparsity_loss(0 * everything, count_weights(channels)).item() == 0


def test_gradient_of_the_loss_equals_finite_differences_of_the_equation(
    case: tuple[ChannelMap, Callable[[Tensor, ChannelMap], float]],
) -> None:
    channels, reference = case
    mask = random_mask(channels.gates).requires_grad_()
    sparsity_loss(mask, count_weights(channels)).backward()
    step = 1e-6
    differences = [
        (reference(mask.detach() + step * unit, channels) - reference(mask.detach() - step * unit, channels))
        / (2 * step)
        for unit in torch.eye(channels.gates, dtype=torch.float64)
    ]
    assert mask.grad is not None
    np.testing.assert_allclose(mask.grad, differences, rtol=1e-6, atol=1e-9)


def test_layers_without_gates_count_as_open() -> None:
    _, channels = mapped("vit")
    counts = count_weights(channels)
    assert any(other.channels for other in channels.ungated)
    closed = torch.zeros(channels.gates, dtype=torch.float64)
    # What is left: the patch embedding alone, 4 x 4 pixels of 3 channels to 192.
    used = counts.used(closed)[: counts.pairs].sum().item()
    assert used == 4 * 4 * 3 * 192
    # Beside it, per block of width 192: queries, keys, values (3) and projection (1), and the hidden layer (4 + 4).
    everything = 4 * 4 * 3 * 192 + 2 * 192 * 192 * (3 + 1 + 4 + 4)
    assert sparsity_loss(closed, counts).item() == pytest.approx(used / everything, rel=1e-12)


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_count_of_what_is_left_is_exact(name: str, share: float) -> None:
    backbone, channels = mapped(name)
    draws = random_mask(channels.gates, seed=round(10 * share))
    kept = open_gates(draws - (1 - share), channels)
    assert 0 < int(kept.sum()) < channels.gates
    pruned = copy.deepcopy(backbone)
    remove_channels(pruned, channels, kept)
    left = sum(parameter.numel() for parameter in pruned.parameters())
    assert count_weights(channels).left(kept.double()).item() == left
    assert left < channels.parameters


@pytest.mark.parametrize("name", BACKBONES)
def test_with_every_gate_open_everything_is_left(name: str) -> None:
    backbone, channels = mapped(name)
    everything = torch.ones(channels.gates, dtype=torch.float64)
    left = count_weights(channels).left(everything).item()
    assert left == channels.parameters == sum(parameter.numel() for parameter in backbone.parameters())


class Counted(WeightCounts):
    """Takes note of how often the weights under a mask are counted."""

    times = 0

    def used(self, mask: Tensor) -> Tensor:
        object.__setattr__(self, "times", self.times + 1)
        return super().used(mask)


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weights_with_every_gate_open_are_counted_once_and_to_the_same_bits(name: str, dtype: torch.dtype) -> None:
    _, channels = mapped(name)
    plainly = count_weights(channels).to(torch.device("cpu"), dtype)
    counts = Counted(**{field.name: getattr(plainly, field.name) for field in dataclasses.fields(plainly)})
    pairs = slice(counts.pairs)
    for seed in range(3):
        mask = random_mask(channels.gates, seed).to(dtype)
        everything = plainly.used(torch.ones_like(mask))
        left = plainly.parameters - (everything - plainly.used(mask)).sum()
        assert torch.equal(counts.left(mask), left)
        assert torch.equal(sparsity_loss(mask, counts), plainly.used(mask)[pairs].sum() / everything[pairs].sum())
    assert counts.times == 3 * 2 + 1


def test_counts_elsewhere_are_those_of_that_precision() -> None:
    counts = count_weights(mapped("resnet")[1])
    assert counts.full_pairs.dtype == torch.float64
    elsewhere = counts.to(torch.device("cpu"), torch.float32)
    assert elsewhere.full.dtype == elsewhere.full_pairs.dtype == torch.float32


def test_kept_channels_counts_those_without_a_gate_too() -> None:
    outputs = torch.tensor([OPEN, 0, 0, 1, 2, OPEN])
    assert kept_channels(outputs, torch.tensor([True, False, True])) == 5
