"""Recipes of other versions: a format that is not known yet, and earlier names of options."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from incrlearn.errors import Deprecation
from incrlearn.plugin import Plugin
from incrlearn.recipe import load_recipe, load_written, recipe_from_dict
from incrlearn.registry import Registry

ROW = "auxiliary: {use: auxiliary, weight: 2}"


class Renamed(Plugin):
    """A loss whose option had another name."""

    kind = "loss"

    class Config(Plugin.Config):
        weight: float = 1.0

        @classmethod
        def formerly(cls) -> Mapping[str, str]:
            return {"factor": "weight"}


@pytest.fixture
def renamed(plugins: dict[str, type[Plugin]]) -> Registry:
    return Registry([], plugins | {"auxiliary": Renamed})


def test_format_is_written_and_need_not_be(write: Any, registry: Registry, good: str) -> None:
    plain = load_recipe(write(good), registry)
    assert plain.resolved()["format"] == 1
    again = load_recipe(write(f"format: 1\n{good}"), registry)
    assert (again.resolved(), again.fingerprint) == (plain.resolved(), plain.fingerprint)
    assert recipe_from_dict(plain.resolved(), registry, "again").fingerprint == plain.fingerprint


def test_recipe_of_a_later_format_tells_that_alone(write: Any, problems_of: Any, good: str) -> None:
    problems = problems_of(write(f"{good}surely: wrong\nformat: 2\n"))
    line = len(good.splitlines()) + 2
    assert problems == [
        f"line {line}: format: the recipe is of format 2, and this version of incrlearn reads format 1: "
        "install a later version"
    ]


@pytest.mark.parametrize("wrong", ["0", "one", "true", "1.5"])
def test_format_must_be_a_number_from_1(wrong: str, write: Any, problems_of: Any, good: str) -> None:
    (problem,) = problems_of(write(f"format: {wrong}\n{good}"))
    assert problem.startswith("line 1: format: must be a whole number of at least 1, not")


def test_earlier_name_is_read_and_told_at_its_line(write: Any, renamed: Registry, good: str) -> None:
    path: Path = write(good.replace(ROW, "auxiliary: {use: auxiliary, factor: 0.5}"))
    with pytest.warns(Deprecation, match=r"plugins\.auxiliary\.factor is called 'weight' today; write that") as told:
        recipe = load_recipe(path, renamed)
    assert told[0].filename == str(path)
    assert "factor" in path.read_text().splitlines()[told[0].lineno - 1]
    assert recipe.resolved()["plugins"]["auxiliary"] == {"use": "auxiliary", "weight": 0.5}


def test_earlier_name_may_be_overridden_and_is_told(write: Any, renamed: Registry, good: str) -> None:
    with pytest.warns(Deprecation, match="is called 'weight' today") as told:
        recipe = load_recipe(write(good), renamed, ["plugins.auxiliary.factor=0.25"])
    assert told[0].filename == "--set plugins.auxiliary.factor=0.25"
    assert recipe.resolved()["plugins"]["auxiliary"]["weight"] == 0.25


def test_override_is_stronger_than_an_earlier_name_in_the_file(write: Any, renamed: Registry, good: str) -> None:
    path = write(good.replace(ROW, "auxiliary: {use: auxiliary, factor: 0.5}"))
    with pytest.warns(Deprecation, match="is called 'weight' today"):
        recipe = load_recipe(path, renamed, ["plugins.auxiliary.weight=0.25"])
    assert recipe.resolved()["plugins"]["auxiliary"]["weight"] == 0.25


def test_both_names_at_once_are_refused(write: Any, renamed: Registry, good: str) -> None:
    path = write(good.replace(ROW, "auxiliary: {use: auxiliary, factor: 0.5, weight: 1.0}"))
    with pytest.raises(Exception, match=r"plugins\.auxiliary\.factor: it is called 'weight' today, which is given too"):
        load_recipe(path, renamed)


@pytest.mark.parametrize(("below", "above"), [("weight", "factor"), ("factor", "weight"), ("factor", "factor")])
def test_recipe_is_laid_over_its_base_whichever_name_each_uses(
    below: str, above: str, write: Any, renamed: Registry, good: str
) -> None:
    write(good.replace(ROW, f"auxiliary: {{use: auxiliary, {below}: 0.5}}"), "base.yaml")
    path = write(f"extends: base.yaml\nplugins:\n  auxiliary: {{{above}: 0.125}}\n", "own.yaml")
    with pytest.warns(Deprecation, match="is called 'weight' today"):
        recipe = load_recipe(path, renamed)
    assert recipe.resolved()["plugins"]["auxiliary"]["weight"] == 0.125


def test_what_a_run_wrote_is_read_in_silence(write: Any, renamed: Registry, good: str) -> None:
    # Warnings are errors in this suite.
    text = good.replace(ROW, "auxiliary: {use: auxiliary, factor: 0.5}")
    assert load_written(write(text), renamed).resolved()["plugins"]["auxiliary"]["weight"] == 0.5
    plain = load_recipe(write(good), renamed).resolved()
    plain["plugins"]["auxiliary"] = {"use": "auxiliary", "factor": 0.25}
    assert recipe_from_dict(plain, renamed, "plain").resolved()["plugins"]["auxiliary"]["weight"] == 0.25


def test_base_of_a_later_format_is_told_at_its_own_line(write: Any, problems_of: Any, good: str) -> None:
    write(f"format: 2\n{good}", "base.yaml")
    (problem,) = problems_of(write("format: 1\nextends: base.yaml\n", "own.yaml"))
    assert problem.startswith("base.yaml, line 1: format: the recipe is of format 2")


def test_name_of_today_tells_nothing(write: Any, renamed: Registry, good: str) -> None:
    # Warnings are errors in this suite.
    path = write(good.replace(ROW, "auxiliary: {use: auxiliary, weight: 0.5}"))
    assert load_recipe(path, renamed).resolved()["plugins"]["auxiliary"]["weight"] == 0.5
