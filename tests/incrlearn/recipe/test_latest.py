"""A problem of several keys together is told at what was written last, not where the recipe that was changed has it."""

from pathlib import Path
from typing import Any

import pytest

from incrlearn.recipe import load_recipe
from incrlearn.recipe.latest import latest, latest_in, place_to_blame
from incrlearn.recipe.nodes import Node, Place
from incrlearn.registry import Registry

BASE, OWN, EDIT = Place(Path("base.yaml"), 1, layer=-1), Place(Path("own.yaml"), 2), Place(override="a=1", layer=1)


def test_later_layers_lie_over_earlier_ones_and_the_first_place_of_one_counts() -> None:
    assert latest((BASE, OWN, EDIT, Place(override="b=1", layer=1))) == EDIT
    assert latest_in(Node({"a": Node(1, BASE), "b": Node({"c": Node(1, EDIT)}, OWN)}, BASE)) == EDIT
    assert latest_in(Node({"a": Node(1, BASE)}, OWN)) == OWN


@pytest.mark.parametrize(
    ("path", "message", "places", "told"),
    [
        ("data.tasks", "no", {"data": OWN, "data.tasks": BASE, "data.classes": OWN}, OWN),
        ("data.tasks", "no", {"data": BASE, "data.tasks": OWN, "data.classes": BASE}, OWN),
        ("data.tasks", "no", {"data": BASE, "data.tasks": BASE, "data.classes": EDIT}, EDIT),
        ("data.tasks", "not with base", {"data": OWN, "data.tasks": BASE, "data.base": OWN, "data.x": EDIT}, OWN),
        (
            "plugins.a",
            "b and c",
            {"plugins.a": OWN, "plugins.a.b": BASE, "plugins.a.c": EDIT, "plugins.a.d": EDIT},
            EDIT,
        ),
        ("plugins.a", "b and c", {"plugins.a": OWN, "plugins.a.b": OWN, "plugins.a.c": BASE, "plugins.a.d": EDIT}, OWN),
        (
            "plugins.a",
            "b and c",
            {"plugins.a": OWN, "plugins.a.b": BASE, "plugins.a.c": BASE, "plugins.a.d": EDIT},
            BASE,
        ),
        ("plugins.a", "to use", {"plugins.a": BASE, "plugins.a.use": BASE, "plugins.a.c": EDIT}, EDIT),
        ("plugins.a", "bad", {"plugins.a": BASE, "plugins.a.b": BASE, "plugins.b.c": EDIT}, BASE),
        ("plugins", "bad", {"plugins": OWN, "plugins.a": BASE, "plugins.a.b": EDIT}, OWN),
        ("seed", "bad", {"seed": OWN, "data": EDIT}, OWN),
        ("none", "bad", {"seed": OWN}, Place()),
    ],
)
def test_what_was_changed_last_and_what_the_message_names_is_blamed(
    path: str, message: str, places: dict[str, Place], told: Place
) -> None:
    assert place_to_blame(path, f"{path}: {message}", places) == told


def test_rule_over_options_is_told_at_the_override_that_broke_it(write: Any, problems_of: Any, good: str) -> None:
    path = write(good)
    (problem,) = problems_of(path, "seed=2", "plugins.memory.per_class=3", "plugins.train.lr=0.5")
    assert problem.startswith("--set plugins.memory.per_class=3: plugins.memory: give exactly one of total, per_class")
    (problem,) = problems_of(path, "data.base=51", "data.flip=true")
    assert problem == "--set data.base=51: data: base goes with increment, not with tasks"


def test_rule_over_options_is_told_in_the_file_that_broke_it(write: Any, problems_of: Any, good: str) -> None:
    write(good, "base.yaml")
    path = write("extends: base.yaml\nplugins:\n  memory: {per_class: 3}\n", "middle.yaml")
    told = "plugins.memory: give exactly one of total, per_class"
    assert problems_of(path) == [f"line 3: {told}"]
    child = write("extends: middle.yaml\nplugins: {train: {epochs: 5}}\n")
    assert problems_of(child) == [f"middle.yaml, line 3: {told}"]


def test_what_is_found_with_the_data_is_told_at_the_line_that_changed_it(
    write: Any, registry: Registry, good: str
) -> None:
    write(good, "base.yaml")
    text = "extends: base.yaml\nseed: 2\ndata: {classes: 51}\nbackbone: {name: vit_tiny_patch16_224}\n"
    recipe = load_recipe(write(text), registry, ["backbone.stem=cifar", "plugins.memory.total=3"])
    messages = (
        "data.tasks: 51 classes do not split",
        "backbone.name: no",
        "plugins.memory: too few",
        "plugins.train: no",
    )
    assert [str(problem) for problem in recipe.error(messages).problems] == [
        "line 3: data.tasks: 51 classes do not split",
        "--set backbone.stem=cifar: backbone.name: no",
        "--set plugins.memory.total=3: plugins.memory: too few",
        "base.yaml, line 10: plugins.train: no",
    ]
