"""``incrlearn recipes`` and ``schema``: what recipes there are, and what may stand in one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from incrlearn.cli.consoles import output_console, say
from incrlearn.errors import OutputError


def recipes() -> None:
    """List the recipes and ablations that come with the package."""
    from incrlearn.recipe import describe, shipped_ablations, shipped_recipes
    from incrlearn.recipe.shipped import recipe_name

    console = output_console()
    table = Table("recipe", "what it is", "expected average")
    for path in shipped_recipes():
        average = _expected_average(path)
        table.add_row(recipe_name(path), Text(describe(path)), f"{average:.2f} %" if average is not None else "")
    console.print(table)
    say(console, "run one from anywhere: incrlearn run der_digits")
    ablations = Table("ablation", "what it is")
    for path in shipped_ablations():
        ablations.add_row(recipe_name(path), Text(describe(path)))
    console.print(ablations)
    say(console, "make the table of one: incrlearn ablate ablations/der_digits")


def schema(
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write it; by default it is printed.")
    ] = None,
) -> None:
    """Give the JSON Schema of a recipe, for editors."""
    from incrlearn.recipe import recipe_schema
    from incrlearn.registry import Registry

    text = json.dumps(recipe_schema(Registry.discover()), indent=2)
    if out is None:
        typer.echo(text)
        return
    try:
        out.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror}") from error
    say(output_console(), f"written to {out}")


def _expected_average(path: Path) -> float | None:
    from incrlearn.recipe.nodes import Problems
    from incrlearn.recipe.tree import read_tree

    root = read_tree(path, Problems(str(path), path))
    expected = root.get("expected") if root is not None else None
    average = expected.get("average") if expected is not None else None
    value = average.value if average is not None else None
    return float(value) if isinstance(value, (int, float)) else None
