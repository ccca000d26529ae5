"""The main training phase: SGD with warm-up and a schedule, the first task with another one where wanted."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from incrlearn import Phase, Plugin, RunState, hookimpl
from incrlearn.network import redraw_heads
from incrlearn_plugins.phase.schedule import Shape, check_milestones, learning_rate_factor, sgd_with_schedule


class Schedule(Plugin.Config):
    """How long a task trains and at what rate."""

    lr: float = Field(0.1, gt=0)
    """Learning rate at its highest."""
    epochs: int = Field(170, ge=1)
    """Passes over the task's data."""
    shape: Shape = "milestones"
    """``milestones``: times ``gamma`` at each; ``cosine``: a half cosine to 0."""
    milestones: tuple[int, ...] = (110, 130)
    """Epochs, counted from 0 and from the start of the phase, warm-up included, at which the rate falls."""
    gamma: float = Field(0.1, gt=0, le=1)
    """Factor at each milestone."""
    warmup: int = Field(10, ge=0)
    """Epochs of linear warm-up; in the last of them the rate is ``lr``."""
    fresh_heads: bool = True
    """Draw the head and every attached head anew right after the warm-up, as the authors do."""

    @model_validator(mode="after")
    def _fits(self) -> Schedule:
        if problems := self.misfits():
            raise ValueError("; and ".join(problems))
        return self

    def misfits(self) -> list[str]:
        """Which options do not go together, in words."""
        default = {name: "" if name in self.model_fields_set else ", the default" for name in type(self).model_fields}
        problems = []
        if self.warmup >= self.epochs and self.warmup > 0:
            warmup, epochs = f"{self.warmup}{default['warmup']}", f"{self.epochs}{default['epochs']}"
            problems.append(f"warmup ({warmup}) must be shorter than epochs ({epochs}); 0 is none")
        if self.shape == "milestones":
            try:
                check_milestones(self.milestones, self.epochs)
            except ValueError as error:
                problems.append(f"{error}{' (these are the default)' if default['milestones'] else ''}")
        return problems

    def factors(self) -> list[float]:
        """The factor on ``lr`` in each epoch."""
        return [
            learning_rate_factor(epoch, self.epochs, self.shape, self.milestones, self.gamma, self.warmup)
            for epoch in range(self.epochs)
        ]


class FirstTask(Plugin.Config):
    """What is different in the first task; null is as in the others."""

    lr: float | None = Field(None, gt=0)
    """Learning rate at its highest."""
    epochs: int | None = Field(None, ge=1)
    """Passes over the task's data."""
    shape: Shape | None = None
    """``milestones`` or ``cosine``."""
    milestones: tuple[int, ...] | None = None
    """Epochs, counted from 0, at which the rate falls."""
    gamma: float | None = Field(None, gt=0, le=1)
    """Factor at each milestone."""
    warmup: int | None = Field(None, ge=0)
    """Epochs of linear warm-up."""
    fresh_heads: bool | None = None
    """Whether the heads are drawn anew after the warm-up."""


class Sgd(Plugin):
    """The main phase of each task: SGD with momentum, warm-up, and milestones or a cosine."""

    kind = "phase"
    needs = frozenset({"classification"})
    provides = frozenset({"training"})

    class Config(Schedule):
        """Options; those of the schedule are the paper's for CIFAR-100."""

        batch: int = Field(128, ge=2)
        """Images a step at most; an epoch is cut into batches as even as can be."""
        momentum: float = Field(0.9, ge=0, lt=1)
        """Momentum of SGD."""
        weight_decay: float = Field(5.0e-4, ge=0)
        """L2 penalty of SGD."""
        first: FirstTask | None = None
        """What is different in the first task; null: nothing."""

        def misfits(self) -> list[str]:
            """Which options do not go together, in any task."""
            own = super().misfits()
            first = self.schedule(task=1).misfits() if self.first is not None else []
            return own + [f"first: {problem}" for problem in first if problem not in own]

        def schedule(self, task: int) -> Schedule:
            """The schedule of a task (number from 1)."""
            options, given = self.model_dump(include=set(Schedule.model_fields)), set(self.model_fields_set)
            if task == 1 and self.first is not None:
                first = self.first.model_dump(exclude_none=True)
                options, given = options | first, given | first.keys()
            return Schedule.model_construct(given, **options)

        def also_provides(self) -> frozenset[str]:
            """``fresh_heads`` where it draws the heads anew in tasks after the first."""
            return frozenset({"fresh_heads"}) if self.fresh_heads and self.warmup > 0 else frozenset()

    config: Config

    @hookimpl
    def phases(self, state: RunState) -> Phase:
        """One phase over the whole network with every loss."""
        return Phase(self.name, self.config.schedule(state.task.number).epochs, self.config.batch)

    @hookimpl
    def make_optimizer(
        self, state: RunState, phase: Phase, groups: list[dict[str, Any]]
    ) -> tuple[Optimizer, LRScheduler] | None:
        """SGD for its own phase."""
        if phase.name != self.name:
            return None
        schedule = self.config.schedule(state.task.number)
        return sgd_with_schedule(
            groups, schedule.lr, self.config.momentum, self.config.weight_decay, schedule.factors()
        )

    @hookimpl
    def epoch_start(self, state: RunState) -> None:
        """Draw the heads anew in the first epoch after the warm-up."""
        schedule = self.config.schedule(state.task.number)
        in_own_phase = state.phase is not None and state.phase.name == self.name
        if in_own_phase and schedule.fresh_heads and 0 < schedule.warmup == state.epoch:
            redraw_heads(state, f"{self.name}/after warm-up")
