"""The mathematics of learned channel masks (DER, 3.3): pure functions of the gates' logits e.

Shapes: G gates in all, L layers with weights. Equation numbers are those of Yan, Xie, He (CVPR 2021).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from incrlearn.network import OPEN, ChannelMap


class NetGradientGate(torch.autograd.Function):
    """m = sigmoid(s e) (Eq. 6), with dL/de = dL/dm * sigmoid'(e).

    That is what the paper's compensation (Eq. 9) comes to, without its division by s * sigmoid'(s e), which underflows
    for the large s and closes every gate.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, logits: Tensor, scale: float) -> Tensor:
        """(G,) logits -> (G,) mask in (0, 1)."""
        ctx.save_for_backward(logits)
        return torch.sigmoid(scale * logits)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        """dL/dm -> dL/de."""
        (logits,) = ctx.saved_tensors  # type: ignore[attr-defined]
        at_one = torch.sigmoid(logits)
        return gradient * at_one * (1 - at_one), None


def annealed_scale(position: float, largest: float) -> float:
    """Give the scale s of Eq. 8: 1/s_max + (s_max - 1/s_max) * position.

    Args:
        position: (b - 1) / (B - 1), in [0, 1], of batch b of the B in an epoch.
        largest: s_max.
    """
    return 1 / largest + (largest - 1 / largest) * position


@dataclass(frozen=True, eq=False)
class WeightCounts:
    """How many weights a mask uses, row by row: ``kernel * (reads @ m + reads_always) * (makes @ m + makes_always)``.

    Convolutions and linear layers come first, the ``pairs`` of them; a depthwise convolution reads one channel per
    output. Behind them come norms and biases, which only parameters are counted by.
    """

    kernel: Tensor
    """(L,)."""
    reads: Tensor
    """(L, G): channels that layer l reads and gate g is over."""
    reads_always: Tensor
    """(L,): channels that layer l reads and no gate is over; 3 for the first layer, the image (the paper's m_0)."""
    makes: Tensor
    """(L, G)."""
    makes_always: Tensor
    """(L,)."""
    pairs: int
    """Rows that Eq. 10 counts."""
    parameters: int
    """Of the backbone with every gate open."""

    @cached_property
    def full(self) -> Tensor:
        """(L,): weights of each row that are used with every gate open."""
        return self.used(self.reads.new_ones(self.reads.shape[1]))

    @cached_property
    def full_pairs(self) -> Tensor:
        """Scalar: weights that Eq. 10 counts with every gate open."""
        return self.full[: self.pairs].sum()

    def used(self, mask: Tensor) -> Tensor:
        """(L,): weights of each row that a mask, (G,), uses."""
        return self.kernel * (self.reads @ mask + self.reads_always) * (self.makes @ mask + self.makes_always)

    def left(self, mask: Tensor) -> Tensor:
        """Parameters of the backbone that are left without the channels that a binary mask, (G,), closes."""
        return self.parameters - (self.full - self.used(mask)).sum()

    def to(self, device: torch.device, dtype: torch.dtype) -> WeightCounts:
        """The same elsewhere; float32 counts to 2^24 exactly, float64 to 2^53."""
        return WeightCounts(
            kernel=self.kernel.to(device, dtype),
            reads=self.reads.to(device, dtype),
            reads_always=self.reads_always.to(device, dtype),
            makes=self.makes.to(device, dtype),
            makes_always=self.makes_always.to(device, dtype),
            pairs=self.pairs,
            parameters=self.parameters,
        )


def count_weights(channels: ChannelMap) -> WeightCounts:
    """The counts behind Eq. 10 for the gates of a backbone; float64, on the CPU."""
    layers = [layer for layer in channels.layers if not layer.is_norm]
    rows: list[tuple[int, Tensor | None, Tensor]] = [(layer.kernel, layer.inputs, layer.outputs) for layer in layers]
    for layer in channels.layers:
        alone = layer.kernel if layer.is_norm else layer.biases
        if alone:
            rows.append((alone, None, layer.outputs))
    reads, reads_always = _incidence([inputs for _, inputs, _ in rows], channels.gates)
    makes, makes_always = _incidence([outputs for _, _, outputs in rows], channels.gates)
    kernel = torch.tensor([kernel for kernel, _, _ in rows], dtype=torch.float64)
    return WeightCounts(kernel, reads, reads_always, makes, makes_always, len(layers), channels.parameters)


def _incidence(sides: Sequence[Tensor | None], gates: int) -> tuple[Tensor, Tensor]:
    """Per row how often each gate occurs in it, and how many channels have none; None is one channel without."""
    table = torch.zeros(len(sides), gates, dtype=torch.float64)
    always = torch.zeros(len(sides), dtype=torch.float64)
    for row, side in enumerate(sides):
        if side is None:
            always[row] = 1
        else:
            table[row] = torch.bincount(side[side != OPEN], minlength=gates)
            always[row] = (side == OPEN).sum()
    return table, always


def sparsity_loss(mask: Tensor, counts: WeightCounts) -> Tensor:
    """L_S of Eq. 10: sum_l K_l |m_{l-1}|_1 |m_l|_1 / sum_l K_l c_{l-1} c_l, K_l = k_h * k_w.

    It is the share of the weights of all convolutions and linear layers that the mask uses; m_{l-1} is the mask of
    whatever feeds layer l, shortcuts included.

    Args:
        mask: (G,), in [0, 1].
        counts: of the masked backbone.
    """
    return counts.used(mask)[: counts.pairs].sum() / counts.full_pairs


def open_gates(logits: Tensor, channels: ChannelMap) -> Tensor:
    """Which gates stay by the paper's rule: those with e > 0, and in a group with none the largest.

    Args:
        logits: (G,), on the CPU.
        channels: the groups.

    Returns:
        (G,) bool.
    """
    return _one_a_group(logits > 0, logits, channels)


def gates_within(logits: Tensor, channels: ChannelMap, counts: WeightCounts, parameters: float) -> Tensor:
    """The largest gates, as many as leave at most ``parameters``, and in a group with none the largest.

    Gates that are equal, as at the clamp, are told apart by their place.

    Args:
        logits: (G,), on the CPU.
        channels: the groups.
        counts: of the masked backbone, float64.
        parameters: the budget; more are left only where even one gate a group is too much.

    Returns:
        (G,) bool.
    """
    order = logits.argsort(descending=True, stable=True)

    def largest(count: int) -> Tensor:
        kept = torch.zeros(len(logits), dtype=torch.bool)
        kept[order[:count]] = True
        return _one_a_group(kept, logits, channels)

    def is_too_much(count: int) -> bool:
        return float(counts.left(largest(count).double())) > parameters

    return largest(max(0, bisect_left(range(len(logits) + 1), True, key=is_too_much) - 1))


def _one_a_group(kept: Tensor, logits: Tensor, channels: ChannelMap) -> Tensor:
    for _, place in channels.slices():
        if not bool(kept[place].any()):
            kept[place.start + int(logits[place].argmax())] = True
    return kept


def kept_channels(outputs: Tensor, kept: Tensor) -> int:
    """How many of a layer's channels stay.

    Args:
        outputs: (c,) int64, gate or OPEN of each channel.
        kept: (G,) bool.
    """
    return int((kept[outputs] | (outputs == OPEN)).sum())
