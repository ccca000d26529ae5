"""Driving lambda_s so that a given share of the weights is left."""

from __future__ import annotations

import torch
from torch import Tensor

from incrlearn_plugins.prune.gates import WeightCounts

_GAIN = 6.0
"""An error of a sixth (in the logarithm) changes the weight by a factor of e."""
_GAIN_OF_SUM = 40.0
"""The same error, held through the whole learning, changes it by a factor of e^(40 / 6)."""
_LARGEST_SUM = 8.0
_SMALLEST_SHARE = 1e-4
_SMALLEST_EXPONENT, _LARGEST_EXPONENT = -12.0, 8.0


def target_share(keep: float, descent: tuple[float, float], progress: float) -> float:
    """The share of weights to be open at ``progress`` of the masks' learning: 1, then falling evenly in the logarithm.

    Args:
        keep: the share to end with, in (0, 1).
        descent: where in the learning the fall begins and ends, in [0, 1].
        progress: 0 at the start, 1 when the masks are binarised.
    """
    begin, end = descent
    return float(keep ** min(1.0, max(0.0, (progress - begin) / (end - begin))))


class BudgetController:
    """The weight of the sparsity loss, steered batch by batch so that the share of open weights follows its target.

    The weight is exp(gain * error + sum), the error being log(share / target): in proportion to begin with, and a
    running sum takes up what the proportion leaves. Before the descent it is 0: only the other losses move the gates.
    Nothing in it waits for the device.
    """

    def __init__(self, keep: float, descent: tuple[float, float], counts: WeightCounts) -> None:
        """Steer along `target_share`; ``counts`` lie on the device."""
        self._keep, self._descent, self._counts = keep, descent, counts
        self.weight: Tensor = torch.zeros((), device=counts.kernel.device)
        """lambda_s for the next batch, a scalar on the device."""
        self._sum: Tensor = torch.zeros((), device=counts.kernel.device)
        self._progress = 0.0

    @torch.no_grad()
    def steer(self, logits: Tensor, progress: float) -> None:
        """Set the weight for the next batch.

        Args:
            logits: (G,), on the device.
            progress: how much of the masks' learning is over, in [0, 1].
        """
        if progress < self._descent[0]:
            return
        left = self._counts.left((logits > 0).to(self._counts.kernel))
        # Gates may all be closed for a while, and float32 may round what is left to nothing.
        share = (left / self._counts.parameters).clamp(min=_SMALLEST_SHARE)
        error = (share / target_share(self._keep, self._descent, progress)).log()
        passed = max(0.0, progress - max(self._progress, self._descent[0]))
        self._progress = progress
        self._sum = (self._sum + _GAIN_OF_SUM * passed * error).clamp(-_LARGEST_SUM, _LARGEST_SUM)
        self.weight = (_GAIN * error + self._sum).clamp(_SMALLEST_EXPONENT, _LARGEST_EXPONENT).exp()
