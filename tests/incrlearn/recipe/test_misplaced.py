"""Rows, options and colons that stand where they should not: each is told with what to write instead."""

import warnings
from pathlib import Path
from typing import Any

import pytest

from incrlearn.errors import RecipeError, RecipeNotice
from incrlearn.recipe import load_recipe
from incrlearn.recipe.wording import spaced_out
from incrlearn.registry import Registry


def extending(write: Any, good: str, text: str) -> Path:
    """A recipe that extends the good one; its own text begins on line 2."""
    write(good, "base.yaml")
    path: Path = write(f"extends: base.yaml\n{text}", "mine.yaml")
    return path


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("memory: {total: 3}", "line 2: memory: no such part of a recipe; 'memory' is a row of plugins: indent it"),
        ("more: {use: loss}", "line 2: more: no such part of a recipe; a plug-in is a row of plugins: indent it"),
        ("more: loss", "line 2: more: no such part of a recipe; a plug-in is a row of plugins: indent it"),
        ("dta: {use: images}", "line 2: dta: no such part of a recipe; did you mean 'data'?"),
        ("more: {lr: 3}", "line 2: more: no such part of a recipe; known: backbone"),
        ("more: nothing", "line 2: more: no such part of a recipe; known: backbone"),
    ],
)
def test_row_at_the_root_is_told_to_be_one(write: Any, good: str, problems_of: Any, text: str, told: str) -> None:
    (problem,) = problems_of(extending(write, good, f"{text}\n"))
    assert problem.startswith(told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "plugins: {use: memory, total: 40}",
            ["line 2: plugins.use: 'use' stands in a row, not among rows; write memory: {use: memory, ...}"],
        ),
        (
            "plugins:\n  train:\n  use: train\n  epochs: 3\n  note: text",
            ["line 4: plugins.use: 'use' stands in a row, not among rows; write phase: {use: train, ...}"],
        ),
        (
            "plugins: {use: head}",
            ["line 2: plugins.use: 'use' stands in a row, not among rows; write head: {use: head}"],
        ),
        (
            "plugins: {use: heads}",
            ["line 2: plugins.use: 'use' stands in a row, not among rows; write name: {use: heads}"],
        ),
        (
            "plugins:\n  memory: memory\n  total: 40\n  note: text",
            [
                "line 4: plugins.total: no row, but an option of 'memory'; indent it under that row",
                "line 5: plugins.note: no row, but an option of 'train'; indent it under that row",
            ],
        ),
        (
            "plugins:\n  lr: 0.5\n  more: {use: train, epochs: 3}",
            ["line 3: plugins.lr: no row, but an option of 'train' and 'more'; indent it under one of these rows"],
        ),
        (
            "plugins:\n  more: {use: train, epochs: 3}\n  lr: 0.5",
            ["line 4: plugins.lr: no row, but an option of 'more'; indent it under that row"],
        ),
        (
            "plugins:\n  train:\n    lr: 0.5\n  epochs: 3\n  more: {use: train, epochs: 3}",
            ["line 5: plugins.epochs: no row, but an option of 'train'; indent it under that row"],
        ),
    ],
)
def test_use_and_options_among_rows_are_told_to_stand_in_one(
    write: Any, good: str, problems_of: Any, text: str, told: list[str]
) -> None:
    assert [one for one in problems_of(extending(write, good, f"{text}\n")) if "give exactly one" not in one] == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("plugins:\n  train:\n  epochs: 10", {"epochs": (4, "train")}),
        ("plugins:\n  train:\n  epochs: 10\n  share: 0.2", {"epochs": (4, "train"), "share": (5, "train")}),
        ("plugins:\n  more: {use: train, epochs: 3}\n  train:\n  epochs: 10", {"epochs": (5, "train")}),
        (
            "plugins:\n  train:\n  epochs: 10\n  memory:\n  total: 40",
            {"epochs": (4, "train"), "total": (6, "memory")},
        ),
    ],
)
def test_options_below_an_emptied_row_are_told_to_be_that_row_s(
    write: Any, good: str, problems_of: Any, text: str, told: dict[str, tuple[int, str]]
) -> None:
    assert problems_of(extending(write, good, f"{text}\n")) == [
        f"line {line}: plugins.{key}: no row, but an option of '{row}'; indent it under that row"
        for key, (line, row) in told.items()
    ]


def test_row_emptied_twice_is_still_known_by_what_it_was(write: Any, good: str, problems_of: Any) -> None:
    extending(write, good, "plugins: {train: null}\n")
    child = write("extends: mine.yaml\nplugins:\n  train:\n  epochs: 10\n", "child.yaml")
    told = ["line 4: plugins.epochs: no row, but an option of 'train'; indent it under that row"]
    assert problems_of(child) == told


