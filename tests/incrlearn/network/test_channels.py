"""Which channels of a backbone get gates, which do not, and why."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from incrlearn.network import OPEN, ChannelMap, GateGroup, Layer, build_backbone
from incrlearn.network.channels import map_groups
from incrlearn.recipe import BackboneOptions
from incrlearn.types import Backbone

IMAGES = (3, 32, 32)


def gates_of(name: str, stem: str = "default", **settings: Any) -> ChannelMap:
    backbone = build_backbone(BackboneOptions(name=name, stem=stem, options=settings), 3, seed=1)
    return map_groups(backbone, IMAGES, refused={})


def made_by(channels: ChannelMap, *makers: str) -> GateGroup:
    """The one group whose channels these layers make."""
    (group,) = [group for group in channels.groups if set(group.makers) == {f"model.{name}" for name in makers}]
    return group


def layer(channels: ChannelMap, name: str) -> Layer:
    (found,) = [entry for entry in channels.layers if entry.name == f"model.{name}"]
    return found


def is_gated_throughout(channels: ChannelMap) -> bool:
    """All but the image's own channels."""
    convolutions = [entry for entry in channels.layers if not entry.is_norm]
    image, *readers = [entry.inputs for entry in convolutions if entry.inputs is not None]
    made = [entry.outputs for entry in channels.layers]
    return image.tolist() == [OPEN] * 3 and all(OPEN not in side for side in [*readers, *made, channels.features])


def test_resnet18_has_a_group_for_each_stream_and_each_block() -> None:
    channels = gates_of("resnet18", "cifar")
    assert (len(channels.groups), channels.gates, channels.ungated) == (12, 2880, ())
    # Streams of 64, 128, 256 and 512 channels, and as many in each of the two blocks of a stage.
    assert sorted(group.gates for group in channels.groups) == sorted(3 * [64, 128, 256, 512])
    made_by(channels, "conv1", "layer1.0.conv2", "layer1.1.conv2")
    for stage in (2, 3, 4):
        made_by(channels, *(f"layer{stage}.{name}" for name in ("0.downsample.0", "0.conv2", "1.conv2")))
        made_by(channels, f"layer{stage}.0.conv1")
        made_by(channels, f"layer{stage}.1.conv1")
    assert is_gated_throughout(channels)
    assert channels.parameters == 11_689_512 - 513_000 - 64 * 3 * 49 + 64 * 3 * 9


def test_groups_stand_in_the_order_of_the_network() -> None:
    channels = gates_of("resnet18", "cifar")
    assert [group.makers[0] for group in channels.groups[:4]] == [
        f"model.{name}" for name in ("conv1", "layer1.0.conv1", "layer1.1.conv1", "layer2.0.conv1")
    ]


def test_readers_of_a_stream_read_the_gates_of_its_makers() -> None:
    channels = gates_of("resnet18", "cifar")
    makers = [layer(channels, name).outputs for name in ("conv1", "bn1", "layer1.0.conv2", "layer1.1.bn2")]
    readers = ["layer1.0.conv1", "layer1.1.conv1", "layer2.0.conv1", "layer2.0.downsample.0"]
    for side in [*makers, *(layer(channels, name).inputs for name in readers)]:
        assert side is not None
        assert torch.equal(side, makers[0])
    assert torch.equal(channels.features, layer(channels, "layer4.0.downsample.0").outputs)


def test_resnet50_gates_both_hidden_layers_of_each_bottleneck() -> None:
    channels = gates_of("resnet50")
    streams = [64, 256, 512, 1024, 2048]
    hidden = 3 * 2 * [64] + 4 * 2 * [128] + 6 * 2 * [256] + 3 * 2 * [512]
    assert sorted(group.gates for group in channels.groups) == sorted(streams + hidden)
    assert channels.ungated == ()
    assert is_gated_throughout(channels)


def test_preactivation_resnet_is_gated_throughout() -> None:
    channels = gates_of("resnetv2_18")
    assert (len(channels.groups), channels.gates, channels.ungated) == (12, 2880, ())
    made_by(channels, "stem.conv", "stages.0.blocks.0.conv2", "stages.0.blocks.1.conv2")
    assert is_gated_throughout(channels)


