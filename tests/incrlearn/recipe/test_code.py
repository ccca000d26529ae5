"""The code of plug-ins that are not incrlearn's own: in a recipe, in its fingerprint, and as a run had it."""

import warnings
from pathlib import Path
from typing import Any

import pytest

from incrlearn import RecipeError, RecipeNotice, Registry, load_recipe
from incrlearn.recipe import Recipe, load_written, recipe_from_dict, written_from_dict
from incrlearn.recipe.nodes import dump_yaml

LOSS = """
from incrlearn import Plugin


class Mine(Plugin):
    '''A loss.'''
    kind = "loss"
    scale = 1


class Watch(Plugin):
    '''A logger.'''
    kind = "log"
    affects_result = False
"""
ROWS = {"mine": "./mine.py:Mine"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "mine.py").write_text(LOSS)
    return folder


def read(folder: Path, code: dict[str, str] | None = None, rows: dict[str, Any] | None = None) -> Recipe:
    plain: dict[str, Any] = {"extends": "der_digits.yaml", "plugins": ROWS if rows is None else rows}
    (folder / "own.yaml").write_text(dump_yaml(plain | ({"code": code} if code is not None else {})))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load_recipe(folder / "own.yaml", Registry.discover())


def test_code_of_incrlearns_own_plugins_is_not_in_a_recipe(home: Path) -> None:
    recipe = read(home, rows={})
    assert recipe.code == {}
    assert "code" not in recipe.resolved()


def test_a_loggers_code_decides_nothing(home: Path) -> None:
    assert read(home, rows={"watch": "./mine.py:Watch"}).code == {}


def test_changing_the_code_makes_another_recipe_and_moving_it_does_not(home: Path, tmp_path: Path) -> None:
    recipe = read(home)
    ((path, digest),) = recipe.code.items()
    assert (path, len(digest)) == ("plugins.mine", 12)
    assert recipe.resolved()["code"] == {path: digest}
    moved = read(home.rename(tmp_path / "elsewhere"))
    assert moved.fingerprint == recipe.fingerprint
    assert moved.resolved()["plugins"]["mine"]["use"] == f"{tmp_path}/elsewhere/mine.py:Mine"
    file = tmp_path / "elsewhere" / "mine.py"
    file.write_text("# Mine.\n" + LOSS.replace("A loss", "Told in other words"))
    assert read(file.parent).fingerprint == recipe.fingerprint
    file.write_text(LOSS.replace("scale = 1", "scale = 2"))
    assert read(file.parent).fingerprint != recipe.fingerprint


@pytest.mark.parametrize("name", ["loss_v0.1.py", "mein verlust.py", "v.a.r.py"])
def test_a_file_of_any_name_has_code(home: Path, name: str) -> None:
    found = []
    for text in (LOSS, LOSS.replace("scale = 1", "scale = 2")):
        (home / name).write_text(text)
        found.append(read(home, rows={"mine": f"./{name}:Mine"}).code["plugins.mine"])
    assert found[0] != found[1]


def test_a_file_that_only_hands_a_class_on_has_the_code_of_the_file(home: Path) -> None:
    found = []
    for text in ("", "changed = True\n"):
        (home / "mine.py").write_text(f"from incrlearn_plugins.loss.cross_entropy import CrossEntropy as Mine\n{text}")
        found.append(read(home, rows={"loss": "./mine.py:Mine"}).code["plugins.loss"])
    assert found[0] != found[1]


def test_code_of_a_data_set_counts_too(home: Path) -> None:
    data = LOSS.replace('kind = "loss"', 'kind = "data"')
    found = []
    for text in (data, data + "CHANGED = 1\n"):
        (home / "mine.py").write_text(text)
        plain = read(home, rows={}).resolved() | {"data": {"use": f"{home}/mine.py:Mine", "tasks": 2}}
        recipe = recipe_from_dict(plain, Registry.discover(), "x")
        assert list(recipe.code) == ["data"]
        found.append(recipe.fingerprint)
    assert found[0] != found[1]


def test_what_a_run_wrote_keeps_the_code_of_then(home: Path) -> None:
    recipe = read(home)
    stored = home / "recipe.yaml"
    stored.write_text(recipe.to_yaml())
    (home / "mine.py").write_text(LOSS.replace("scale = 1", "scale = 2"))
    written = load_written(stored, Registry.discover())
    assert (written.code, written.fingerprint) == (recipe.code, recipe.fingerprint)
    assert written_from_dict(recipe.resolved(), Registry.discover(), "x").fingerprint == recipe.fingerprint
    assert recipe_from_dict(recipe.resolved(), Registry.discover(), "x").fingerprint != recipe.fingerprint


def test_a_run_that_tells_no_code_has_none(home: Path) -> None:
    plain = read(home).resolved()
    del plain["code"]
    assert written_from_dict(plain, Registry.discover(), "x").code == {}


def test_training_again_what_a_run_wrote_tells_of_changed_code_at_its_line(home: Path) -> None:
    stored = home / "recipe.yaml"
    stored.write_text(read(home).to_yaml())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_recipe(stored, Registry.discover())
    (home / "mine.py").write_text(LOSS.replace("scale = 1", "scale = 2"))
    with pytest.warns(RecipeNotice, match=r"the code of plugins.mine \(.*mine.py:Mine\) has changed since") as told:
        recipe = load_recipe(stored, Registry.discover())
    line = stored.read_text().splitlines()[told[0].lineno - 1]
    assert line.strip().startswith("plugins.mine: ")
    assert recipe.code["plugins.mine"] not in line


@pytest.mark.parametrize("told", [True, False])
def test_code_of_a_plugin_that_an_override_names_has_not_changed(home: Path, told: bool) -> None:
    stored = home / "recipe.yaml"
    stored.write_text(read(home).to_yaml())
    (home / "other.py").write_text(LOSS.replace("scale = 1", "scale = 2"))
    (home / "mine.py").write_text(LOSS.replace("scale = 1", "scale = 2"))
    override = "seed=2" if told else f"plugins.mine.use={home}/other.py:Mine"
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        load_recipe(stored, Registry.discover(), [override])
    assert [one.category for one in found] == [RecipeNotice] * told


def test_what_is_extended_does_not_hand_its_code_down(home: Path) -> None:
    (home / "base.yaml").write_text(read(home).to_yaml())
    (home / "mine.py").write_text(LOSS.replace("scale = 1", "scale = 2"))
    (home / "variant.yaml").write_text("extends: base.yaml\nseed: 2\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_recipe(home / "variant.yaml", Registry.discover()).code == read(home).code


@pytest.mark.parametrize("code", ["[a]", "3f0c", "{plugins.mine: 3}", "{plugins.mine: {a: b}}"])
def test_code_of_another_form_is_refused_at_its_line(home: Path, code: str) -> None:
    (home / "own.yaml").write_text(f"extends: der_digits.yaml\ncode: {code}\nplugins: {{mine: ./mine.py:Mine}}\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RecipeError, match=r"line 2: code: must map paths such as plugins\.loss to digests"):
            load_recipe(home / "own.yaml", Registry.discover())
