"""Runs side by side on this machine, each in a process of its own with its share of threads, or its GPU."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

from loky import ProcessPoolExecutor

from incrlearn.ablation.job import Job, Outcome, train

_SECONDS_BETWEEN_LOOKS = 0.5


@dataclass(frozen=True)
class Waiting:
    """A job in another process."""

    future: Future[Outcome]

    def is_done(self) -> bool:
        """Whether it is over or its process is gone."""
        return self.future.done()

    def outcome(self) -> Outcome:
        """How it ended; raises where the process died."""
        return self.future.result()


class Processes:
    """A pool of one process for each slot: where a process dies, the others' runs go on."""

    def __init__(self, devices: Sequence[str]) -> None:
        """One slot for each of ``devices``; see `share_devices`."""
        self._devices = tuple(devices)
        self._threads = max(1, usable_cores() // len(self._devices))
        self._pools = [self._open_pool() for _ in self._devices]

    @property
    def slots(self) -> int:
        """As many as there are devices."""
        return len(self._devices)

    def submit(self, job: Job, slot: int) -> Waiting:
        """Hand a job over to the slot's process, which is started anew where it died."""
        placed = replace(job, device=self._devices[slot], threads=self._threads)
        try:
            return Waiting(self._pools[slot].submit(train, placed))
        except RuntimeError:
            # loky's way to say that the process is gone.
            self._pools[slot] = self._open_pool()
            return Waiting(self._pools[slot].submit(train, placed))

    def close(self) -> None:
        """Stop all processes at once; the runs can go on from their last finished task."""
        for pool in self._pools:
            pool.shutdown(wait=True, kill_workers=True)

    def _open_pool(self) -> ProcessPoolExecutor:
        # OpenMP reads its variable once, when torch is imported.
        threads = {"OMP_NUM_THREADS": str(self._threads), "MKL_NUM_THREADS": str(self._threads)}
        return ProcessPoolExecutor(
            max_workers=1, timeout=None, env=threads, initializer=belong_to, initargs=(os.getpid(),)
        )


def belong_to(parent: int) -> None:
    """Make this process end with its parent, and leave an interrupt at the terminal to it.

    A worker that outlived a killed ablation would hold its run against the next one.

    Args:
        parent: process id.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def share_devices(device: str, jobs: int) -> list[str]:
    """A device for each of ``jobs`` slots: the GPUs in turn where ``device`` is ``auto`` or ``cuda``.

    Args:
        device: as on the command line.
        jobs: at least 1.
    """
    import torch

    gpus = torch.cuda.device_count() if device in ("auto", "cuda") else 0
    return [f"cuda:{slot % gpus}" if gpus else device for slot in range(jobs)]


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    os._exit(1)


def usable_cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
