"""The recipes that come with the package, and the schema that editors read."""

from pathlib import Path
from typing import Any

import pytest

from incrlearn.errors import RecipeError
from incrlearn.plugin import Plugin
from incrlearn.recipe import describe, find_recipe, load_recipe, recipe_schema, shipped_recipes
from incrlearn.recipe.shipped import recipe_name
from incrlearn.registry import PluginEntry, Registry

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", shipped_recipes(), ids=recipe_name)
def test_shipped_recipe_is_valid_and_says_what_it_is(path: Path) -> None:
    recipe = load_recipe(path, Registry.discover())
    assert find_recipe(recipe.name) == path
    assert len(describe(path)) > 20


def test_shipped_recipes_are_those_of_the_checkout() -> None:
    assert set(shipped_recipes()) == set((ROOT / "recipes").rglob("*.yaml"))


def test_recipe_is_found_by_path_before_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_recipe("der_digits") == find_recipe("der_digits.yaml") == ROOT / "recipes" / "der_digits.yaml"
    Path("der_digits.yaml").write_text("# mine\nseed: 1")
    assert find_recipe("der_digits.yaml") == Path("der_digits.yaml")
    assert recipe_name(Path("der_digits.yaml")) == "der_digits"
    Path("der_digits").mkdir()
    assert find_recipe("der_digits") == ROOT / "recipes" / "der_digits.yaml"
    assert describe(Path("der_digits.yaml")) == "mine"


def test_unknown_recipe_gets_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no shipped recipe of that name; did you mean 'der_digits'\?"):
        find_recipe("der_digit")
    with pytest.raises(RecipeError, match="'incrlearn recipes' lists"):
        find_recipe("/no/such/thing.yaml")
    with pytest.raises(RecipeError, match="a folder, not a recipe file"):
        find_recipe(str(tmp_path))


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
        "extends", "seed", "data", "backbone", "plugins", "precision", "eval_batch", "expected",
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
