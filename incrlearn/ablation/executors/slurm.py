"""Runs as jobs of a Slurm cluster, through submitit (the extra ``slurm``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import submitit
import torch

from incrlearn.ablation.job import Job, Outcome, train

_DEFAULTS = {"timeout_min": 24 * 60, "name": "incrlearn"}


@dataclass(frozen=True)
class Submitted:
    """A job in the queue."""

    job: Any

    def is_done(self) -> bool:
        """Whether it has left the queue."""
        return bool(self.job.done())

    def outcome(self) -> Outcome:
        """How it ended; raises where it was cancelled, timed out or lost its node."""
        outcome: Outcome = self.job.result()
        return outcome


class Slurm:
    """A Slurm job for each run, or a process of this machine's where there is no Slurm."""

    def __init__(self, folder: Path, jobs: int | None, parameters: Mapping[str, Any], waiting: int) -> None:
        """Get ready to submit.

        Args:
            folder: for submitit's scripts and logs; on a disk that the nodes see.
            jobs: runs side by side; None: all are put into the queue at once on Slurm, one at a time without it.
            parameters: of submitit, such as ``timeout_min``, ``gpus_per_node``, ``cpus_per_task``, ``slurm_partition``.
            waiting: how many runs there are.
        """
        self._executor = submitit.AutoExecutor(folder=folder / "%j")
        is_local = self._executor.cluster == "local"
        # Without being asked for one, submitit's local jobs see no GPU.
        gpus = {"gpus_per_node": min(1, torch.cuda.device_count())} if is_local else {}
        self._executor.update_parameters(**{**_DEFAULTS, **gpus, **parameters})
        alone = 1 if is_local else max(1, waiting)
        self.slots = jobs if jobs is not None else alone
        cores = parameters.get("cpus_per_task")
        self._threads = int(cores) if cores is not None else None
        self._submitted: list[Any] = []

    def submit(self, job: Job, slot: int) -> Submitted:  # noqa: ARG002 (Slurm finds the place)
        """Put a job into the queue."""
        submitted = self._executor.submit(train, replace(job, threads=self._threads))
        self._submitted.append(submitted)
        return Submitted(submitted)

    def close(self) -> None:
        """Cancel what is still in the queue or at work."""
        for job in self._submitted:
            if not job.done():
                job.cancel(check=False)
