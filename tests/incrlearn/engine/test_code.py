"""Which files of plug-ins were changed after a run was trained with them."""

import os
from pathlib import Path

import pytest

from incrlearn import Recipe, Registry, load_recipe
from incrlearn.engine.code import newer_code

PLUGIN = """
from incrlearn import LossTerm, Plugin, hookimpl


class Extra(Plugin):
    kind = "loss"

    @hookimpl
    def loss_terms(self, out):
        return [LossTerm(self.name, out.logits.square().mean())]
"""
RECIPE = """
extends: der_digits.yaml
plugins:
  extra: {use: "./extra.py:Extra"}
"""
HOUR = 3600


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    (tmp_path / "extra.py").write_text(PLUGIN)
    (tmp_path / "own.yaml").write_text(RECIPE)
    return load_recipe(tmp_path / "own.yaml", Registry.discover())


def change(path: Path, hours: float) -> None:
    """Let a file be changed so many hours from now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    now = path.stat().st_mtime
    os.utime(path, (now, now + hours * HOUR))


@pytest.mark.parametrize("last", ["result.json", "checkpoints/task_02/state.pt", "recipe.yaml"])
def test_file_that_was_changed_after_the_run_is_told(recipe: Recipe, tmp_path: Path, last: str) -> None:
    change(tmp_path / "run" / last, hours=1)
    assert newer_code(recipe, tmp_path / "run") == []
    change(tmp_path / "extra.py", hours=2)
    assert newer_code(recipe, tmp_path / "run") == [tmp_path / "extra.py"]


def test_a_run_that_was_resumed_with_it_is_newer(recipe: Recipe, tmp_path: Path) -> None:
    change(tmp_path / "extra.py", hours=2)
    change(tmp_path / "run" / "checkpoints" / "task_01" / "state.pt", hours=1)
    change(tmp_path / "run" / "checkpoints" / "task_02" / "state.pt", hours=3)
    assert newer_code(recipe, tmp_path / "run") == []


def test_plugins_of_incrlearn_and_runs_that_were_not_begun_have_none(recipe: Recipe, tmp_path: Path) -> None:
    assert newer_code(recipe, tmp_path / "run") == []
    change(tmp_path / "run" / "result.json", hours=-1e6)
    assert newer_code(recipe, tmp_path / "run") == [tmp_path / "extra.py"]
