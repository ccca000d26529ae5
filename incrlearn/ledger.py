"""What a model costs: floating point operations, time, and megabytes of 1e6 bytes; pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from incrlearn.types import Network

_BYTES_PER_MB = 1_000_000


@dataclass(frozen=True)
class Latency:
    """How long a batch takes."""

    milliseconds: float
    """Wall time of one batch."""
    images: int
    """How many images the batch has."""


def inference_flops(network: Network, image: Tensor) -> int:
    """Floating point operations of one pass at inference, 2 per multiply-add; attachments of training do not count.

    Convolutions, matrix products and attention count, as PyTorch's counter has them; norms, activations and pooling
    do not. Modes, batch-norm statistics and generators are left as they were.

    Args:
        network: on the device of ``image``.
        image: (1, C, H, W); its values do not matter.
    """
    counter = FlopCounterMode(display=False)
    drawn_from = [image.device] if image.device.type == "cuda" else []
    with (
        torch.random.fork_rng(devices=drawn_from),
        _eval_mode(network),
        _countable_attention(),
        torch.no_grad(),
        counter,
    ):
        network.classify(network.extract(image))
    return int(counter.get_total_flops())


def full_batch_latency(images: Sequence[int], seconds: Sequence[float]) -> Latency | None:
    """Median over the full batches: those that have as many images as the largest.

    Args:
        images: how many images each batch had.
        seconds: how long each batch took.

    Returns:
        None where there was no batch.
    """
    if not images:
        return None
    full = max(images)
    times = [taken for count, taken in zip(images, seconds, strict=True) if count == full]
    return Latency(1000.0 * median(times), full)


def model_megabytes(network: Network) -> float:
    """Megabytes of the weights and buffers that a checkpoint holds; attachments of training do not count.

    A tensor that stands under several names counts once.
    """
    skipped = {id(value) for value in network.attachments.state_dict(keep_vars=True).values()}
    stored = {id(value): value for value in network.state_dict(keep_vars=True).values() if isinstance(value, Tensor)}
    size = sum(value.numel() * value.element_size() for key, value in stored.items() if key not in skipped)
    return size / _BYTES_PER_MB


def exemplar_megabytes(count: int, channels: int, size: int) -> float:
    """Megabytes of ``count`` images as they are stored for training: one byte for each channel of a pixel.

    Args:
        count: how many exemplars.
        channels: C of an image.
        size: height and width in pixels.
    """
    return count * channels * size * size / _BYTES_PER_MB


@contextmanager
def _eval_mode(network: nn.Module) -> Iterator[None]:
    # Each module by itself: what is frozen is in eval mode while the rest trains.
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def _countable_attention() -> Iterator[None]:
    # PyTorch's fused transformer layers are one operation, which its counter takes for none.
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
