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

TRACE = "INCRLEARN_TRACE"


def asked_trace() -> Around | None:
    """What the environment asks to be told of a run; None: nothing.

    Raises:
        RecipeError: it asks for something else than ``hooks``.
    """
    asked = os.environ.get(TRACE, "")
    if asked not in ("", "hooks"):
        raise RecipeError(TRACE, [Problem(f"'{asked}' cannot be traced; write {TRACE}=hooks")])
    return trace_hook if asked else None


@contextmanager
def trace_hook(hook: str, label: str, arguments: dict[str, Any]) -> Iterator[None]:
    """Print who answered what where, and how long the host was at it; a GPU may still be at work."""
    started = time.perf_counter()
    try:
        yield
    finally:
        milliseconds = 1000 * (time.perf_counter() - started)
        where = _where(arguments)
        sys.stderr.write(f"hooks: {where}{'; ' if where else ''}'{label}' {hook} {milliseconds:.3f} ms\n")


def _where(arguments: dict[str, Any]) -> str:
    """The task, and the phase and epoch from 1, as far as the arguments tell."""
    state = arguments.get("state")
    task = getattr(state, "task", None) or arguments.get("task")
    phase = getattr(state, "phase", None)
    words = [str(task)] if task is not None else []
    if state is not None and phase is not None:
        words += [f"phase '{phase.name}'", f"epoch {state.epoch + 1}"]
    return ", ".join(words)