@pytest.mark.parametrize("name", ["mobilenetv3_small_100", "efficientnet_b0"])
def test_depthwise_backbone_with_squeeze_and_excitation_is_gated_throughout(name: str) -> None:
    channels = gates_of(name)
    assert channels.ungated == ()
    assert is_gated_throughout(channels)
    assert all(group.gates == group.channels for group in channels.groups)


def test_depthwise_convolution_and_excitation_hang_on_the_channels_they_scale() -> None:
    channels = gates_of("mobilenetv3_small_100")
    block = "blocks.2.1"
    hidden = made_by(channels, *(f"{block}.{name}" for name in ("conv_pw", "conv_dw", "se.conv_expand")))
    assert hidden.gates == 240
    assert layer(channels, f"{block}.conv_dw").inputs is None
    gates = layer(channels, f"{block}.conv_pw").outputs
    for reader in ("se.conv_reduce", "conv_pwl"):
        assert torch.equal(layer(channels, f"{block}.{reader}").inputs, gates)


def test_regnet_keeps_what_goes_through_grouped_convolutions_and_gates_its_streams() -> None:
    channels = gates_of("regnety_002")
    blocks = [
        f"s{stage}.b{number}" for stage, count in ((1, 1), (2, 1), (3, 4), (4, 7)) for number in range(1, count + 1)
    ]
    squeezed = [f"{block}.se.fc1" for block in blocks]
    streams = [("stem.conv",)]
    for stage in "1234":
        ends = [f"{block}.conv3.conv" for block in blocks if block[1] == stage]
        streams.append((f"s{stage}.b1.downsample.conv", *ends))
    assert [made_by(channels, *makers).gates for makers in streams] == [32, 24, 56, 152, 368]
    assert len(channels.groups) == len(streams) + len([made_by(channels, name) for name in squeezed])
    # Before and behind each of the grouped convolutions.
    assert len(channels.ungated) == 2 * len(blocks)
    for left in channels.ungated:
        assert left.name.endswith(("conv1.conv", "conv2.conv", "se.fc2"))
        assert "a convolution in" in left.reason
        assert left.name.removeprefix("model.")[:5] in left.reason


def test_convnext_keeps_its_streams_under_layer_norms_and_gates_the_hidden_units() -> None:
    channels = gates_of("convnext_atto")
    blocks = [f"stages.{stage}.blocks.{b}" for stage, depth in enumerate((2, 2, 6, 2)) for b in range(depth)]
    assert [group.makers for group in channels.groups] == [(f"model.{block}.mlp.fc1",) for block in blocks]
    assert [group.gates for group in channels.groups] == 2 * [160] + 2 * [320] + 6 * [640] + 2 * [1280]
    assert sorted(left.channels for left in channels.ungated) == [40, 80, 160, 320]
    assert all("a layer norm runs over them" in left.reason for left in channels.ungated)
    assert channels.features.tolist() == [OPEN] * 320


def test_vision_transformer_gates_heads_and_hidden_units_and_keeps_its_stream() -> None:
    channels = gates_of("vit_tiny_patch16_224", img_size=32, patch_size=4, depth=3)
    assert len(channels.groups) == 6
    for block in range(3):
        heads = made_by(channels, f"blocks.{block}.attn.qkv")
        assert (heads.gates, heads.channels) == (3, 3 * 192)
        # Queries, keys and values, each of 3 heads of 64 channels.
        assert heads.root_gates == tuple(3 * (64 * [0] + 64 * [1] + 64 * [2]))
        hidden = made_by(channels, f"blocks.{block}.mlp.fc1")
        assert (hidden.gates, hidden.channels) == (768, 768)
        read = layer(channels, f"blocks.{block}.attn.proj").inputs
        assert read is not None
        assert [int(gate - read[0]) for gate in read] == 64 * [0] + 64 * [1] + 64 * [2]
    (stream,) = channels.ungated
    assert stream.channels == 192
    assert "layer norm" in stream.reason


def test_group_norms_leave_a_backbone_without_gates() -> None:
    # Its convolutions are weight-standardised, too.
    channels = gates_of("resnetv2_50x1_bit")
    assert channels.groups == ()
    assert channels.gates == 0
    assert all("a group norm runs over them" in left.reason for left in channels.ungated)
    assert sum(left.channels for left in channels.ungated) == 11456


