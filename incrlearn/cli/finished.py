"""What the commands over finished runs share: their argument, and how paths, means and repeated runs are told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from incrlearn.cli.consoles import say

if TYPE_CHECKING:
    from incrlearn.report.repeats import Repeat

RunsArgument = Annotated[
    list[Path], typer.Argument(metavar="DIR...", help="Run directories, or folders with run directories below them.")
]


def mean_words(mean: float, sd: float | None, digits: int) -> str:
    """``72.31 ± 0.40``, or the mean alone where there is no standard deviation."""
    return f"{mean:.{digits}f}" if sd is None else f"{mean:.{digits}f} ± {sd:.{digits}f}"


def digits_of_millions(millions: float) -> int:
    """Decimals for a number of parameters in millions: more where the model is tiny."""
    return 2 if millions >= 0.1 else 4


def short_path(path: Path) -> str:
    """A path as one would type it: from the current folder where it lies below."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def tell_repeats(console: Console, repeats: Sequence[Repeat]) -> None:
    """Tell of runs that are no second measurement, and which of them is counted."""
    for repeat in repeats:
        run, others = repeat.counted, ", ".join(short_path(other.run_dir) for other in repeat.others)
        numbers = ", and the numbers differ" if repeat.differ else " with the same numbers"
        told = f"{run.name}, seed {run.seed} is there {len(repeat.others) + 1} times{numbers}"
        say(console, f"warning: {told}; only the newest counts: {short_path(run.run_dir)}, not {others}")
