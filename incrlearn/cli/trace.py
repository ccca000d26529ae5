"""``INCRLEARN_TRACE=hooks``: a line on standard error for every call of a plug-in's hook, with its time."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from incrlearn.errors import Problem, RecipeError

if TYPE_CHECKING:
    from incrlearn.observe import Around
    from incrlearn.types import RunState, Task

TRACE = "INCRLEARN_TRACE"


def asked_trace() -> Around | None:
    """What the environment asks to be told of a run; None: nothing.

    Raises:
        RecipeError: it asks for something else than ``hooks``.
    """
    asked = os.environ.get(TRACE, "")
    if asked not in ("", "hooks"):
        raise RecipeError(TRACE, [Problem(f"'{asked}' cannot be traced; write {TRACE}=hooks")])
    return HookTrace().around if asked else None


class HookTrace:
    """Prints who answered what where, and how long the host was at it; a GPU may still be at work."""

    def __init__(self) -> None:
        self._state: RunState | None = None

    @contextmanager
    def around(self, hook: str, label: str, arguments: dict[str, Any]) -> Iterator[None]:
        """See `incrlearn.observe.Around`."""
        # A run has one state; a method that does not ask for it is called in the same task and phase as others.
        self._state = arguments.get("state", self._state)
        started = time.perf_counter()
        try:
            yield
        finally:
            milliseconds = 1000 * (time.perf_counter() - started)
            where = _where(self._state, arguments.get("task"))
            sys.stderr.write(f"hooks: {where}{'; ' if where else ''}'{label}' {hook} {milliseconds:.3f} ms\n")


def _where(state: RunState | None, task: Task | None) -> str:
    """The task, and the phase and epoch from 1, as far as they are known."""
    if state is None or task is not None:
        return str(task) if task is not None else ""
    words = [str(state.task)]
    if state.phase is not None:
        words += [f"phase '{state.phase.name}'", f"epoch {state.epoch + 1}"]
    return ", ".join(words)
