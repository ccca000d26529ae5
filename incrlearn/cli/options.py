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

RecipeArgument = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A recipe file, or the name of a shipped one such as der_digits.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change the recipe, such as plugins.train.lr=0.05; repeatable."),
]
SeedOption = Annotated[int | None, typer.Option(min=0, help="Another seed than the recipe's.")]
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
