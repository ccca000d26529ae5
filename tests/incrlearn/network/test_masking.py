"""Masking the weights that read a channel is masking the channel, as DER's Eq. 5 says it: f'_l = f_l * m_l."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from incrlearn.errors import PluginError
from incrlearn.network import AppliedMask, BranchedNetwork, ChannelMap, build_backbone, map_channels
from incrlearn.recipe import BackboneOptions
from incrlearn.types import Backbone

IMAGES = (3, 32, 32)


def shaken(backbone: Backbone, seed: int = 0) -> Backbone:
    """In float64, with weights and statistics that hide nothing: fresh norms are 0 or 1."""
    backbone = backbone.double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in backbone.state_dict().items():
            noise = torch.rand(value.shape, generator=generator, dtype=torch.float64)
            if value.dim() == 1:
                value.copy_(noise + 0.5 if name.endswith(("weight", "var")) else noise - 0.5)
    return backbone


@pytest.fixture(scope="module")
def resnet() -> tuple[Backbone, ChannelMap]:
    backbone = build_backbone(BackboneOptions(name="resnet18", stem="cifar"), 3, seed=1)
    return shaken(backbone).eval(), map_channels(backbone, IMAGES)


def images(count: int = 2) -> Tensor:
    return torch.randn(count, *IMAGES, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


def assert_near(got: Tensor, wanted: Tensor) -> None:
    """Within the rounding of float64, by the largest value."""
    assert (got - wanted).abs().max() <= 1e-10 * wanted.abs().max()


def soft_mask(gates: int, seed: int = 3) -> Tensor:
    return torch.rand(gates, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def readers_in_resnet18(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """By hand: whatever reads a feature map, behind the layer whose mask is over that map.

    A stage's stream is made by the stem or the shortcut, together with the second convolution of each block; a block
    reads it with its first convolution, the next stage with its shortcut too, and the pooling reads the last one.
    """
    readers: list[tuple[str, nn.Module]] = []
    stream = "model.conv1"
    for number, stage in enumerate([model.layer1, model.layer2, model.layer3, model.layer4], 1):
        for b, block in enumerate(stage):
            readers += [(stream, block.conv1), (f"model.layer{number}.{b}.conv1", block.conv2)]
            if block.downsample is not None:
                readers.append((stream, block.downsample[0]))
                stream = f"model.layer{number}.0.downsample.0"
    return [*readers, (stream, model.global_pool)]


def maps_in_resnet18(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """By hand: what gives each feature map, behind the layer whose mask is over it."""
    maps = [("model.conv1", model.act1)]
    for number, stage in enumerate([model.layer1, model.layer2, model.layer3, model.layer4], 1):
        stream = "model.conv1" if number == 1 else f"model.layer{number}.0.downsample.0"
        for b, block in enumerate(stage):
            maps += [(f"model.layer{number}.{b}.conv1", block.act1), (stream, block.act2)]
    return maps


def gates_of(channels: ChannelMap, layer: str) -> Tensor:
    (outputs,) = [entry.outputs for entry in channels.layers if entry.name == layer]
    return outputs


def mask_what_is_read(backbone: Backbone, channels: ChannelMap, mask: Tensor) -> list[RemovableHandle]:
    """Multiply the feature maps wherever a layer reads them."""
    handles = []
    for layer, reader in readers_in_resnet18(backbone.model):
        scale = mask[gates_of(channels, layer)].view(1, -1, 1, 1)
        handles.append(reader.register_forward_pre_hook(lambda _m, inputs, scale=scale: (inputs[0] * scale,)))
    return handles


@pytest.mark.parametrize("training", [False, True])
def test_masked_weights_give_the_outputs_and_gradients_of_masked_features(
    resnet: tuple[Backbone, ChannelMap], training: bool
) -> None:
    backbone, channels = resnet
    weights, features = copy.deepcopy(backbone).train(training), copy.deepcopy(backbone).train(training)
    towards = torch.randn(2, 512, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    masks = [soft_mask(channels.gates).requires_grad_() for _ in range(2)]

    AppliedMask(weights, channels, lambda: masks[0])
    got = weights(images())
    (got * towards).sum().backward()
    mask_what_is_read(features, channels, masks[1])
    wanted = features(images())
    (wanted * towards).sum().backward()

    assert_near(got, wanted)
    of_weights, of_features = masks[0].grad, masks[1].grad
    assert of_weights is not None
    assert of_features is not None
    assert_near(of_weights, of_features)
    # No group is deaf; some channels of random networks are dead.
    for group, place in channels.slices():
        assert int((of_features[place] != 0).sum()) > 0.5 * group.gates, group.name
    gradients = {name: parameter.grad for name, parameter in weights.named_parameters()}
    for name, parameter in features.named_parameters():
        masked_name = name.removesuffix("weight") + "parametrizations.weight.original"
        gradient = gradients.get(name, gradients.get(masked_name))
        assert gradient is not None
        assert parameter.grad is not None
        assert_near(gradient, parameter.grad)


def test_closed_gates_give_the_outputs_of_feature_maps_that_are_zero(resnet: tuple[Backbone, ChannelMap]) -> None:
    backbone, channels = resnet
    mask = (soft_mask(channels.gates) > 0.4).double()
    weights, features = copy.deepcopy(backbone), copy.deepcopy(backbone)
    AppliedMask(weights, channels, lambda: mask)
    for layer, maker in maps_in_resnet18(features.model):
        scale = mask[gates_of(channels, layer)].view(1, -1, 1, 1)
        maker.register_forward_hook(lambda _m, _i, out, scale=scale: out * scale)
    with torch.no_grad():
        assert_near(weights(images()), features(images()))


def test_reference_hears_every_group(resnet: tuple[Backbone, ChannelMap]) -> None:
    backbone, channels = resnet
    with torch.no_grad():
        plain = backbone(images())
        for _, place in channels.slices():
            mask = torch.ones(channels.gates, dtype=torch.float64)
            mask[place] = 0.5
            handles = mask_what_is_read(backbone, channels, mask)
            changed = backbone(images())
            for handle in handles:
                handle.remove()
            assert (changed - plain).abs().max() > 1e-3 * plain.abs().max()
        assert torch.equal(backbone(images()), plain)


def test_features_of_closed_gates_are_zero_and_the_others_are_not(resnet: tuple[Backbone, ChannelMap]) -> None:
    backbone, channels = copy.deepcopy(resnet[0]), resnet[1]
    mask = (soft_mask(channels.gates) > 0.5).double()
    AppliedMask(backbone, channels, lambda: mask)
    with torch.no_grad():
        features = backbone(images())
    closed = mask[channels.features] == 0
    assert 0 < int(closed.sum()) < 512
    assert bool((features[:, closed] == 0).all())
    assert int((features[:, ~closed] != 0).any(dim=0).sum()) > 0.9 * int((~closed).sum())


def test_mask_is_read_anew_at_each_call(resnet: tuple[Backbone, ChannelMap]) -> None:
    backbone, channels = copy.deepcopy(resnet[0]), resnet[1]
    masks = [soft_mask(channels.gates, 1), soft_mask(channels.gates, 2)]
    current = 0
    AppliedMask(backbone, channels, lambda: masks[current])
    with torch.no_grad():
        first = backbone(images())
        current = 1
        second = backbone(images())
        current = 0
        again = backbone(images())
    assert torch.equal(first, again)
    assert not torch.allclose(first, second)


def test_mask_of_ones_changes_nothing(resnet: tuple[Backbone, ChannelMap]) -> None:
    backbone, channels = copy.deepcopy(resnet[0]), resnet[1]
    with torch.no_grad():
        plain = backbone(images())
        AppliedMask(backbone, channels, lambda: torch.ones(channels.gates, dtype=torch.float64))
        assert torch.equal(backbone(images()), plain)


def test_removed_mask_leaves_the_backbone_as_it_was(resnet: tuple[Backbone, ChannelMap]) -> None:
    backbone, channels = copy.deepcopy(resnet[0]), resnet[1]
    before = copy.deepcopy(backbone)
    mask = AppliedMask(backbone, channels, lambda: soft_mask(channels.gates))
    with torch.no_grad():
        assert not torch.allclose(backbone(images()), before(images()))
    mask.remove()
    kept, now = before.state_dict(), backbone.state_dict()
    assert list(now) == list(kept)
    assert all(torch.equal(now[name], kept[name]) for name in kept)
    assert [name for name, _ in backbone.named_parameters()] == [name for name, _ in before.named_parameters()]
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in backbone.modules())
    assert [type(m) for m in backbone.modules()] == [type(m) for m in before.modules()]
    with torch.no_grad():
        assert torch.equal(backbone(images()), before(images()))


def test_copy_of_a_masked_network_is_refused_and_of_one_without_its_mask_is_not(
    resnet: tuple[Backbone, ChannelMap],
) -> None:
    network = BranchedNetwork([copy.deepcopy(resnet[0])])
    gates = soft_mask(resnet[1].gates).requires_grad_()
    mask = AppliedMask(network.backbones[0], resnet[1], lambda: 1 * gates)
    for _ in range(2):
        for masked in (network, network.backbones[0], network.backbones[0].model.layer1):
            with pytest.raises(
                PluginError, match=r"a network under a mask cannot be copied: .* once 'prune' has remov"
            ):
                copy.deepcopy(masked)
        network.extract(images())
    mask.remove()
    with torch.no_grad():
        assert torch.equal(copy.deepcopy(network).extract(images())[0], network.extract(images())[0])


def test_attention_head_is_masked_whole_by_its_gate() -> None:
    options = {"img_size": 32, "patch_size": 8, "depth": 1}
    backbone = build_backbone(BackboneOptions(name="vit_tiny_patch16_224", options=options), 3, seed=1)
    channels = map_channels(backbone, IMAGES)
    shaken(backbone).eval()
    head = 192 // 3
    second = slice(head, 2 * head)
    # By hand: what the second head says reaches the projection in columns of its own.
    by_hand = copy.deepcopy(backbone)
    by_hand.model.blocks[0].attn.proj.weight.data[:, second] *= 0.25
    with torch.no_grad():
        plain = backbone(images())
        mask = torch.ones(channels.gates, dtype=torch.float64)
        mask[gates_of(channels, "model.blocks.0.attn.qkv")[second]] = 0.25
        AppliedMask(backbone, channels, lambda: mask)
        wanted = by_hand(images())
        assert_near(backbone(images()), wanted)
    assert (wanted - plain).abs().max() > 1e-3 * plain.abs().max()
