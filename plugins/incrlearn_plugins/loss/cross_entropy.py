"""The classification loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from incrlearn import Batch, LossTerm, Output, Plugin, RunState, hookimpl
from incrlearn_plugins.loss.shares import new_share

_NO_CLASS = -100
"""A label that torch's cross-entropy passes over."""


class CrossEntropy(Plugin):
    """Cross-entropy of the head over all classes seen (DER, Eq. 3), or over the new ones alone (LwF)."""

    kind = "loss"
    provides = frozenset({"classification"})

    class Config(Plugin.Config):
        """Options; the defaults are DER's."""

        over: Literal["all", "new"] = "all"
        """The classes that the softmax runs over. ``new``: old classes get no gradient from it, and images of old
        classes take no part."""
        weight: Annotated[float, Field(ge=0)] | Literal["new_share"] = 1.0
        """Weight of the loss in every phase that takes it; ``new_share``: new classes over classes seen, the other half
        of ``old_share`` in ``distill``."""

        def refuses(self) -> Mapping[str, str]:
            """Over the new classes alone: a phase in which the head is learned from a new draw by this loss only."""
            if self.over == "all":
                return {}
            return {
                "retrained_head": "the head would be drawn anew, and over: new never teaches it the old classes; write "
                "over: all here, or take that phase out"
            }

    config: Config

    @hookimpl
    def loss_terms(self, state: RunState, batch: Batch, out: Output) -> list[LossTerm]:
        """L_H = -1/B sum_i log softmax(logits_i)[y_i], or `new_classes_loss`."""
        if self.config.over == "new" and state.task.known > 0:
            value = new_classes_loss(out.logits, batch.labels, state.task.known)
        else:
            value = cross_entropy(out.logits, batch.labels)
        weight = self.config.weight
        return [LossTerm(self.name, value, new_share(state.task) if weight == "new_share" else weight)]


def new_classes_loss(logits: Tensor, labels: Tensor, known: int) -> Tensor:
    """Cross-entropy over the new classes: -1/|N| sum_{i in N} log softmax(logits_i[known:])[y_i - known].

    N are the images of new classes in the batch; without any the loss is 0. Where all images are new this is what other
    code does with "fake targets", labels less ``known``; those cannot do with images of old classes.

    Args:
        logits: (B, K) over all classes seen.
        labels: (B,) int64 in class order.
        known: classes seen before the task, fewer than K.

    Returns:
        A scalar; nothing here waits for the device.
    """
    is_new = labels >= known
    targets = (labels - known).where(is_new, _NO_CLASS)
    total = cross_entropy(logits[:, known:], targets, ignore_index=_NO_CLASS, reduction="sum")
    return total / is_new.sum().clamp(min=1)
