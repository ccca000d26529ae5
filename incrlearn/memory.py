"""The rehearsal memory: exemplars ranked per class, as references into the training split, and how many to keep."""

from __future__ import annotations

import torch
from pydantic import Field, model_validator
from torch import Tensor

from incrlearn.hooks import hookimpl
from incrlearn.plugin import Plugin
from incrlearn.types import Samples, Task


class ExemplarMemory:
    """Exemplars of each class seen, best first, so that a smaller quota keeps a prefix."""

    def __init__(self) -> None:
        self._ranked: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return sum(len(indices) for indices in self._ranked.values())

    def put(self, label: int, indices: Tensor) -> None:
        """Keep ``indices`` (int64, positions in the training split, best first) as the exemplars of ``label``."""
        self._ranked[label] = indices.clone()

    def truncate(self, quota: int) -> None:
        """Keep at most ``quota`` exemplars of each class, the best."""
        self._ranked = {label: indices[:quota].clone() for label, indices in self._ranked.items()}

    def samples(self) -> Samples:
        """All exemplars, by class and best first within a class."""
        if not self._ranked:
            return Samples.empty()
        labels = sorted(self._ranked)
        indices = torch.cat([self._ranked[label] for label in labels])
        counts = torch.tensor([len(self._ranked[label]) for label in labels])
        return Samples(indices, torch.repeat_interleave(torch.tensor(labels), counts))

    def state_dict(self) -> dict[str, Tensor]:
        """Exemplars by label, as text because checkpoints keep plain keys."""
        return {str(label): indices for label, indices in self._ranked.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take back what :meth:`state_dict` gave."""
        self._ranked = {int(label): indices for label, indices in state.items()}


def exemplars_per_class(total: int | None, per_class: int | None, seen: int) -> int:
    """The quota after ``seen`` classes: ``per_class`` where given, else ``total // seen`` (der.md: 2000 // seen)."""
    if per_class is not None:
        return per_class
    if total is None:
        raise ValueError("one of total and per_class is needed")
    return total // seen


class QuotaMemory(Plugin):
    """Base of the memories: options for the quota and the answer to it; subclasses rank the exemplars."""

    kind = "memory"
    provides = frozenset({"exemplars"})

    class Config(Plugin.Config):
        """How many exemplars to keep."""

        total: int | None = Field(None, ge=1)
        """Exemplars in all, shared evenly by the classes seen; give this or ``per_class``."""
        per_class: int | None = Field(None, ge=1)
        """Exemplars of each class; give this or ``total``."""

        @model_validator(mode="after")
        def _one_of_them(self) -> QuotaMemory.Config:
            if (self.total is None) == (self.per_class is None):
                raise ValueError("give exactly one of total, per_class")
            return self

    config: Config

    @hookimpl
    def memory_quota(self, task: Task) -> int:
        """``per_class``, or ``total // classes seen``."""
        return exemplars_per_class(self.config.total, self.config.per_class, task.seen)
