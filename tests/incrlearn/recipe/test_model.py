"""A recipe as the engine sees it: it loads back from what it resolves to, and its fingerprint tells results apart."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incrlearn.recipe import load_recipe, recipe_from_dict
from incrlearn.registry import Registry


def test_resolved_holds_everything_and_loads_back(write: Any, registry: Registry, good: str) -> None:
    recipe = load_recipe(write(good), registry)
    plain = recipe.resolved()
    assert plain["plugins"]["auxiliary"] == {"use": "auxiliary", "weight": 2.0}
    assert plain["data"] == {
        "use": "images", "tasks": 5, "order": "paper-1", "cumulative": False, "flip": False,
    }  # fmt: skip
    assert json.loads(json.dumps(plain)) == plain
    again = recipe_from_dict(plain, registry, "again")
    from_file = load_recipe(write(recipe.to_yaml(), "stored.yaml"), registry)
    assert again.resolved() == from_file.resolved() == plain
    assert again.fingerprint == from_file.fingerprint == recipe.fingerprint
    assert len(recipe.fingerprint) == 12
    assert set(recipe.fingerprint) <= set("0123456789abcdef")


def plain_recipe() -> dict[str, Any]:
    return {
        "data": {"use": "images", "tasks": 5, "order": "natural"},
        "backbone": {"name": "resnet18", "options": {"a": 1, "b": [1, 2]}},
        "plugins": {
            "network": {"use": "grows", "start": "fresh"},
            "head": {"use": "head"},
            "loss": {"use": "loss"},
            "train": {"use": "train", "epochs": 3, "lr": 0.5, "share": 0.25},
        },
    }


@pytest.fixture(scope="session")
def fingerprint(registry: Registry) -> Any:
    """The fingerprint of a recipe of plain values."""

    def of(data: dict[str, Any], name: str = "x") -> str:
        return recipe_from_dict(data, registry, name).fingerprint

    return of


@given(st.randoms(use_true_random=False))
def test_order_of_options_does_not_change_the_fingerprint(fingerprint: Any, random: Any) -> None:
    def shuffled(mapping: dict[str, Any]) -> dict[str, Any]:
        keys = list(mapping)
        random.shuffle(keys)
        return {key: mapping[key] for key in keys}

    data = plain_recipe()
    rows = {key: shuffled(row) for key, row in data["plugins"].items()}
    mixed = shuffled({**data, "data": shuffled(data["data"]), "backbone": shuffled(data["backbone"]), "plugins": rows})
    assert fingerprint(mixed) == fingerprint(data)


@given(st.permutations(["network", "head", "loss", "train"]))
def test_order_of_plugins_changes_the_fingerprint(fingerprint: Any, keys: list[str]) -> None:
    data = plain_recipe()
    mixed = {**data, "plugins": {key: data["plugins"][key] for key in keys}}
    assert (fingerprint(mixed) == fingerprint(data)) == (keys == list(data["plugins"]))


def test_fingerprint_counts_what_decides_the_result_and_nothing_else(fingerprint: Any) -> None:
    data = plain_recipe()
    original = fingerprint(data)
    same = {**data, "expected": {"average": 1, "last": 2, "source": "me"}, "precision": "auto"}
    same["plugins"] = {**data["plugins"], "log": {"use": "log", "file": "x.jsonl"}}
    assert fingerprint(same, "another name") == original
    for path, value in [
        (("seed",), 2), (("eval_batch",), 2), (("precision",), "bf16"), (("backbone", "stem"), "cifar"),
        (("data", "flip"), True), (("data", "order"), 3), (("plugins", "train", "lr"), 0.51),
        (("backbone", "options", "a"), 2), (("plugins", "network", "start"), "previous"),
    ]:  # fmt: skip
        other = json.loads(json.dumps(data))
        place = other
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        assert fingerprint(other) != original, path


OPTIONS = st.fixed_dictionaries(
    {"use": st.just("train"), "epochs": st.integers(1, 10**6)},
    optional={
        "lr": st.floats(0, 1e9, exclude_min=True) | st.integers(1, 9),
        "share": st.floats(0, 1),
        "milestones": st.lists(st.integers(), max_size=4),
        "scale": st.tuples(st.floats(-1e300, 1e300), st.integers(-9, 9)).map(list),
        "note": st.none() | st.text(),
        "first": st.none() | st.fixed_dictionaries({}, optional={"lr": st.floats(1e-300, 1)}),
    },
)
ORDERS = st.sampled_from(["natural", "seed", "paper-1", "1e-4"]) | st.integers(0, 99) | st.lists(st.integers(0, 99))
BACKBONE_VALUES = st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    options=OPTIONS,
    order=ORDERS,
    values=st.dictionaries(st.text(), BACKBONE_VALUES | st.lists(BACKBONE_VALUES, max_size=3), max_size=3),
)
def test_every_recipe_loads_back_from_what_it_resolves_to(
    tmp_path: Path, registry: Registry, fingerprint: Any, options: dict[str, Any], order: Any, values: dict[str, Any]
) -> None:
    data = plain_recipe()
    data["plugins"]["train"] = options
    data["data"]["order"] = order
    data["backbone"]["options"] = values
    recipe = recipe_from_dict(data, registry, "x")
    stored = tmp_path / "stored.yaml"
    stored.write_text(recipe.to_yaml(), encoding="utf-8")
    again = load_recipe(stored, registry)
    assert again.resolved() == recipe.resolved()
    assert again.fingerprint == recipe.fingerprint == fingerprint(recipe.resolved())
