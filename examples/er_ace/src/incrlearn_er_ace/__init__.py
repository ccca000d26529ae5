"""ER-ACE: replay whose new images cannot push old classes down (Caccia et al., ICLR 2022, arXiv 2104.05025)."""

from __future__ import annotations

from typing import Literal

import torch
from incrlearn import Batch, LossTerm, Output, Plugin, RunState, hookimpl
from torch import Tensor


class ErAce(Plugin):
    """Asymmetric cross-entropy: new images compete among new classes alone, exemplars among all classes.

    With plain cross-entropy the many new images of a batch drag the features of the few exemplars away from where their
    classes were. Here only exemplars tell old classes from new ones.
    """

    kind = "loss"
    provides = frozenset({"classification"})

    class Config(Plugin.Config):
        """Options; the default is the paper's."""

        among: Literal["batch", "task"] = "batch"
        """What a new image competes among: the new classes that are in its batch, or all of its task."""

    config: Config

    @hookimpl
    def loss_terms(self, state: RunState, batch: Batch, out: Output) -> list[LossTerm]:
        """L = L_ce(new images, their classes) + L_ce(exemplars, all classes), in every phase that takes it."""
        known, among = state.task.known, self.config.among
        return [LossTerm(self.name, asymmetric_cross_entropy(out.logits, batch.labels, known, among))]


def asymmetric_cross_entropy(logits: Tensor, labels: Tensor, known: int, among: Literal["batch", "task"]) -> Tensor:
    """Mean cross-entropy of the new images over C plus that of the exemplars over all classes (Caccia et al.).

    C are the new classes: those with an image in the batch, or all of the task. A part without images is 0.

    Args:
        logits: (B, K) over all classes seen.
        labels: (B,) int64 in the order of arrival; those below ``known`` are exemplars'.
        known: classes seen before the task, fewer than K.
        among: ``batch`` or ``task``.

    Returns:
        A scalar; nothing here waits for the device.
    """
    is_new = labels >= known
    classes = torch.arange(logits.shape[1], device=logits.device)
    present = torch.zeros_like(classes, dtype=torch.bool).index_fill(0, labels, True)
    rivals = (classes >= known) & (present | (among == "task"))
    masked = logits.masked_fill(is_new[:, None] & ~rivals, -torch.inf)
    of_image = -masked.log_softmax(dim=1).gather(1, labels[:, None]).squeeze(1)
    return _mean_where(is_new, of_image) + _mean_where(~is_new, of_image)


def _mean_where(wanted: Tensor, values: Tensor) -> Tensor:
    """The mean of the wanted values, 0 where none is."""
    return (values * wanted).sum() / wanted.sum().clamp(min=1)
