"""What the commands over finished runs share: their argument, and how paths, means and repeated runs are told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from incrlearn.cli.consoles import say

if TYPE_CHECKING:
    from incrlearn.engine.record import RunRecord
    from incrlearn.recipe import Recipe

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


def tell_repeated(console: Console, runs: Sequence[RunRecord]) -> None:
    """Tell of runs that are no second measurement: one recipe and one seed, more than once."""
    from incrlearn.report.groups import repeated

    for same in repeated(runs):
        where = ", ".join(short_path(run.run_dir) for run in same)
        say(console, f"warning: {same[0].name}, seed {same[0].seed} is there {len(same)} times: {where}")


def warn_of_newer_code(console: Console, begun: Sequence[tuple[Recipe, Path]]) -> None:
    """Tell which files of plug-ins were changed after runs that are about to be used or gone on with.

    Args:
        console: where to.
        begun: recipes whose plug-ins are loaded, each with the directory of its run.
    """
    from incrlearn.engine.code import newer_code

    runs: dict[Path, list[str]] = {}
    for recipe, run_dir in begun:
        for file in newer_code(recipe, run_dir):
            runs.setdefault(file, []).append(run_dir.name)
    for file, names in runs.items():
        one = len(names) == 1
        trained = (
            f"{names[0]} was trained; its numbers are" if one else f"{len(names)} runs were trained; their numbers are"
        )
        say(
            console,
            f"warning: {file} was changed after {trained} those of the code of then. If it does something else now, "
            f"delete {'that run' if one else 'those runs'}, or name another place with --out",
        )
