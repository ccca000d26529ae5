"""UCIR's inter-class separation: exemplars keep away from new classes that resemble them (Hou et al., CVPR 2019)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from incrlearn import Batch, LossTerm, Output, Plugin, PluginError, RunState, TaskPasses, hookimpl
from incrlearn.network import CosineClassifier


class Margin(Plugin):
    """Margin ranking loss between an exemplar's own class and the nearest new classes, on cosines (UCIR, Eq. 8)."""

    kind = "loss"
    needs = frozenset({"cosines", "exemplars"})
    provides = frozenset({"separation"})

    class Config(Plugin.Config):
        """Options; the defaults are the paper's."""

        margin: float = Field(0.5, gt=0, le=2)
        """m: by how much the cosine with the own class is to exceed the others. Cosines differ by 2 at most."""
        nearest: int = Field(2, ge=1)
        """K: how many new classes each exemplar is held against; all where a task has fewer."""
        over_nearest: Literal["sum", "mean"] = "sum"
        """How these add up: ``sum`` as in the paper, ``mean`` as in the authors' code. Over the exemplars of a batch it
        is always the mean."""
        weight: float = Field(1.0, ge=0)
        """Weight of the loss; there is none in the first task."""

    config: Config

    @hookimpl
    def prepare(self, state: RunState, passes: TaskPasses) -> None:  # noqa: ARG002
        """Refuse a head without cosines."""
        _cosine_head(self.name, state)

    @hookimpl
    def loss_terms(self, state: RunState, batch: Batch, out: Output) -> list[LossTerm]:
        """L_mr over the batch's images of old classes."""
        config, known = self.config, state.task.known
        if known == 0:
            return []
        # Not the logits over eta: those of a phase with a temperature are divided by it.
        cosines = _cosine_head(self.name, state).cosines(out.features)
        value = margin_ranking_loss(cosines, batch.labels, known, config.nearest, config.margin)
        if config.over_nearest == "mean":
            value = value / min(config.nearest, state.task.new)
        return [LossTerm(self.name, value, config.weight)]


def _cosine_head(name: str, state: RunState) -> CosineClassifier:
    head = state.network.head
    if not isinstance(head, CosineClassifier):
        raise PluginError(
            f"'{name}' compares cosines, and the head {type(head).__name__} has no cosines(features); "
            "use the head 'cosine'"
        )
    return head


def margin_ranking_loss(cosines: Tensor, labels: Tensor, known: int, nearest: int, margin: float) -> Tensor:
    """UCIR's inter-class separation: L_mr (Eq. 8), mean over the N_o images of old classes in the batch (Eq. 9).

    L_mr(x) = sum_{k=1}^K max(m - <theta(x), f(x)> + <theta^k, f(x)>, 0): theta(x) is the weight of x's own class,
    theta^k those of the K new classes that x is most like, all of length 1.

    Args:
        cosines: (B, K_all), <theta_i, f(x)> for all classes seen.
        labels: (B,) int64 in class order.
        known: classes seen before the task, from 1 to K_all - 1.
        nearest: K; all new classes where there are fewer.
        margin: m.

    Returns:
        A scalar, 0 where the batch has no image of an old class; nothing here waits for the device.
    """
    is_old = labels < known
    own = cosines.gather(1, labels[:, None])
    others = cosines[:, known:]
    hardest = others.topk(min(nearest, others.shape[1]), dim=1).values
    each = (margin - own + hardest).clamp(min=0).sum(dim=1)
    return each.where(is_old, 0.0).sum() / is_old.sum().clamp(min=1)
