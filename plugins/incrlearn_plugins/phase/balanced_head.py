"""DER's classifier stage: the head alone, drawn anew, on a class-balanced subset."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from incrlearn import Phase, Plugin, RunState, Samples, hookimpl
from incrlearn.network import redraw_heads
from incrlearn_plugins.phase.stage import StageOptions
from incrlearn_plugins.phase.subset import balanced_positions


class BalancedHead(Plugin):
    """Retrains the head alone, from a new draw, on as many samples of each class as the smallest has (DER, 3.4)."""

    kind = "phase"
    needs = frozenset({"classification", "exemplars", "training"})
    provides = frozenset({"retrained_head"})

    class Config(StageOptions):
        """Options; the defaults are the paper's for CIFAR-100."""

        epochs: int = Field(30, ge=1)
        """Passes over the balanced subset."""
        lr: float = Field(0.1, gt=0)
        """Learning rate at the start."""
        milestones: tuple[int, ...] = (15,)
        """Epochs, counted from 0, at which the rate falls."""
        weight_decay: float = Field(5.0e-4, ge=0)
        """L2 penalty of SGD."""
        temperature: float = Field(5.0, gt=0)
        """delta: the loss is taken on softmax(logits / delta); 5 on CIFAR-100, 1 on ImageNet-100."""

    config: Config

    @hookimpl
    def phases(self, state: RunState) -> Phase | None:
        """One phase over the head; none in the first task, where the classes are balanced already."""
        if state.task.known == 0:
            return None
        return Phase(
            self.name,
            self.config.epochs,
            self.config.batch,
            trains="head",
            terms=frozenset({"classification"}),
            temperature=self.config.temperature,
        )

    @hookimpl
    def select_data(self, state: RunState, phase: Phase, new: Samples, memory: Samples) -> Samples | None:
        """The balanced subset, for its own phase."""
        if phase.name != self.name:
            return None
        samples = new + memory
        return samples.take(balanced_positions(samples.labels, state.generator(f"{self.name}/subset")))

    @hookimpl
    def make_optimizer(self, phase: Phase, groups: list[dict[str, Any]]) -> tuple[Optimizer, LRScheduler] | None:
        """SGD for its own phase."""
        return self.config.make_sgd(groups, self.config.weight_decay) if phase.name == self.name else None

    @hookimpl
    def phase_start(self, state: RunState) -> None:
        """Draw the head anew."""
        if state.phase is not None and state.phase.name == self.name:
            redraw_heads(state, self.name)
