"""What every engine for many runs looks like to the scheduler."""

from __future__ import annotations

from typing import Protocol

from incrlearn.ablation.job import Job, Outcome


class Handle(Protocol):
    """A job that was handed over."""

    def is_done(self) -> bool:
        """Whether there is an outcome, or the worker is gone."""
        ...

    def outcome(self) -> Outcome:
        """How it ended; to be asked once it is done.

        Raises:
            Exception: of any kind: the worker was lost before it could tell.
        """
        ...


class Executor(Protocol):
    """Trains jobs, at most one a slot at a time."""

    @property
    def slots(self) -> int:
        """How many jobs can be at work side by side."""
        ...

    def submit(self, job: Job, slot: int) -> Handle:
        """Hand a job over to a slot that is free; ``0 <= slot < slots``."""
        ...

    def close(self) -> None:
        """Stop what is still at work and let go of all workers."""
        ...
