"""Knowledge distillation: on the old classes the network is to say what it said before the task."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from incrlearn import Batch, LossTerm, Output, Plugin, RunState, hookimpl
from incrlearn_plugins.loss.shares import old_share


class Distill(Plugin):
    """Distillation of the old classes' logits from the network of the task before (LwF, BiC, WA)."""

    kind = "loss"
    needs = frozenset({"teacher"})
    provides = frozenset({"distillation"})

    class Config(Plugin.Config):
        """Options; the defaults are LwF's."""

        temperature: float = Field(2.0, gt=0)
        """T: both softmaxes are taken on logits / T."""
        weight: Annotated[float, Field(ge=0)] | Literal["old_share"] = 1.0
        """Weight of the loss; ``old_share``: classes known before the task over classes seen with it, as in BiC and WA,
        which give the rest to the classification loss (``weight: new_share`` there). There is no loss in the first
        task. The loss has no factor T²: for the form with it write the number, 4.0 at T = 2."""

    config: Config

    @hookimpl
    def loss_terms(self, state: RunState, batch: Batch, out: Output) -> list[LossTerm]:
        """L_KD on the logits of the classes that the teacher knows."""
        if state.teacher is None:
            return []
        old = state.teacher(batch).logits
        # The phase has divided the network's own logits by its temperature, not the teacher's.
        softening = state.phase.temperature if state.phase is not None else 1.0
        value = distillation_loss(out.logits[:, : old.shape[1]], old / softening, self.config.temperature)
        weight = self.config.weight
        return [LossTerm(self.name, value, old_share(state.task) if weight == "old_share" else weight)]


def distillation_loss(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """L_KD = -1/B sum_i sum_{k old} softmax(teacher_i / T)[k] log softmax(logits_i / T)[k].

    LwF, Eq. 2. The mean over the batch, the sum over the classes, without the factor T² of Hinton et al. (2015):
    the gradient falls as 1/T² where T is large. At its least it is the entropy of the teacher's softmax,
    not 0; its gradient is that of the Kullback-Leibler divergence.

    Args:
        logits: (B, known), the network's on the old classes alone: new ones have no share in the softmax.
        teacher: (B, known) without a gradient.
        temperature: T > 0.

    Returns:
        A scalar.
    """
    return cross_entropy(logits / temperature, (teacher / temperature).softmax(dim=1))
