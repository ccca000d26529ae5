"""Random exemplars."""

from __future__ import annotations

import torch
from torch import Tensor

from incrlearn import Plugin, RunState, Task, hookimpl
from incrlearn.memory import QuotaConfig


class Random(Plugin):
    """Exemplars drawn at random, without replacement."""

    kind = "memory"
    provides = frozenset({"exemplars"})

    class Config(QuotaConfig):
        """Options."""

    config: Config

    @hookimpl
    def memory_quota(self, task: Task) -> int:
        """``per_class``, or ``total // classes seen``."""
        return self.config.quota(task.seen)

    @hookimpl
    def rank_exemplars(self, state: RunState, label: int, features: Tensor, quota: int) -> Tensor:
        """A random choice, its own for each class."""
        order = torch.randperm(len(features), generator=state.generator(f"{self.name}/class {label}"))
        return order[:quota]
