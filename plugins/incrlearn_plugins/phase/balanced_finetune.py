"""Fine-tuning on a class-balanced subset after the main phase, from where the network stands."""

from __future__ import annotations

from itertools import chain
from typing import Any, Literal

from pydantic import Field
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from incrlearn import Phase, Plugin, RunState, Samples, hookimpl
from incrlearn_plugins.phase.stage import StageOptions
from incrlearn_plugins.phase.subset import balanced_positions


class BalancedFinetune(Plugin):
    """Trains on for a few epochs on as many samples of each class as the smallest has (PODNet; Douillard et al., 2020).

    Nothing is drawn anew, unlike in ``balanced_head``. There is no such phase in the first task.
    """

    kind = "phase"
    needs = frozenset({"classification", "exemplars", "training"})

    class Config(StageOptions):
        """Options; the defaults are those of PODNet's authors for CIFAR-100."""

        trains: Literal["head", "network"] = "head"
        """``head``: the head alone; ``network``: all, at a rate as low as 0.005, as PyCIL has it."""
        losses: Literal["all", "classification"] = "all"
        """Which take part: all of the recipe, or only those that classify."""
        unfix: bool = True
        """Let weights learn too that the head keeps fixed in other phases (``old: fixed``)."""
        epochs: int = Field(20, ge=1)
        """Passes over the balanced subset."""
        lr: float = Field(0.05, gt=0)
        """Learning rate at the start."""
        weight_decay: float = Field(5.0e-4, ge=0)
        """L2 penalty of SGD."""

    config: Config

    def __init__(self, name: str, config: Config) -> None:
        """Bind to a recipe."""
        super().__init__(name, config)
        self._unfixed: list[nn.Parameter] = []

    @hookimpl
    def phases(self, state: RunState) -> Phase | None:
        """One phase; none in the first task, where the classes are balanced already."""
        if state.task.known == 0:
            return None
        config = self.config
        terms = frozenset({"classification"}) if config.losses == "classification" else None
        return Phase(self.name, config.epochs, config.batch, trains=config.trains, terms=terms)

    @hookimpl
    def select_data(self, state: RunState, phase: Phase, new: Samples, memory: Samples) -> Samples | None:
        """The balanced subset, for its own phase."""
        if phase.name != self.name:
            return None
        samples = new + memory
        return samples.take(balanced_positions(samples.labels, state.generator(f"{self.name}/subset")))

    @hookimpl
    def param_groups(self, state: RunState, phase: Phase) -> list[dict[str, Any]] | None:
        """What is to learn in its own phase, with the weights that are fixed elsewhere where wanted."""
        if phase.name != self.name:
            return None
        network, config = state.network, self.config
        head = {id(p): p for p in network.head.parameters() if p.requires_grad or config.unfix}
        others = [p for p in network.parameters() if p.requires_grad and id(p) not in head]
        return [{"params": list(chain(others if config.trains == "network" else [], head.values()))}]

    @hookimpl
    def make_optimizer(self, phase: Phase, groups: list[dict[str, Any]]) -> tuple[Optimizer, LRScheduler] | None:
        """SGD for its own phase."""
        return self.config.make_sgd(groups, self.config.weight_decay) if phase.name == self.name else None

    @hookimpl
    def phase_start(self, state: RunState) -> None:
        """Give the head's fixed weights gradients."""
        if state.phase is not None and state.phase.name == self.name and self.config.unfix:
            self._unfixed = [p for p in state.network.head.parameters() if not p.requires_grad]
            for parameter in self._unfixed:
                parameter.requires_grad_(True)

    @hookimpl
    def phase_end(self, state: RunState) -> None:
        """Fix them again."""
        if state.phase is not None and state.phase.name == self.name:
            for parameter in self._unfixed:
                parameter.requires_grad_(False)
            self._unfixed = []
