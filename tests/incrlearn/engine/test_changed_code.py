"""A run that is gone on with after the code of its plug-ins was changed, or their files moved."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml

from incrlearn import OutputError, Recipe, RecipeNotice, Registry, load_network, load_recipe, run_recipe
from incrlearn.engine.rundir import changed_code, holds_run_of
from incrlearn.recipe import load_written, recipe_from_dict
from incrlearn.recipe.nodes import dump_yaml
from incrlearn.testing import SyntheticData, tiny_recipe

LOSS = """
from incrlearn import LossTerm, Plugin, hookimpl


class Mine(Plugin):
    '''Fails in the second task.'''

    kind = "loss"

    @hookimpl
    def loss_terms(self, state, out):
        return [LossTerm(self.name, out.logits.square().mean() * (1 / (2 - state.task.number)))]
"""
MENDED = LOSS.replace(" * (1 / (2 - state.task.number))", "")
REGISTRY = Registry.of({"synthetic": SyntheticData})


def recipe_in(folder: Path, text: str) -> Recipe:
    folder.mkdir(exist_ok=True)
    (folder / "mine.py").write_text(text)
    plain: dict[str, Any] = tiny_recipe(balance=None, mine="./mine.py:Mine")
    (folder / "own.yaml").write_text(dump_yaml(plain))
    return load_recipe(folder / "own.yaml", REGISTRY)


@pytest.fixture
def failed(tmp_path: Path) -> Recipe:
    """The recipe of a run in ``tmp_path/run`` that its own plug-in stopped in the second task."""
    recipe = recipe_in(tmp_path / "home", LOSS)
    with pytest.raises(ZeroDivisionError):
        run_recipe(recipe, tmp_path / "run", device="cpu")
    return recipe


def test_a_run_goes_on_with_mended_code_and_tells_of_both(tmp_path: Path, failed: Recipe) -> None:
    out = tmp_path / "run"
    assert changed_code(out, failed) == {}
    mended = recipe_in(tmp_path / "home", MENDED)
    assert holds_run_of(out, mended)
    assert changed_code(out, mended) == {"plugins.mine": failed.code["plugins.mine"]}
    result = run_recipe(mended, out, device="cpu", resume=True)
    assert [row["task"] for row in result.summary["tasks"]] == [1, 2, 3]
    written = load_written(out / "recipe.yaml", REGISTRY)
    assert written.code == {"plugins.mine": f"{failed.code['plugins.mine']}+{mended.code['plugins.mine']}"}
    # It is neither the run of the one code nor of the other.
    assert len({failed.fingerprint, mended.fingerprint, written.fingerprint}) == 3
    assert result.summary["fingerprint"] == written.fingerprint


def test_going_on_twice_with_the_same_code_tells_it_once(tmp_path: Path, failed: Recipe) -> None:
    out = tmp_path / "run"
    # Fails in the third task.
    later = recipe_in(tmp_path / "home", LOSS.replace("2 - ", "3 - "))
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            run_recipe(later, out, device="cpu", resume=True)
    code = f"{failed.code['plugins.mine']}+{later.code['plugins.mine']}"
    assert load_written(out / "recipe.yaml", REGISTRY).code == {"plugins.mine": code}
    assert changed_code(out, later) == {}


def test_a_try_that_finishes_no_task_leaves_no_trace(tmp_path: Path, failed: Recipe) -> None:
    out = tmp_path / "run"
    useless = recipe_in(tmp_path / "home", LOSS.replace("square()", "abs()"))
    with pytest.raises(ZeroDivisionError):
        run_recipe(useless, out, device="cpu", resume=True)
    assert load_written(out / "recipe.yaml", REGISTRY).code == failed.code
    assert changed_code(out, failed) == {}


def test_without_a_finished_task_the_code_is_that_of_now(tmp_path: Path) -> None:
    out = tmp_path / "run"
    first = recipe_in(tmp_path / "home", LOSS.replace("2 - ", "1 - "))
    with pytest.raises(ZeroDivisionError):
        run_recipe(first, out, device="cpu")
    mended = recipe_in(tmp_path / "home", MENDED)
    assert changed_code(out, mended) == {}
    result = run_recipe(mended, out, device="cpu", resume=True)
    written = load_written(out / "recipe.yaml", REGISTRY)
    assert (written.code, written.fingerprint) == (mended.code, mended.fingerprint)
    assert result.summary["fingerprint"] == mended.fingerprint


def test_where_no_task_is_left_the_code_of_now_has_trained_nothing(tmp_path: Path) -> None:
    out = tmp_path / "run"
    mended = recipe_in(tmp_path / "home", MENDED)
    run_recipe(mended, out, device="cpu")
    (out / "result.json").unlink()
    result = run_recipe(recipe_in(tmp_path / "home", LOSS), out, device="cpu", resume=True)
    written = load_written(out / "recipe.yaml", REGISTRY)
    assert (written.code, written.fingerprint) == (mended.code, result.summary["fingerprint"])


def test_a_finished_run_of_other_code_is_told_as_such(tmp_path: Path) -> None:
    out = tmp_path / "run"
    mended = recipe_in(tmp_path / "home", MENDED)
    run_recipe(mended, out, device="cpu")
    with pytest.raises(OutputError, match="holds a finished run of this recipe, its numbers"):
        run_recipe(mended, out, device="cpu")
    changed = recipe_in(tmp_path / "home", LOSS)
    with pytest.raises(OutputError, match=r"run of this recipe, but with other code of plugins\.mine, its numbers"):
        run_recipe(changed, out, device="cpu")
    plain = yaml.safe_load((out / "recipe.yaml").read_text())
    del plain["code"]
    (out / "recipe.yaml").write_text(dump_yaml(plain))
    with pytest.raises(OutputError, match=r"but with code of plugins\.mine that is not known"):
        run_recipe(changed, out, device="cpu")


@pytest.mark.usefixtures("failed")
def test_a_moved_run_that_fails_again_tells_where_its_files_are_and_keeps_its_code(tmp_path: Path) -> None:
    code = load_written(tmp_path / "run" / "recipe.yaml", REGISTRY).code
    (tmp_path / "home").rename(tmp_path / "moved")
    changed = recipe_in(tmp_path / "moved", LOSS.replace("square()", "abs()"))
    with pytest.raises(ZeroDivisionError):
        run_recipe(changed, tmp_path / "run", device="cpu", resume=True)
    written = load_written(tmp_path / "run" / "recipe.yaml", REGISTRY)
    assert written.code == code
    assert written.resolved()["plugins"]["mine"]["use"] == f"{tmp_path}/moved/mine.py:Mine"


def test_a_run_from_before_code_was_recorded_goes_on(tmp_path: Path, failed: Recipe) -> None:
    stored = tmp_path / "run" / "recipe.yaml"
    plain = yaml.safe_load(stored.read_text())
    del plain["code"]
    stored.write_text(dump_yaml(plain))
    mended = recipe_in(tmp_path / "home", MENDED)
    assert changed_code(stored.parent, mended) == {"plugins.mine": None}
    run_recipe(mended, stored.parent, device="cpu", resume=True)
    assert load_written(stored, REGISTRY).code == {"plugins.mine": f"unknown+{mended.code['plugins.mine']}"}


@pytest.mark.usefixtures("failed")
def test_a_file_that_was_moved_is_the_same_and_its_run_tells_where_it_is(tmp_path: Path) -> None:
    mended = recipe_in(tmp_path / "home", MENDED)
    run_recipe(mended, tmp_path / "whole", device="cpu")
    (tmp_path / "home" / "mine.py").write_text(LOSS)
    (tmp_path / "home").rename(tmp_path / "moved")
    mended = recipe_in(tmp_path / "moved", MENDED)
    run_recipe(mended, tmp_path / "run", device="cpu", resume=True)
    assert load_network(tmp_path / "run", registry=REGISTRY).width > 0
    # The finished one names the file where it lay.
    with pytest.raises(Exception, match=r"no file .*home/mine\.py"):
        load_network(tmp_path / "whole", registry=REGISTRY)


def test_another_recipe_is_another_one_whatever_its_code(tmp_path: Path, failed: Recipe) -> None:
    plain = yaml.safe_load((tmp_path / "home" / "own.yaml").read_text())
    (tmp_path / "home" / "own.yaml").write_text(dump_yaml(plain | {"seed": 5}))
    other = load_recipe(tmp_path / "home" / "own.yaml", REGISTRY)
    assert other.code == failed.code
    with pytest.raises(OutputError, match=r"(?s)-seed: 1.*\+seed: 5") as told:
        run_recipe(other, tmp_path / "run", device="cpu", resume=True)
    assert "code" not in str(told.value)


HEAD = """
from incrlearn import Plugin, hookimpl
from incrlearn.network import LinearHead


class Mine(Plugin):
    kind = "head"

    @hookimpl
    def grow_head(self, state, width):
        return LinearHead(width, state.task.seen, False, state.generator(self.name))
"""


@pytest.mark.parametrize(("row", "text", "told"), [("head", HEAD, True), ("mine", MENDED, False)])
def test_a_network_whose_own_code_has_changed_is_loaded_with_a_notice(
    tmp_path: Path, row: str, text: str, told: bool
) -> None:
    (tmp_path / "mine.py").write_text(text)
    rows = {row: f"{tmp_path}/mine.py:Mine"}
    plain: dict[str, Any] = tiny_recipe(balance=None, **rows)
    run_recipe(recipe_from_dict(plain, REGISTRY, "tiny"), tmp_path / "run", device="cpu")
    for changed in (False, True):
        (tmp_path / "mine.py").write_text(text + ("CHANGED = True\n" if changed else ""))
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            load_network(tmp_path / "run", registry=REGISTRY)
        messages = [str(one.message) for one in found if issubclass(one.category, RecipeNotice)]
        assert len(messages) == (told and changed)
        assert all(f"the code of plugins.{row} " in message for message in messages)
