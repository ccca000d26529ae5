"""``incrlearn run``: train a recipe, show how it goes, print its table."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from incrlearn.cli.consoles import output_console, say
from incrlearn.cli.options import (
    DataOption,
    DeviceOption,
    RecipeArgument,
    SeedOption,
    SetOption,
    command_line,
    read_recipe,
)
from incrlearn.cli.trace import asked_trace
from incrlearn.errors import IncrlearnError, OutputError, PluginError

if TYPE_CHECKING:
    from incrlearn.recipe import Recipe

RUNS = Path("runs")
"""Where runs go by default, below the current folder."""
INTERRUPTED = 130


def run(
    recipe: RecipeArgument,
    overrides: SetOption = None,
    seed: SeedOption = None,
    data: DataOption = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The run directory; by default runs/RECIPE/DATE-seedN.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last finished task.")] = False,
    device: DeviceOption = "auto",
) -> None:
    """Train a recipe, task by task, and write its run directory."""
    chosen = read_recipe(recipe, overrides, seed)
    around = asked_trace()
    if out is None:
        out = find_unfinished(chosen) if resume else default_out(chosen, datetime.now())
    from incrlearn.cli.display import Heading, make_display
    from incrlearn.cli.summary import print_summary
    from incrlearn.engine.checkpoint import newest_checkpoint
    from incrlearn.engine.run import run_recipe
    from incrlearn.engine.rundir import changed_code, words_of_code
    from incrlearn.engine.runtime import resolve_device

    resolve_device(device)
    console = output_console()
    heading = Heading(console, f"{chosen.name}, seed {chosen.seed}, recipe {chosen.fingerprint}, in {out}", resume)
    if resume and (changed := changed_code(out, chosen)):
        told = f"this run was trained {words_of_code(changed)} so far"
        say(console, f"warning: {told}; it goes on with that of now, and its recipe will tell of both")
    again = f"{command_line(recipe, overrides, seed, data, device)} --resume --out {out}"
    try:
        with make_display(console) as display:
            result = run_recipe(
                chosen, out, data=data, device=device, resume=resume, watchers=[heading, display], around=around
            )
    except KeyboardInterrupt:
        if (out / "recipe.yaml").exists():
            last = (
                "from the last finished task" if newest_checkpoint(out) else "from the beginning, no task is finished,"
            )
            say(console, f"interrupted; go on {last} with: {again}")
        raise typer.Exit(INTERRUPTED) from None
    except Exception as error:
        if (isinstance(error, PluginError) or not isinstance(error, IncrlearnError)) and newest_checkpoint(out):
            say(console, f"what is finished is kept; when that is mended, go on with: {again}")
        raise
    print_summary(console, result.summary, result.run_dir)


def default_out(recipe: Recipe, now: datetime) -> Path:
    """``runs/<recipe>/<date>-seed<seed>``, below the current folder."""
    return RUNS / recipe.name / f"{now:%Y-%m-%d_%H-%M-%S}-seed{recipe.seed}"


def find_unfinished(recipe: Recipe) -> Path:
    """The newest run of the same recipe and seed under ``runs`` that has no result yet.

    Raises:
        OutputError: there is none.
    """
    from incrlearn.engine.rundir import holds_run_of

    folder = RUNS / recipe.name
    unfinished = [path.parent for path in folder.glob("*/recipe.yaml") if not (path.parent / "result.json").exists()]
    newest_first = sorted(unfinished, key=lambda path: path.name, reverse=True)
    same = [path for path in newest_first if holds_run_of(path, recipe)]
    if same:
        return same[0]
    others = newest_first
    seen = f"; unfinished runs of other settings or seeds: {', '.join(map(str, others))}" if others else ""
    raise OutputError(f"there is no unfinished run of this recipe and seed in {folder}{seen}; name one with --out")
