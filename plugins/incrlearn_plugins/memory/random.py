"""Random exemplars."""

from __future__ import annotations

import torch
from torch import Tensor

from incrlearn import RunState, hookimpl
from incrlearn.memory import QuotaMemory


class Random(QuotaMemory):
    """Exemplars drawn at random, without replacement."""

    @hookimpl
    def rank_exemplars(self, state: RunState, label: int, features: Tensor, quota: int) -> Tensor:
        """A random choice, its own for each class."""
        order = torch.randperm(len(features), generator=state.generator(f"{self.name}/class {label}"))
        return order[:quota]
