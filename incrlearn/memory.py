"""The rehearsal memory: exemplars ranked per class, as references into the training split, and how many to keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from pydantic import Field, model_validator
from torch import Tensor

from incrlearn.hooks import hookimpl
from incrlearn.plugin import Plugin
from incrlearn.types import Samples, Task

__all__ = ["QuotaMemory", "exemplars_per_class", "held_out_part"]


@dataclass(frozen=True, eq=False)
class ClassExemplars:
    """The exemplars of one class as positions in the training split, int64, best first in both parts."""

    training: Tensor
    held_out: Tensor
    """Those that no phase trains on."""
    share: float = 0.0
    """Of the exemplars, the share that is held out; see `held_out_part`."""

    def shrunk(self, quota: int) -> ClassExemplars:
        """At most ``quota`` of them, the best of each part."""
        part = min(held_out_part(quota, self.share), len(self.held_out))
        return ClassExemplars(self.training[: quota - part].clone(), self.held_out[:part].clone(), self.share)


def held_out_part(quota: int, share: float) -> int:
    """How many of a class's ``quota`` exemplars are held-out ones: quota times share, rounded to the nearest.

    At least one where anything is held out, and never all: of a quota of 1 none is.

    Args:
        quota: 0 or more.
        share: from 0 to 1.
    """
    if share <= 0:
        return 0
    return min(max(1, int(quota * share + 0.5)), max(0, quota - 1))


class ExemplarMemory:
    """Exemplars of each class seen, best first, so that a smaller quota keeps a prefix of either part."""

    def __init__(self) -> None:
        self._classes: dict[int, ClassExemplars] = {}

    def __len__(self) -> int:
        return sum(len(kept.training) + len(kept.held_out) for kept in self._classes.values())

    def put(self, label: int, kept: ClassExemplars) -> None:
        """Keep the exemplars of ``label``."""
        self._classes[label] = kept

    def truncate(self, quota: Sequence[int]) -> None:
        """Keep at most ``quota[label]`` exemplars of each class, the best."""
        self._classes = {label: kept.shrunk(quota[label]) for label, kept in self._classes.items()}

    def samples(self) -> Samples:
        """The exemplars to train on, by class and best first within a class."""
        return _by_class({label: kept.training for label, kept in self._classes.items()})

    def held_out(self) -> Samples:
        """The exemplars that no phase trains on, by class and best first within a class."""
        return _by_class({label: kept.held_out for label, kept in self._classes.items()})

    def state_dict(self) -> dict[str, Tensor]:
        """Exemplars by label, as text because checkpoints keep plain keys; held-out ones under keys of their own."""
        state = {}
        for label, kept in self._classes.items():
            state[str(label)] = kept.training
            if kept.share > 0:
                share = torch.tensor(kept.share, dtype=torch.float64)
                state |= {f"{label} held out": kept.held_out, f"{label} share": share}
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take back what `state_dict` gave, or what was written when nothing could be held out yet."""
        nothing, no_share = torch.empty(0, dtype=torch.int64), torch.zeros(())
        self._classes = {
            int(label): ClassExemplars(
                training=state[label],
                held_out=state.get(f"{label} held out", nothing),
                share=float(state.get(f"{label} share", no_share)),
            )
            for label in state
            if label.isdecimal()
        }


def _by_class(indices: dict[int, Tensor]) -> Samples:
    """Samples in the order of their labels."""
    if not indices:
        return Samples.empty()
    labels = sorted(indices)
    counts = torch.tensor([len(indices[label]) for label in labels])
    positions = torch.cat([indices[label] for label in labels])
    return Samples(positions, torch.repeat_interleave(torch.tensor(labels), counts))


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
