"""Arguments and options that several commands share."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from incrlearn.errors import Problem, RecipeError

if TYPE_CHECKING:
    from incrlearn.recipe import Recipe


def read_seed(value: str | int) -> int:
    """The seed that was given.

    Raises:
        typer.BadParameter: it is no whole number of at least 0.
    """
    several = str(value).replace(" ", "").strip(",").split(",")
    hint = f"; several seeds: incrlearn ablate --seeds {','.join(several)}"
    return _whole_number(value, 0, hint if len(several) > 1 and all(map(str.isdecimal, several)) else "")


def read_count(value: str | int) -> int:
    """How many there are to be.

    Raises:
        typer.BadParameter: it is no whole number of at least 1.
    """
    return _whole_number(value, 1)


def read_points(value: str | float) -> float:
    """So many points, or percent.

    Raises:
        typer.BadParameter: it is no number of at least 0.
    """
    try:
        if (number := float(value)) >= 0:
            return number
    except ValueError:
        pass
    raise typer.BadParameter(f"must be a number of at least 0, not '{value}'")


def _whole_number(value: str | int, least: int, hint: str = "") -> int:
    text = str(value)
    if text.isdecimal() and int(text) >= least:
        return int(text)
    raise typer.BadParameter(f"must be a whole number of at least {least}, not '{text}'{hint}")


RecipeArgument = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A recipe file, or the name of a shipped one such as der_digits.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change the recipe, such as plugins.train.lr=0.05; repeatable."),
]
SeedOption = Annotated[
    int | None, typer.Option(parser=read_seed, metavar="N", help="Another seed than the recipe's, at least 0.")
]
DataOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Where data sets lie; by default INCRLEARN_DATA, then ./data.")
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]


def read_recipe(recipe: str, overrides: list[str] | None, seed: int | None) -> Recipe:
    """The recipe that a command was given.

    Raises:
        RecipeError: it is not there, or something is wrong with it.
    """
    from incrlearn.recipe import find_recipe, load_recipe
    from incrlearn.registry import Registry

    return load_recipe(find_recipe(recipe), Registry.discover(), overrides or (), seed)


def command_line(recipe: str, overrides: list[str] | None, seed: int | None, data: Path | None, device: str) -> str:
    """The ``incrlearn run`` of these options, to be typed again."""
    words = ["incrlearn", "run", recipe]
    for override in overrides or ():
        words += ["--set", override]
    if seed is not None:
        words += ["--seed", str(seed)]
    if data is not None:
        words += ["--data", str(data)]
    if device != "auto":
        words += ["--device", device]
    return shlex.join(words)


def read_pairs(option: str, texts: Sequence[str]) -> dict[str, Any]:
    """``NAME=VALUE`` texts; values are YAML, null takes a row out.

    Raises:
        RecipeError: one is not that.
    """
    from incrlearn.recipe import Problems, read_overrides

    problems = Problems(option)
    edits = read_overrides(texts, problems)
    if problems:
        wrong = [problem.message.removeprefix("--set ") for problem in problems.error().problems]
        raise RecipeError(option, [Problem(message) for message in wrong])
    return {edit.path: edit.value.plain() for edit in edits}
