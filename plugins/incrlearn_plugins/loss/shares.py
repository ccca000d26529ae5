"""Weights of losses that follow from how many classes are old."""

from __future__ import annotations

from incrlearn import Task


def old_share(task: Task) -> float:
    """Classes known before the task over classes seen with it: lambda of BiC and WA; 0 in the first task."""
    return task.known / task.seen


def new_share(task: Task) -> float:
    """1 - `old_share`; 1 in the first task."""
    return task.new / task.seen
