"""The schema that editors read."""

from typing import Any

import pytest

from incrlearn.plugin import Plugin
from incrlearn.recipe import recipe_schema
from incrlearn.registry import PluginEntry, Registry


class Images(Plugin):
    """Images of mine."""

    kind = "data"


class Nested(Plugin.Config):
    depth: int = 1


class Train(Plugin):
    """Trains."""

    kind = "phase"

    class Config(Plugin.Config):
        epochs: int
        first: Nested | None = None


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    broken = PluginEntry("broken", "somebody", "1", "no_such_module_anywhere:X")
    return recipe_schema(Registry([broken], {"images": Images, "train": Train}))


def row_of(choices: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(choice for choice in choices if choice.get("title") == name)


def test_schema_knows_the_parts_of_a_recipe(schema: dict[str, Any]) -> None:
    assert set(schema["properties"]) == {
        "extends", "format", "seed", "data", "backbone", "plugins", "precision", "eval_batch", "expected",
            "code",
    }  # fmt: skip
    assert schema["additionalProperties"] is False


def test_schema_lets_use_decide_the_options(schema: dict[str, Any]) -> None:
    choices = schema["properties"]["plugins"]["additionalProperties"]["anyOf"]
    train = row_of(choices, "train")
    assert train["properties"]["use"] == {"const": "train"}
    assert set(train["properties"]) == {"use", "epochs", "first"}
    assert train["additionalProperties"] is False
    assert {"enum": ["train"]} in choices
    images = row_of(schema["properties"]["data"]["anyOf"], "images")
    assert {"use", "tasks", "increment", "increments", "order"} <= set(images["properties"])


def test_schema_resolves_all_its_references(schema: dict[str, Any]) -> None:
    found = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            found.extend([value["$ref"]] if "$ref" in value else [])
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(schema)
    assert "#/$defs/train.Nested" in found
    assert all(reference.removeprefix("#/$defs/") in schema["$defs"] for reference in found)
