"""``incrlearn recipes`` and ``schema``: what recipes there are, and what may stand in one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from incrlearn.cli.consoles import output_console, say
from incrlearn.errors import OutputError, Problem, RecipeError


def recipes(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="WORD", help="Only those with all of these in name or description, such as bic."),
    ] = None,
) -> None:
    """List the recipes and ablations that come with the package, all or those about something."""
    from incrlearn.recipe import shipped_ablations, shipped_recipes
    from incrlearn.recipe.shipped import recipe_name

    found, ablations = _about(words or (), shipped_recipes()), _about(words or (), shipped_ablations())
    if not found and not ablations:
        told = f"no recipe and no ablation has '{' '.join(words or ())}' in its name or description"
        raise RecipeError("incrlearn recipes", [Problem(f"{told}; without a word all are listed")])
    console = output_console()
    if found:
        table = Table("recipe", "what it is", "expected average")
        for path, about in found.items():
            average = _expected_average(path)
            table.add_row(recipe_name(path), Text(about), f"{average:.2f} %" if average is not None else "")
        console.print(table)
        say(console, f"run one from anywhere: incrlearn run {recipe_name(next(iter(found)))}")
    if ablations:
        table = Table("ablation", "what it is")
        for path, about in ablations.items():
            table.add_row(recipe_name(path), Text(about))
        console.print(table)
        say(console, f"make the table of one: incrlearn ablate {recipe_name(next(iter(ablations)))}")


def _about(words: Sequence[str], paths: Sequence[Path]) -> dict[Path, str]:
    """Those files that have all ``words`` in name or description, in any case of letters, with their descriptions."""
    from incrlearn.recipe import describe
    from incrlearn.recipe.shipped import recipe_name

    described = {path: describe(path) for path in paths}
    return {
        path: about
        for path, about in described.items()
        if all(word.lower() in f"{recipe_name(path)} {about}".lower() for word in words)
    }


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
