"""What the stages after the main phase share: SGD whose rate falls at milestones, as options."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from incrlearn import Plugin
from incrlearn_plugins.phase.schedule import check_milestones, learning_rate_factor, sgd_with_schedule


class StageOptions(Plugin.Config):
    """How long a stage trains and at what rate; how long and how fast is for each stage to say."""

    epochs: int = Field(ge=1)
    """Passes over the subset."""
    lr: float = Field(gt=0)
    """Learning rate at the start."""
    milestones: tuple[int, ...] = ()
    """Epochs, counted from 0, at which the rate falls; none: it stays."""
    gamma: float = Field(0.1, gt=0, le=1)
    """Factor at each milestone."""
    batch: int = Field(128, ge=2)
    """Images a step at most; an epoch is cut into batches as even as can be."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Momentum of SGD."""

    @model_validator(mode="after")
    def _milestones_are_reached(self) -> StageOptions:
        check_milestones(self.milestones, self.epochs)
        return self

    def make_sgd(self, groups: list[dict[str, Any]], weight_decay: float) -> tuple[Optimizer, LRScheduler]:
        """SGD with these options, and what lowers its rate once an epoch.

        Args:
            groups: parameter groups; one may bring its own ``weight_decay``.
            weight_decay: the L2 penalty of the others.
        """
        factors = [
            learning_rate_factor(epoch, self.epochs, "milestones", self.milestones, self.gamma, warmup=0)
            for epoch in range(self.epochs)
        ]
        return sgd_with_schedule(groups, self.lr, self.momentum, weight_decay, factors)
