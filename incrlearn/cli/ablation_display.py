"""How an ablation goes, as it goes: a line for each run, and on a terminal a bar with those at work."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.progress import Task as Bar
from rich.text import Text

from incrlearn.ablation.execution import Event
from incrlearn.ablation.grid import Cell
from incrlearn.ablation.pool import Pool
from incrlearn.cli.consoles import say
from incrlearn.cli.words import duration
from incrlearn.engine.record import read_record


class AblationDisplay(AbstractContextManager["AblationDisplay"]):
    """Tells of each run when it begins and ends."""

    def __init__(self, console: Console, pool: Pool, total: int) -> None:
        """Print to ``console`` about ``total`` runs below ``pool``."""
        self._console, self._pool = console, pool
        self._at_work: dict[tuple[str, int], Cell] = {}
        self._progress = Progress(
            BarColumn(bar_width=20),
            TextColumn("{task.completed:.0f} of {task.total:.0f} runs"),
            TimeElapsedColumn(),
            _AtWork(self),
            console=console,
            refresh_per_second=1,
            disable=not console.is_terminal,
            transient=True,
        )
        self._bar = self._progress.add_task("runs", total=total)

    def __enter__(self) -> AblationDisplay:
        """Start drawing, where that is a terminal."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal in order, whatever happened."""
        self._progress.stop()

    def tell(self, event: Event) -> None:
        """Print what happened to a run."""
        cell = event.cell
        if event.kind == "started":
            self._at_work[cell.key] = cell
            done = self._pool.tasks_done(cell)
            how = f"goes on behind task {done}" if done else "begins"
            say(self._console, f"{_name(cell)}: {how}, in {self._pool.run_dir(cell)}")
            return
        self._at_work.pop(cell.key, None)
        if event.kind == "done":
            say(self._console, f"{_name(cell)}: {self._numbers(cell)}")
        elif event.kind == "lost":
            say(self._console, f"{_name(cell)}: its worker was lost ({event.message}); the run is taken up again")
            return
        else:
            say(self._console, f"{_name(cell)}: failed: {event.message}")
        self._progress.advance(self._bar)

    def at_work(self) -> str:
        """The runs at work, each with the task it is at."""
        # A copy: this is asked by the thread that draws, while the other one tells of runs.
        cells = list(self._at_work.values())
        return "; ".join(f"{_name(cell)}, task {self._pool.tasks_done(cell) + 1}" for cell in cells)

    def _numbers(self, cell: Cell) -> str:
        record = read_record(self._pool.run_dir(cell))
        numbers = [f"{word} top-1 {record.metric(word):.2f} %" for word in ("average", "last")]
        return ", ".join([*numbers, duration(record.metric("seconds") or 0.0)])


class _AtWork(TextColumn):
    """Asked once a second at most, however often the bar is drawn."""

    max_refresh = 1.0

    def __init__(self, display: AblationDisplay) -> None:
        super().__init__("")
        self._display = display

    def render(self, task: Bar) -> Text:  # noqa: ARG002 (rich's signature)
        return Text(self._display.at_work())


def _name(cell: Cell) -> str:
    return f"{cell.variant}, seed {cell.seed}"