def test_row_that_bears_the_name_of_an_option_is_a_row(write: Any, registry: Registry, good: str) -> None:
    recipe = load_recipe(extending(write, good, "plugins:\n  share: log\n  note: {use: log}\n"), registry)
    assert [choice.key for choice in recipe.plugins][-2:] == ["share", "note"]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (
            "plugins: {train: {share:0.2}}",
            2,
            "'share:0.2' is one word to YAML; write a space after the colon: share: 0.2",
        ),
        (
            "plugins:\n  train:\n    share:0.2\n    epochs: 3",
            4,
            "not valid YAML: 'share:0.2'; write a space after the ",
        ),
        ("plugins:\n  train:\n    epochs: 3\n    share:0.2\nseed: 3", 5, "not valid YAML: 'share:0.2'; write a space "),
        ("seed:3", 2, "not valid YAML: 'seed:3'; write a space after the colon: seed: 3"),
        (
            "plugins:\n  train: {epochs:3, share: 0.2}",
            3,
            "'epochs:3' is one word to YAML; write a space after the colon",
        ),
        ("plugins:\n  train:\n    share:0.2", 3, "plugins.train.use: .*; write a space after the colon: share: 0.2"),
        (
            "plugins:\n  train:{epochs: 3}",
            3,
            "'train:{epochs' is one word to YAML; write a space after the colon: train:",
        ),
        ("plugins: weight:3", 2, "plugins: must be a mapping of rows, not 'weight:3'; write a space after the colon"),
    ],
)
def test_colon_without_a_space_is_told_at_its_line(
    write: Any, good: str, problems_of: Any, text: str, line: int, words: str
) -> None:
    problem = problems_of(extending(write, good, f"{text}\n"))[0]
    with pytest.raises(AssertionError, match=rf"line {line}: {words}"):
        raise AssertionError(problem)


def test_first_line_without_a_space_is_told(write: Any, problems_of: Any) -> None:
    told = ["line 1: not valid YAML: 'extends:base'; write a space after the colon: extends: base"]
    assert problems_of(write("extends:base\nplugins: {}\n")) == told
    assert problems_of(write("extends:base\n")) == [
        "line 1: a recipe is a mapping with data, backbone and plugins, not 'extends:base'; "
        "write a space after the colon: extends: base"
    ]


def test_only_a_word_with_a_value_behind_its_colon_lacks_a_space() -> None:
    assert spaced_out("lr:0.1 epochs:3") == ("lr", "0.1")
    assert spaced_out("first:{epochs:3}") == ("first", "{epochs:3}")
    for text in ("lr: 0.1", "lr:", "./mine.py:Mine", "mine:Mine", "http://here", "C:\\here", "12:30", "", "lr"):
        assert spaced_out(text) is None


def test_row_without_use_is_told_which_one_may_be_meant(write: Any, good: str, problems_of: Any) -> None:
    assert problems_of(extending(write, good, "plugins: {trian: {epochs: 5}}\n")) == [
        "line 2: plugins.trian: 'use' is missing; write trian: {use: name, ...}; "
        "did you mean 'train', a row that is there?"
    ]


def test_new_row_that_may_be_a_misspelt_one_is_told_and_let_go(write: Any, registry: Registry, good: str) -> None:
    path = extending(write, good, "plugins:\n  trian: {use: train, epochs: 5}\n")
    words = r"plugins.trian is a row of its own beside 'train', which uses the same plug-in: both count"
    with pytest.warns(RecipeNotice, match=words) as told:
        recipe = load_recipe(path, registry)
    assert [(one.filename, one.lineno) for one in told] == [(str(path), 3)]
    assert {"train", "trian"} <= {choice.key for choice in recipe.plugins}


@pytest.mark.parametrize(
    "rows",
    [
        "{train2: {use: train, epochs: 5}}",
        "{train_more: {use: train, epochs: 5}}",
        "{later: {use: train, epochs: 5}}",
        "{trian: log}",
        "{train: null, trian: {use: train, epochs: 5}}",
        "{train: {epochs: 4}, trian: {use: train, epochs: 5}}",
    ],
)
def test_new_row_that_is_meant_to_be_one_is_not_told(write: Any, registry: Registry, good: str, rows: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_recipe(extending(write, good, f"plugins: {rows}\n"), registry)


def test_another_form_of_the_scenario_than_the_inherited_one_is_told_at_its_line(
    write: Any, registry: Registry, good: str
) -> None:
    write(good, "base.yaml")
    path = write("extends: base.yaml\ndata: {increment: 5}\n")
    with pytest.raises(RecipeError, match=r"line 2: data.increment: the recipe has tasks too in base.yaml; take that"):
        load_recipe(path, registry)
    words = r"--set data.increment=5: the recipe has tasks too in base.yaml; .* with --set data.tasks=null"
    with pytest.raises(RecipeError, match=words):
        load_recipe(path.with_name("base.yaml"), registry, ["data.increment=5"])
    load_recipe(path.with_name("base.yaml"), registry, ["data.increment=1", "data.tasks=null"])
