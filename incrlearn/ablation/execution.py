"""The runs of a grid, handed to an executor: what is done is kept, what was interrupted or lost goes on."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from incrlearn.ablation.executors.base import Executor, Handle
from incrlearn.ablation.grid import Cell
from incrlearn.ablation.job import Job, Outcome
from incrlearn.ablation.pool import Pool
from incrlearn.data import data_root

TIMES_LOST = 3
"""A run whose worker was lost so often is given up."""
_SECONDS_BETWEEN_LOOKS = 0.2


@dataclass(frozen=True)
class Event:
    """Something that happened to a run of the grid."""

    kind: Literal["started", "done", "failed", "lost"]
    """``lost``: its worker died, and the run is taken up again."""
    cell: Cell
    message: str = ""


def make_job(pool: Pool, cell: Cell, data: Path | None) -> Job:
    """A cell in plain values; its device is the executor's to choose.

    ``./data`` is told to the worker, which may stand in another folder; INCRLEARN_DATA is its own machine's.
    """
    is_theirs = data is None and bool(os.environ.get("INCRLEARN_DATA"))
    return Job(
        run_dir=str(pool.run_dir(cell).resolve()),
        name=cell.recipe.name,
        recipe=cell.recipe.resolved(),
        fingerprint=cell.recipe.fingerprint,
        data=None if is_theirs else str(data_root(data).resolve()),
        device="auto",
    )


def run_cells(cells: Sequence[Cell], pool: Pool, data: Path | None, executor: Executor) -> Generator[Event, None, None]:
    """Train what is not finished, one event at a time; stops all workers when the caller stops listening.

    Args:
        cells: in the order in which they are begun.
        pool: where the runs lie.
        data: where data sets lie.
        executor: is closed at the end.
    """
    waiting = deque(cells)
    free = deque(range(executor.slots))
    at_work: dict[int, tuple[Cell, Handle]] = {}
    losses: Counter[tuple[str, int]] = Counter()
    try:
        while waiting or at_work:
            while waiting and free:
                cell, slot = waiting.popleft(), free.popleft()
                yield Event("started", cell)
                try:
                    at_work[slot] = (cell, executor.submit(make_job(pool, cell, data), slot))
                # Each engine has its own errors for a job that it does not take.
                except Exception as error:
                    free.append(slot)
                    yield Event("failed", cell, f"not taken: {_in_a_line(error)}")
            for slot, (cell, handle) in list(at_work.items()):
                if not _is_over(handle):
                    continue
                del at_work[slot]
                free.append(slot)
                event = _ended(cell, handle, losses)
                if event.kind == "lost":
                    waiting.appendleft(cell)
                yield event
            if at_work:
                time.sleep(_SECONDS_BETWEEN_LOOKS)
    finally:
        executor.close()


def _is_over(handle: Handle) -> bool:
    try:
        return handle.is_done()
    # An engine that cannot be asked any more will say why when it is asked for the outcome.
    except Exception:
        return True


def _in_a_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def _ended(cell: Cell, handle: Handle, losses: Counter[tuple[str, int]]) -> Event:
    try:
        outcome = handle.outcome()
    # Engines tell of a dead worker each in their own way; a job itself raises nothing.
    except Exception as error:
        losses[cell.key] += 1
        what = _in_a_line(error)
        if losses[cell.key] < TIMES_LOST:
            return Event("lost", cell, what)
        outcome = Outcome(f"its worker was lost {TIMES_LOST} times, as where memory runs out ({what})")
    return Event("failed", cell, outcome.error) if outcome.error is not None else Event("done", cell)
