"""The recipes that come with the package: where they are found and what they say of themselves."""

from pathlib import Path

import pytest

from incrlearn.errors import RecipeError
from incrlearn.recipe import describe, find_recipe, load_recipe, shipped_ablations, shipped_recipes
from incrlearn.recipe.shipped import recipe_name
from incrlearn.registry import Registry

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("path", shipped_recipes(), ids=recipe_name)
def test_shipped_recipe_is_valid_and_says_what_it_is(path: Path) -> None:
    recipe = load_recipe(path, Registry.discover())
    assert find_recipe(recipe.name) == path
    assert len(describe(path)) > 20


def test_shipped_recipes_are_those_of_the_checkout() -> None:
    assert {*shipped_recipes(), *shipped_ablations()} == set((ROOT / "recipes").rglob("*.yaml"))
    assert not {*shipped_recipes()} & {*shipped_ablations()}


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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("my", "did you mean 'my.yaml'?"),
        ("my.yml", "did you mean 'my.yaml'?"),
        ("mi.yaml", "did you mean 'my.yaml'?"),
        ("elsewhere/my.yaml", "no such file in {}/elsewhere, and no shipped recipe of that name"),
        ("./adjusted.py:Adjusted", "a plug-in, not a recipe; 'incrlearn plugins ./adjusted.py:Adjusted' shows it"),
    ],
)
def test_recipe_that_is_not_there_is_told_with_what_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.yaml").write_text("")
    with pytest.raises(RecipeError) as told:
        find_recipe(text)
    assert message.format(tmp_path) in str(told.value)


def test_the_recipe_of_a_run_is_called_as_the_run_was(tmp_path: Path) -> None:
    stored = tmp_path / "recipe.yaml"
    stored.write_text("seed: 1\n")
    assert recipe_name(stored) == "recipe"
    for damaged in ("", "[]", "{}", '{"recipe": 3}'):
        (tmp_path / "result.json").write_text(damaged)
        assert recipe_name(stored) == "recipe"
    (tmp_path / "result.json").write_text('{"recipe": "quick/der_cifar100"}')
    assert recipe_name(stored) == "quick/der_cifar100"
    assert recipe_name(tmp_path / "other.yaml") == "other"


def test_the_folder_of_a_run_leads_to_its_recipe(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").touch()
    with pytest.raises(RecipeError, match=r"a folder, not a recipe file; the recipe of the run in it is .*\.yaml"):
        find_recipe(str(tmp_path))
