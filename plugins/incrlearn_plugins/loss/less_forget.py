"""UCIR's less-forget constraint: features are to point where they did before the task (Hou et al., CVPR 2019)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from incrlearn import Batch, LossTerm, Output, Plugin, PluginError, RunState, Task, hookimpl

Growth = Literal["old/new", "new/old", "none"]


class LessForget(Plugin):
    """Keeps the directions of the features near those of the network of the task before (UCIR, Eq. 6).

    In a network with several extractors, of which the old ones are frozen, it compares the newest one with what was the
    newest before: with that which ``expandable`` lets it start from.
    """

    kind = "loss"
    needs = frozenset({"teacher"})
    provides = frozenset({"distillation"})

    class Config(Plugin.Config):
        """Options; the defaults are the authors'."""

        weight: float = Field(5.0, ge=0)
        """lambda_base: 5 on CIFAR-100 in the paper, 10 on ImageNet."""
        growth: Growth = "old/new"
        """What lambda_base is multiplied with: the root of old over new classes, as in the authors' code, so that the
        constraint grows with what there is to forget; of ``new/old``, as Eq. 7 is printed in the paper; or ``none``."""

        def refuses(self) -> Mapping[str, str]:
            """Removal of features: those left could not be compared with the ones before."""
            return {
                "sparsity": "features that are removed cannot be compared with those before; take one of the two out"
            }

    config: Config

    @hookimpl
    def loss_terms(self, state: RunState, batch: Batch, out: Output) -> list[LossTerm]:
        """L_dis^G over all images; nothing in the first task, and where the head alone learns and features stay."""
        if state.teacher is None or (state.phase is not None and state.phase.trains == "head"):
            return []
        before, now = state.teacher(batch).parts[-1], out.parts[-1]
        if before.shape != now.shape:
            raise PluginError(
                f"'{self.name}' compares the features with those before the task, and there were {before.shape[1]} of "
                f"them, now {now.shape[1]}; it needs as many"
            )
        return [LossTerm(self.name, less_forget_loss(now, before), constraint_weight(self.config, state.task))]


def less_forget_loss(features: Tensor, before: Tensor) -> Tensor:
    """UCIR's less-forget constraint: L_dis^G = 1 - <f* / ||f*||, f / ||f||> (Eq. 6), mean over the batch.

    Args:
        features: (B, D), f.
        before: (B, D), f* of the network of the task before, without a gradient.

    Returns:
        A scalar in [0, 2]; 1 for features of zeros.
    """
    return 1 - (normalize(features, dim=1) * normalize(before, dim=1)).sum(dim=1).mean()


def constraint_weight(config: LessForget.Config, task: Task) -> float:
    """UCIR's lambda (Eq. 7): lambda_base times the root of old over new classes, or as ``growth`` says.

    Args:
        config: lambda_base and ``growth``.
        task: from the second on.
    """
    old, new = task.known, task.new
    if config.growth == "none":
        return config.weight
    return config.weight * math.sqrt(old / new if config.growth == "old/new" else new / old)
