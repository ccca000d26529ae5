"""What a model costs, against values worked by hand."""

import pytest
import torch
from torch import Tensor, nn

from incrlearn.ledger import Latency, exemplar_megabytes, full_batch_latency, inference_flops, model_megabytes
from incrlearn.network import BranchedNetwork, LinearHead
from incrlearn.types import Backbone

IMAGE = torch.zeros(1, 1, 4, 4)
# 3x3 over 4x4 pixels with padding, 1 -> 8 channels: 16 places x 9 x 1 x 8 multiply-adds
CONV_FLOPS = 2 * 16 * 9 * 1 * 8


class DrawsAlways(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images + torch.rand_like(images)


def extractor() -> Backbone:
    layers = [
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.Dropout(0.5),
        DrawsAlways(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ]
    return Backbone(nn.Sequential(*layers), width=8)


def network_of(extractors: int, frozen: int = 0) -> BranchedNetwork:
    network = BranchedNetwork([extractor() for _ in range(extractors)], frozen)
    network.head = LinearHead(network.width, 5, bias=True, generator=torch.Generator())
    return network


def test_flops_are_two_for_each_multiply_add() -> None:
    assert inference_flops(network_of(1), IMAGE) == CONV_FLOPS + 2 * 8 * 5


def test_flops_of_every_extractor_count_frozen_or_not() -> None:
    assert inference_flops(network_of(2, frozen=1), IMAGE) == 2 * CONV_FLOPS + 2 * 16 * 5


def test_attachments_do_not_count() -> None:
    plain, attached = network_of(1), network_of(1)
    attached.attach("auxiliary", nn.Sequential(nn.Linear(8, 100), nn.BatchNorm1d(100)))
    assert inference_flops(attached, IMAGE) == inference_flops(plain, IMAGE)
    assert model_megabytes(attached) == model_megabytes(plain)


def test_transformer_layers_count_although_pytorch_fuses_them() -> None:
    layer = nn.TransformerEncoderLayer(d_model=4, nhead=1, dim_feedforward=6, batch_first=True)
    network = BranchedNetwork([Backbone(nn.Sequential(nn.Flatten(0, 1), layer, nn.Flatten()), width=16)])
    # four tokens of width 4: queries, keys, values and output; scores and their sums; the two layers behind
    by_hand = 4 * (4 * 4 * 4) + 2 * (4 * 4 * 4) + 2 * (4 * 4 * 6)
    fused = torch.backends.mha.get_fastpath_enabled()
    assert inference_flops(network, IMAGE) == 2 * by_hand
    assert torch.backends.mha.get_fastpath_enabled() == fused


def test_counting_leaves_modes_statistics_and_generators_alone() -> None:
    network = network_of(2, frozen=1).train()
    network.head.eval()
    modes = {name: module.training for name, module in network.named_modules()}
    assert set(modes.values()) == {True, False}
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    drawn = torch.get_rng_state()
    inference_flops(network, IMAGE)
    assert {name: module.training for name, module in network.named_modules()} == modes
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_latency_is_the_median_of_the_full_batches() -> None:
    # the rest of 3 images does not count
    assert full_batch_latency([8, 8, 8, 3], [0.5, 0.002, 0.004, 0.001]) == Latency(4.0, 8)
    assert full_batch_latency([8, 8, 3], [0.002, 0.004, 0.001]) == Latency(pytest.approx(3.0), 8)
    assert full_batch_latency([3], [0.001]) == Latency(1.0, 3)


def test_no_batch_has_no_latency() -> None:
    assert full_batch_latency([], []) is None


def test_model_megabytes_are_those_of_weights_and_buffers() -> None:
    conv, norm, count, head = 4 * (8 * 9 + 8), 4 * (4 * 8), 8, 4 * (8 * 5 + 5)
    assert model_megabytes(network_of(1)) == (conv + norm + count + head) / 1e6
    assert model_megabytes(network_of(1).to(torch.bfloat16)) == ((conv + norm + head) / 2 + count) / 1e6


def test_weight_under_two_names_is_stored_once() -> None:
    network = BranchedNetwork([Backbone(nn.Linear(4, 4, bias=False), width=4)])
    network.head = network.backbones[0].model
    assert model_megabytes(network) == 4 * 16 / 1e6


def test_exemplar_megabytes_are_a_byte_a_channel_and_pixel() -> None:
    assert exemplar_megabytes(2000, channels=3, size=32) == 6.144
    assert exemplar_megabytes(0, channels=3, size=32) == 0
