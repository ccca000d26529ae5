"""Runs of one recipe with one seed that are there more than once: one measurement, of which one run is counted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from incrlearn.engine.record import RunRecord
from incrlearn.report.groups import identity


@dataclass(frozen=True, eq=False)
class Repeat:
    """A run that is there several times, such as an interrupted one that was begun anew."""

    counted: RunRecord
    """The newest."""
    others: tuple[RunRecord, ...]
    """Those that are not counted, in the order given; at least one."""

    @property
    def differ(self) -> bool:
        """Whether they came to other numbers, as on other hardware."""
        return len({json.dumps(run.summary["accuracy_matrix"]) for run in (self.counted, *self.others)}) > 1


def each_seed_once(records: Sequence[RunRecord]) -> tuple[list[RunRecord], list[Repeat]]:
    """Of the runs that differ in nothing but loggers the newest, and which those are.

    Args:
        records: as `incrlearn.report.groups.read_runs` gives them.

    Returns:
        What is to be counted, each where the first run like it came; and the runs that are there more than once.
    """
    found: dict[tuple[str, int], list[RunRecord]] = {}
    for record in records:
        found.setdefault((identity(record), record.seed), []).append(record)
    newest = [max(same, key=lambda run: str(run.summary["date"])) for same in found.values()]
    repeats = [
        Repeat(counted, tuple(run for run in same if run is not counted))
        for counted, same in zip(newest, found.values(), strict=True)
        if len(same) > 1
    ]
    return newest, repeats
