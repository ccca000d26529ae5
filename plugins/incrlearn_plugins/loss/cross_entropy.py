"""The classification loss."""

from __future__ import annotations

from torch.nn.functional import cross_entropy

from incrlearn import Batch, LossTerm, Output, Plugin, hookimpl


class CrossEntropy(Plugin):
    """Cross-entropy of the head over all classes seen (DER, Eq. 3)."""

    kind = "loss"
    provides = frozenset({"classification"})

    @hookimpl
    def loss_terms(self, batch: Batch, out: Output) -> list[LossTerm]:
        """L_H = -1/B sum_i log softmax(logits_i)[y_i]."""
        return [LossTerm(self.name, cross_entropy(out.logits, batch.labels))]
