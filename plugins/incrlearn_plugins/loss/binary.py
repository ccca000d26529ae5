"""iCaRL's loss: one sigmoid a class, old classes after the network of the task before (Rebuffi et al., CVPR 2017)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from incrlearn import Batch, LossTerm, Output, Plugin, RunState, hookimpl


class Binary(Plugin):
    """Sigmoid cross-entropy that classifies new classes and distils old ones (iCaRL, Algorithm 3)."""

    kind = "loss"
    needs = frozenset({"teacher"})
    provides = frozenset({"classification"})

    class Config(Plugin.Config):
        """Options."""

        over_classes: Literal["sum", "mean"] = "sum"
        """How the classes add up: ``sum`` as the paper has it; ``mean`` divides by the classes seen, which wants a
        learning rate as many times larger. Over the images of a batch it is always the mean."""
        weight: float = Field(1.0, ge=0)
        """Factor on the loss."""

    config: Config

    @hookimpl
    def loss_terms(self, state: RunState, batch: Batch, out: Output) -> list[LossTerm]:
        """The loss over all classes seen; in the first task there is nothing to distil."""
        old = None
        if state.teacher is not None:
            # In a phase with a temperature ``out.logits`` are divided by it already: the teacher's are to be alike.
            temperature = state.phase.temperature if state.phase is not None else 1.0
            old = state.teacher(batch).logits / temperature
        value = binary_loss(out.logits, binary_targets(batch.labels, out.logits.shape[1], old))
        if self.config.over_classes == "mean":
            value = value / out.logits.shape[1]
        return [LossTerm(self.name, value, self.config.weight)]


def binary_targets(labels: Tensor, classes: int, old_logits: Tensor | None) -> Tensor:
    """What each class's sigmoid is to say of each image: iCaRL, Algorithm 3.

    For new classes [y = y_i]. For old ones q_i^y, the sigmoid of what the network of the task before said, of every
    image: exemplars of old classes have no one-hot target either.

    Args:
        labels: (B,) int64 in class order.
        classes: K, all classes seen.
        old_logits: (B, classes known before the task), without a gradient; None in the first task.

    Returns:
        (B, K) floats in [0, 1].
    """
    one_hot = (labels[:, None] == torch.arange(classes, device=labels.device)).float()
    if old_logits is None:
        return one_hot
    return torch.cat([old_logits.sigmoid(), one_hot[:, old_logits.shape[1] :]], dim=1)


def binary_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Sigmoid cross-entropy, summed over classes, mean over the batch: iCaRL, Algorithm 3 over the number of images.

    -1/B sum_i sum_y q_iy log g_y(x_i) + (1 - q_iy) log(1 - g_y(x_i)), g_y = 1 / (1 + exp(-a_y)).

    Args:
        logits: (B, K), the a_y.
        targets: (B, K) in [0, 1], the q_iy.
    """
    return binary_cross_entropy_with_logits(logits, targets, reduction="sum") / len(logits)