def test_last_channel_of_a_layer_gets_no_gate() -> None:
    layers = [nn.Conv2d(3, 1, 3), nn.ReLU(), nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    channels = map_groups(Backbone(nn.Sequential(*layers), 4), IMAGES, refused={})
    assert [group.name for group in channels.groups] == ["model.2"]
    assert [(left.name, left.reason) for left in channels.ungated] == [("model.0", "a single one, which must stay")]


def one_step(step: nn.Module) -> Backbone:
    layers = [nn.Conv2d(3, 8, 3), step, nn.Conv2d(8, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return Backbone(nn.Sequential(*layers), 6)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: nn.GroupNorm(2, 8), "a group norm runs over them (model.1)"),
        (lambda: nn.Conv2d(8, 8, 3, groups=4), "a convolution in 4 groups (model.1)"),
        (lambda: nn.PReLU(8), "model.1 (PReLU) is not known to treat each channel alone"),
    ],
)
def test_obstacle_is_named(make: Callable[[], nn.Module], reason: str) -> None:
    channels = map_groups(one_step(make()), IMAGES, refused={})
    assert [left.reason for left in channels.ungated if left.name == "model.0"] == [reason]
    assert channels.groups[-1].makers == ("model.2",)


def test_refused_groups_are_left_with_their_reason() -> None:
    channels = map_groups(one_step(nn.ReLU()), IMAGES, refused={"model.0": "for a test"})
    assert [group.name for group in channels.groups] == ["model.2"]
    assert [(left.name, left.channels, left.reason) for left in channels.ungated] == [("model.0", 8, "for a test")]
    assert channels.features.tolist() == [0, 1, 2, 3, 4, 5]


def test_layers_tell_their_weights_per_channel() -> None:
    layers = [
        nn.Conv2d(3, 4, (3, 5), padding=(1, 2), bias=False),
        nn.BatchNorm2d(4),
        nn.Conv2d(4, 4, 3, padding=1, groups=4),
        nn.Conv2d(4, 6, 1, groups=2),
        nn.BatchNorm2d(6, affine=False),
        nn.Conv2d(6, 2, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ]
    channels = map_groups(Backbone(nn.Sequential(*layers), 2), IMAGES, refused={})
    sizes = [
        (entry.kernel, None if entry.inputs is None else len(entry.inputs), len(entry.outputs), entry.biases)
        for entry in channels.layers
    ]
    # A depthwise convolution reads one channel for each; a convolution in 2 groups reads half of them.
    assert sizes == [(15, 3, 4, 0), (2, None, 4, 0), (9, None, 4, 1), (1, 2, 6, 1), (0, None, 6, 0), (1, 6, 2, 1)]
    assert [entry.is_norm for entry in channels.layers] == [False, True, False, False, True, False]
    weights = sum(kernel * (reads or 1) * makes + biases * makes for kernel, reads, makes, biases in sizes)
    assert weights == channels.parameters


def test_closed_gates_close_the_channels_under_them() -> None:
    channels = gates_of("vit_tiny_patch16_224", img_size=32, patch_size=8, depth=1)
    open_gates = torch.ones(channels.gates, dtype=torch.bool)
    assert channels.closed_channels(open_gates) == {}
    places = {group.makers[0].rpartition(".")[2]: place for group, place in channels.slices()}
    open_gates[places["qkv"].start + 1] = False
    open_gates[places["fc1"].start + 5] = False
    closed = channels.closed_channels(open_gates)
    second_head = [side * 192 + channel for side in range(3) for channel in range(64, 128)]
    assert closed == {"model.blocks.0.attn.qkv": second_head, "model.blocks.0.mlp.fc1": [5]}


def test_slices_are_side_by_side_and_number_the_gates_of_the_layers() -> None:
    channels = gates_of("resnet18", "cifar")
    places: list[Tensor] = []
    for group, place in channels.slices():
        made = [layer(channels, maker.removeprefix("model.")).outputs for maker in group.makers]
        assert all(sorted(gates.tolist()) == list(range(place.start, place.stop)) for gates in made)
        places.append(torch.arange(place.start, place.stop))
    assert torch.equal(torch.cat(places), torch.arange(2880))
