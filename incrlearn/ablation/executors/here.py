"""One run after the other, in this process."""

from __future__ import annotations

from dataclasses import dataclass, replace

from incrlearn.ablation.job import Job, Outcome, train


@dataclass(frozen=True)
class Done:
    """A job that is over as soon as it was handed over."""

    result: Outcome

    def is_done(self) -> bool:
        """Always."""
        return True

    def outcome(self) -> Outcome:
        """How it ended."""
        return self.result


class Here:
    """Trains in this process: an interrupt stops the run as it does under ``incrlearn run``."""

    slots = 1

    def __init__(self, device: str) -> None:
        """Train on ``device``, as named on the command line."""
        self._device = device

    def submit(self, job: Job, slot: int) -> Done:  # noqa: ARG002 (there is only one)
        """Train the job; comes back when it is over."""
        return Done(train(replace(job, device=self._device)))

    def close(self) -> None:
        """There is nothing to let go of."""
