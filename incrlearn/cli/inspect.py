"""``incrlearn check`` and ``incrlearn explain``: what a recipe will do, without training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from incrlearn.cli.consoles import output_console, say
from incrlearn.cli.options import DataOption, DeviceOption, RecipeArgument, SeedOption, SetOption, read_recipe
from incrlearn.errors import DataError

if TYPE_CHECKING:
    from rich.console import Console

    from incrlearn.data import Source
    from incrlearn.engine.plan import Plan

_MOST_IMAGES = 20_000
"""In files; where there are more, only a part of them is opened."""
_PART = 2_000


def check(
    recipe: RecipeArgument,
    overrides: SetOption = None,
    seed: SeedOption = None,
    data: DataOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Tell every problem of a recipe, or its tasks and sizes; trains nothing."""
    chosen = read_recipe(recipe, overrides, seed)
    from incrlearn.engine.plan import make_plan
    from incrlearn.engine.runtime import resolve_device

    resolve_device(device)
    plan = make_plan(chosen, data)
    console = output_console()
    say(console, f"{chosen.name}, seed {chosen.seed}, recipe {chosen.fingerprint}: {chosen.data.use}")
    console.print(_plan_table(plan))
    parameters = plan.backbone_parameters / 1e6
    say(console, f"backbone: {chosen.backbone.name}, {parameters:.2f} million parameters")
    _open_images(console, plan.source)


def _open_images(console: Console, source: Source) -> None:
    """Read the images that a run would read one by one, and so tell of a broken one only after hours.

    Raises:
        DataError: with those that cannot be read.
    """
    from incrlearn.data import FileImages, data_error
    from incrlearn.data.files import unreadable_images

    paths = [
        path
        for split in (source.train, source.test)
        if isinstance(split.images, FileImages)
        for path in split.images.paths
    ]
    if not paths:
        return
    chosen = paths if len(paths) <= _MOST_IMAGES else [paths[len(paths) * n // _PART] for n in range(_PART)]
    part = f"{len(chosen):,} of {len(paths):,}, evenly spread" if chosen is not paths else f"all {len(paths):,}"
    say(console, f"images: reading {part}")
    if problems := unreadable_images(chosen):
        raise data_error(f"{len(problems):,} of the {len(chosen):,} images cannot be read", problems)
    say(console, "images: every one of them can be read")


def explain(
    recipe: RecipeArgument, overrides: SetOption = None, seed: SeedOption = None, data: DataOption = None
) -> None:
    """Tell which plug-in answers which hook, in the order of the loop, and what is done with the backbone."""
    chosen = read_recipe(recipe, overrides, seed)
    from incrlearn.engine.assemble import make_calls
    from incrlearn.engine.plan import make_plan

    uses = {choice.key: _short(choice.use) for choice in chosen.plugins}
    answers = make_calls(chosen).answers()
    table = Table("hook", "answered by, first to last")
    for hook, keys in answers:
        if keys:
            named = [key if uses.get(key, key) == key else f"{key} ({uses[key]})" for key in keys]
            table.add_row(hook, Text(", ".join(named)))
    console = output_console()
    say(console, f"{chosen.name}: data from {chosen.data.use}; 'core' is the default where no plug-in answers")
    console.print(table)
    silent = [hook for hook, keys in answers if not keys]
    if silent:
        console.print(f"answered by nobody: {', '.join(silent)}", highlight=False)
    if dict(answers)["explain"]:
        try:
            notes = make_plan(chosen, data).notes
        except DataError as error:
            say(console, f"what is done with the backbone shows only beside the data: {error}")
            return
        say(console, f"what is done with the backbone, {chosen.backbone.name}:")
        for note in notes:
            say(console, f"  {note}")


def _short(use: str) -> str:
    """``file.py:Class`` without the folders; a name as it is."""
    return use.replace("\\", "/").rpartition("/")[2]


def _plan_table(plan: Plan) -> Table:
    table = Table()
    for heading in ("task", "new classes", "seen", "train images", "exemplars a class", "in all", "test images"):
        table.add_column(heading, justify="right")
    for row in plan.rows:
        numbers = (row.train_images, row.exemplars, row.test_images)
        train, exemplars, test = (f"{number:,}" for number in numbers)
        quota = _from_to(row.exemplars_per_class)
        table.add_row(str(row.task), str(row.new), str(row.seen), train, quota, exemplars, test)
    return table


def _from_to(numbers: tuple[int, ...] | None) -> str:
    """``20`` where all are that, ``12 to 25`` where they differ, ``-`` without any."""
    if numbers is None:
        return "-"
    least, most = min(numbers), max(numbers)
    return str(least) if least == most else f"{least} to {most}"
