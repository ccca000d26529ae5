"""``incrlearn ablate``: from a recipe to the table of a paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from incrlearn.cli.consoles import output_console, say
from incrlearn.cli.options import DataOption, DeviceOption, SetOption, read_count, read_pairs
from incrlearn.cli.run import INTERRUPTED, RUNS
from incrlearn.cli.words import duration
from incrlearn.errors import Problem, RecipeError

if TYPE_CHECKING:
    from rich.console import Console

    from incrlearn.ablation.executors.base import Executor
    from incrlearn.ablation.grid import Cell, Grid
    from incrlearn.ablation.pool import Pool
    from incrlearn.engine.record import RunRecord

    Records = Mapping[tuple[str, int], RunRecord]

POOL = RUNS / "ablate"
"""Where the runs of all ablations go by default, each once, whoever asked for it."""


def ablate(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="An ablation file, or a recipe, from which one plug-in is left out at a time."
        ),
    ],
    overrides: SetOption = None,
    seeds: Annotated[str, typer.Option(metavar="1,2,3", help="Seeds, instead of those of the file.")] = "",
    only: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Train only this variant; repeatable.")] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            parser=read_count,
            metavar="N",
            help="Runs side by side; by default one, and on an engine all it has room for.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what there is to train and what is done; train nothing.")
    ] = False,
    data: DataOption = None,
    device: DeviceOption = "auto",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where runs and tables go.")] = POOL,
    any_code: Annotated[
        bool, typer.Option("--any-code", help="Count finished runs though the code of their plug-ins was another.")
    ] = False,
    on: Annotated[str, typer.Option(metavar="ENGINE", help="here, ray, ray://host:port or slurm.")] = "here",
    resources: Annotated[
        list[str] | None,
        typer.Option("--resource", metavar="NAME=VALUE", help="What a run asks an engine for, such as num_gpus=1."),
    ] = None,
) -> None:
    """Train a recipe and variants of it with several seeds; write and print the table."""
    from incrlearn.ablation.engines import check_engine
    from incrlearn.ablation.file import read_grid
    from incrlearn.ablation.grid import select
    from incrlearn.ablation.pool import Pool
    from incrlearn.registry import Registry

    asked = read_pairs("--resource", resources or [])
    check_engine(on, asked, device)
    registry = Registry.discover()
    grid = read_grid(recipe, overrides or (), read_seeds(seeds), registry)
    cells, pool = grid.cells(), Pool(out, registry, any_code)
    records = pool.finished(cells)
    waiting = [cell for cell in select(grid, only or (), cells) if cell.key not in records]
    console = output_console()
    there = f"{len(records)} of {len(cells)} runs are done"
    say(console, f"{grid.title}: {len(grid.variants)} variants, seeds {', '.join(map(str, grid.seeds))}; {there}")
    for line in grid.left_in:
        say(console, line)
    _tell_of_other_code(console, cells, pool, any_code)
    if dry_run:
        _print_grid(console, grid, cells, records, waiting, jobs or 1, pool)
        return
    failures: dict[tuple[str, int], str] = {}
    if waiting:
        if on == "here":
            _check_plans(grid, waiting, data, device)
        from incrlearn.ablation.engines import make_executor

        try:
            executor = make_executor(on, jobs, device, asked, out / "engine", len(waiting))
            failures = _train(console, waiting, pool, data, executor)
        except KeyboardInterrupt:
            say(console, "interrupted; the same command goes on from the last finished tasks")
            raise typer.Exit(INTERRUPTED) from None
    _print_table(console, grid, cells, failures, pool)
    if failures:
        raise typer.Exit(1)


def read_seeds(text: str) -> list[int]:
    """Seeds as after ``--seeds``, each at least 0 and given once; none where the text is empty.

    Raises:
        RecipeError: it is not that.
    """
    words = [word.strip() for word in text.split(",")] if text.strip() else []
    wrong = [word for word in words if not word.isdecimal()]
    if wrong:
        raise RecipeError("--seeds", [Problem(f"{word!r} is no whole number; write --seeds 1,2,3") for word in wrong])
    seeds = [int(word) for word in words]
    twice = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if twice:
        raise RecipeError("--seeds", [Problem(f"{seed} is given twice; keep one") for seed in twice])
    return seeds


def _tell_of_other_code(console: Console, cells: Sequence[Cell], pool: Pool, counted: bool) -> None:
    """Tell of finished runs that were trained with other code of plug-ins."""
    from incrlearn.ablation.outcome import other_code

    told = other_code(cells, pool)
    if not told:
        return
    if counted:
        say(console, f"{told}, counted all the same (--any-code)")
    else:
        say(console, f"{told}, and not counted; where the change makes no difference, --any-code counts them")


def _check_plans(grid: Grid, waiting: Sequence[Cell], data: Path | None, device: str) -> None:
    """Find what does not fit the data or the machine before anything is trained, once for each variant."""
    from incrlearn.engine.plan import make_plan
    from incrlearn.engine.runtime import resolve_device

    resolve_device(device)
    names = dict.fromkeys(cell.variant for cell in waiting)
    problems = []
    for variant in grid.variants:
        if variant.name not in names:
            continue
        try:
            make_plan(variant.recipe, data)
        except RecipeError as error:
            problems += [Problem(f"variant '{variant.name}': {problem}") for problem in error.problems]
    if problems:
        raise RecipeError(grid.name, problems)


def _train(
    console: Console, waiting: Sequence[Cell], pool: Pool, data: Path | None, executor: Executor
) -> dict[tuple[str, int], str]:
    """Train what is waiting, telling of each run; what failed, by variant and seed."""
    from incrlearn.ablation.execution import run_cells
    from incrlearn.cli.ablation_display import AblationDisplay

    failures = {}
    # Closed here and not when it is collected: an interrupt while a line is printed has to stop the workers too.
    events = closing(run_cells(waiting, pool, data, executor))
    with AblationDisplay(console, pool, len(waiting)) as display, events as happening:
        for event in happening:
            display.tell(event)
            if event.kind == "failed":
                failures[event.cell.key] = event.message
    return failures


def _print_grid(
    console: Console,
    grid: Grid,
    cells: Sequence[Cell],
    records: Records,
    waiting: Sequence[Cell],
    jobs: int,
    pool: Pool,
) -> None:
    """Each variant with what it changes and the state of its seeds; then how long the rest may take."""
    from incrlearn.ablation.outcome import expected_seconds

    table = Table("variant", "seed", "state", "run")
    table.add_column("edits", overflow="fold")
    asked = {cell.key for cell in waiting}
    for variant in grid.variants:
        for number, cell in enumerate(cell for cell in cells if cell.variant == variant.name):
            state = pool.state(cell)
            if state == "interrupted":
                state = f"interrupted after {pool.tasks_done(cell)} tasks"
            if cell.key not in records and cell.key not in asked:
                state += ", not asked for"
            name, edits = (variant.name, "\n".join(variant.edits) or "(the base)") if number == 0 else ("", "")
            place = pool.run_dir(cell).name
            table.add_row(*(Text(text) for text in (name, str(cell.seed), state, place, edits)))
    console.print(table)
    say(console, f"runs lie in {pool.folder.resolve()}, by the fingerprints of their recipes")
    guesses = [expected_seconds(cell, records) for cell in waiting]
    known = [guess for guess in guesses if guess is not None]
    if not waiting:
        say(console, "nothing to train")
    elif len(known) < len(guesses):
        say(console, f"{_runs(len(waiting))} to train; no finished run tells yet how long one takes")
    else:
        time = duration(sum(known) / jobs)
        say(
            console, f"{_runs(len(waiting))} to train, about {time} with {jobs} at a time, going by those that are done"
        )


def _runs(count: int) -> str:
    return f"{count} run" if count == 1 else f"{count} runs"


def _print_table(
    console: Console, grid: Grid, cells: Sequence[Cell], failures: Mapping[tuple[str, int], str], pool: Pool
) -> None:
    from incrlearn.ablation.outcome import other_ablation, tabulate, write_runs
    from incrlearn.ablation.writers import write_all
    from incrlearn.cli.ablation_table import ablation_footnotes, ablation_table

    table = tabulate(grid, cells, pool.finished(cells), failures, pool)
    # Before anything is printed: whoever looks at a few lines only closes the pipe.
    folder = pool.folder / "tables" / grid.filed_as
    other = other_ablation(grid, folder)
    files = write_all(table, folder)
    write_runs(grid, cells, pool, folder)
    console.print(ablation_table(table))
    for line in ablation_footnotes(table):
        say(console, line)
    say(console, f"written: {', '.join(map(str, files))}")
    if other is not None:
        say(console, f"notice: that was the table of {other}; rename one of the two files to keep both")
    say(console, f"figures and all that: incrlearn report {folder}")
