"""How a run goes, as it goes: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import time
from contextlib import AbstractContextManager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from incrlearn.cli.consoles import say
from incrlearn.cli.pruned import pruned_line
from incrlearn.cli.words import duration
from incrlearn.hooks import Row, hookimpl
from incrlearn.types import RunState

_SECONDS_BETWEEN_UPDATES = 0.1
_LINES_A_PHASE = 10


def make_display(console: Console) -> BarDisplay | LineDisplay:
    """The display that suits the console; a context manager around the run, and a watcher in it."""
    return BarDisplay(console) if console.is_terminal else LineDisplay(console)


class Heading:
    """Tells in a line what is trained where, when the first phase begins: wrong input is found by then."""

    def __init__(self, console: Console, text: str, resumed: bool) -> None:
        """Print ``text`` to ``console``; of a run that is ``resumed`` also from where it goes on."""
        self._console, self._text, self._resumed = console, text, resumed
        self._told = False

    @hookimpl
    def phase_start(self, state: RunState) -> None:
        """Print the line, once."""
        if self._told:
            return
        self._told = True
        done, total = state.task.number - 1, state.task.total
        how = f"goes on behind task {done} of {total}" if done else "begins anew, no task of it was finished"
        say(self._console, f"{self._text}; {how}" if self._resumed else self._text)


class LineDisplay(AbstractContextManager["LineDisplay"]):
    """About ten lines a phase and one a task, without escape codes."""

    def __init__(self, console: Console) -> None:
        """Write to ``console``."""
        self._console = console

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """There is nothing to put away."""

    @hookimpl
    def record(self, row: Row) -> None:
        """Print some of the epochs and every task."""
        if row["kind"] == "task":
            say(self._console, task_line(row))
        elif row["kind"] == "epoch" and is_shown(row["epoch"], row["epochs"]):
            left = row["seconds"] * (row["epochs"] - row["epoch"])
            tail = f", {duration(left)} left in this phase" if row["epoch"] < row["epochs"] else ""
            place = f"task {row['task']}/{row['tasks']} {row['phase']}: epoch {row['epoch']}/{row['epochs']}"
            say(self._console, f"{place}, {epoch_note(row)}{tail}")
        for report in row.get("pruned", []) if row["kind"] == "epoch" else []:
            say(self._console, f"task {row['task']}/{row['tasks']} {row['phase']}: {pruned_line(report)}")


class BarDisplay(AbstractContextManager["BarDisplay"]):
    """One bar for the tasks and one for the phase at work, with loss, training accuracy and time left."""

    def __init__(self, console: Console) -> None:
        """Draw on ``console``."""
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[note]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )
        self._tasks: TaskID | None = None
        self._phase: TaskID | None = None
        self._note = ""
        self._next_update = 0.0

    def __enter__(self) -> BarDisplay:
        """Start drawing."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal in order, whatever happened."""
        self._progress.stop()

    @hookimpl
    def phase_start(self, state: RunState) -> None:
        """A new bar for the phase."""
        if state.phase is None:
            return
        done, total = state.task.number - 1, state.task.total
        if self._tasks is None:
            self._tasks = self._progress.add_task("tasks", total=total, completed=done, note=f"{done}/{total}")
        if self._phase is not None:
            self._progress.remove_task(self._phase)
        self._note = ""
        name = f"task {state.task.number} {state.phase.name}"
        self._phase = self._progress.add_task(name, total=state.phase.epochs, note="")

    @hookimpl
    def batch_start(self, state: RunState, position: float) -> None:
        """Move the bar, ten times a second at most."""
        now = time.monotonic()
        if self._phase is None or state.phase is None or now < self._next_update:
            return
        self._next_update = now + _SECONDS_BETWEEN_UPDATES
        note = f"epoch {state.epoch + 1}/{state.phase.epochs}{self._note}"
        self._progress.update(self._phase, completed=state.epoch + position, note=note)

    @hookimpl
    def record(self, row: Row) -> None:
        """Note an epoch's numbers on the bar; print every task above the bars."""
        if row["kind"] == "epoch" and self._phase is not None:
            self._note = f", {epoch_note(row)}"
            note = f"epoch {row['epoch']}/{row['epochs']}{self._note}"
            self._progress.update(self._phase, completed=row["epoch"], note=note)
            for report in row.get("pruned", []):
                say(self._progress.console, f"task {row['task']}/{row['tasks']} {row['phase']}: {pruned_line(report)}")
        elif row["kind"] == "task":
            say(self._progress.console, task_line(row))
            if self._tasks is not None:
                note = f"{row['task']}/{row['tasks']}"
                self._progress.update(self._tasks, completed=row["task"], note=note)


def is_shown(epoch: int, epochs: int) -> bool:
    """Whether a plain line tells of an epoch (from 1): about ten of them, the first and the last among them."""
    return epoch in (1, epochs) or epoch % math.ceil(epochs / _LINES_A_PHASE) == 0


def epoch_note(row: Row) -> str:
    """Loss and training accuracy of an epoch."""
    return f"loss {row['loss']:.3f}, train {row['accuracy']:.1f} %"


def task_line(row: Row) -> str:
    """A finished task in a line."""
    accuracy = f"top-1 {row['top1']:.2f} %, top-5 {row['top5']:.2f} %"
    return f"task {row['task']}/{row['tasks']}: {row['classes']} classes, {accuracy}, {duration(row['seconds'])}"
