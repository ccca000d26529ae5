"""Learning rates over a phase, as a pure function and as options shared by the phases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import LambdaLR

Shape = Literal["milestones", "cosine"]


def learning_rate_factor(
    epoch: int, epochs: int, shape: Shape, milestones: Sequence[int], gamma: float, warmup: int
) -> float:
    """The factor on the learning rate in ``epoch`` (from 0).

    Linear warm-up, (epoch + 1) / warmup, so that its last epoch has the full rate; then ``gamma`` to the number of
    milestones reached, or a half cosine from 1 towards 0 over the epochs that are left.
    """
    if epoch < warmup:
        return (epoch + 1) / warmup
    if shape == "cosine":
        return 0.5 * (1 + math.cos(math.pi * (epoch - warmup) / max(1, epochs - warmup)))
    return gamma ** sum(epoch >= milestone for milestone in milestones)


def check_milestones(milestones: Sequence[int], epochs: int) -> None:
    """Make sure that every milestone is reached, in order.

    Raises:
        ValueError: they do not rise, or one lies behind the last epoch.
    """
    if list(milestones) != sorted(set(milestones)):
        raise ValueError(f"milestones must rise, not {list(milestones)}")
    late = [milestone for milestone in milestones if milestone >= epochs]
    if late:
        raise ValueError(f"milestones {late} are never reached in {epochs} epochs; give earlier ones, or [] for none")


def sgd_with_schedule(
    groups: list[dict[str, Any]], lr: float, momentum: float, weight_decay: float, factors: Sequence[float]
) -> tuple[SGD, LambdaLR]:
    """SGD whose learning rate in epoch e is ``lr * factors[e]``.

    A group may bring its own ``lr`` or ``weight_decay``; the factor applies to it too.
    """
    optimizer = torch.optim.SGD(groups, lr=lr, momentum=momentum, weight_decay=weight_decay)
    # After the last epoch the scheduler asks for one more factor.
    return optimizer, LambdaLR(optimizer, lambda epoch: factors[min(epoch, len(factors) - 1)])
