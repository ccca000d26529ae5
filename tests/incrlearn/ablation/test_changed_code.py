"""Runs of a pool after the code of a plug-in was changed: trained again, unless one says that it does not matter."""

import shutil
from pathlib import Path

import pytest
import yaml

from incrlearn import Registry
from incrlearn.ablation.execution import make_job, run_cells
from incrlearn.ablation.executors.here import Here
from incrlearn.ablation.grid import Cell
from incrlearn.ablation.job import train
from incrlearn.ablation.outcome import other_code
from incrlearn.ablation.pool import Pool
from incrlearn.engine.record import read_record
from incrlearn.recipe import load_recipe
from incrlearn.recipe.nodes import dump_yaml

LOSS = """
from incrlearn import LossTerm, Plugin, hookimpl


class Mine(Plugin):
    kind = "loss"

    @hookimpl
    def loss_terms(self, out):
        return [LossTerm(self.name, 0.001 * out.logits.square().mean())]
"""
CHANGED = LOSS.replace("0.001", "0.002")


@pytest.fixture
def home(tiny: Path) -> Path:
    """A folder with the tiny recipe and a loss of its own."""
    plain = yaml.safe_load(tiny.read_text())
    plain["plugins"]["mine"] = {"use": "./mine.py:Mine"}
    (tiny.parent / "home").mkdir()
    (tiny.parent / "home" / "mine.py").write_text(LOSS)
    (tiny.parent / "home" / "own.yaml").write_text(dump_yaml(plain))
    return tiny.parent / "home"


def cell_of(home: Path) -> Cell:
    return Cell("base", load_recipe(home / "own.yaml", Registry.discover()))


def pool_of(home: Path, any_code: bool = False) -> Pool:
    return Pool(home.parent / "pool", Registry.discover(), any_code)


@pytest.fixture
def trained(home: Path) -> Path:
    """The directory of a finished run."""
    cell = cell_of(home)
    assert [event.kind for event in run_cells([cell], pool_of(home), None, Here("cpu"))] == ["started", "done"]
    return pool_of(home).run_dir(cell)


def test_the_same_code_is_the_same_run_wherever_it_lies(home: Path, trained: Path) -> None:
    cell = cell_of(home.rename(home.with_name("moved")))
    assert (pool_of(home).run_dir(cell), pool_of(home).state(cell)) == (trained, "done")
    assert pool_of(home).of_other_code(cell) is None


def test_other_code_is_another_run_unless_any_code_counts(home: Path, trained: Path) -> None:
    (home / "mine.py").write_text(CHANGED)
    cell = cell_of(home)
    strict, lenient = pool_of(home), pool_of(home, any_code=True)
    assert (strict.state(cell), strict.of_other_code(cell)) == ("not run", trained)
    assert (lenient.state(cell), lenient.run_dir(cell)) == ("done", trained)
    assert lenient.finished([cell])[cell.key].run_dir == trained
    # Trained with the code of now, it goes before.
    list(run_cells([cell], strict, None, Here("cpu")))
    for pool in (pool_of(home), pool_of(home, any_code=True)):
        assert (pool.run_dir(cell).name, pool.of_other_code(cell)) == (cell.recipe.fingerprint, None)


def test_any_code_counts_nothing_that_differs_in_more(home: Path, trained: Path) -> None:
    assert trained.is_dir()
    (home / "mine.py").write_text(CHANGED)
    other = Cell("base", load_recipe(home / "own.yaml", Registry.discover(), seed=2))
    assert pool_of(home, any_code=True).state(other) == "not run"


def test_an_unfinished_run_of_other_code_is_not_gone_on_with(home: Path, trained: Path) -> None:
    (trained / "result.json").unlink()
    (home / "mine.py").write_text(CHANGED)
    assert pool_of(home, any_code=True).of_other_code(cell_of(home)) is None


def test_a_job_whose_code_was_changed_since_is_refused(home: Path) -> None:
    job = make_job(pool_of(home), cell_of(home), None)
    (home / "mine.py").write_text(CHANGED)
    told = "the code of plugins.mine is not what it was when the ablation was begun: put the file back, or run"
    assert told in str(train(job).error)
    assert not Path(job.run_dir).exists()


def test_an_interrupted_run_of_the_code_of_now_gives_way_to_any_code(home: Path, trained: Path) -> None:
    (home / "mine.py").write_text(CHANGED)
    cell = cell_of(home)
    list(run_cells([cell], pool_of(home), None, Here("cpu")))
    own = pool_of(home).run_dir(cell)
    (own / "result.json").unlink()
    strict, lenient = pool_of(home), pool_of(home, any_code=True)
    assert (strict.run_dir(cell), strict.state(cell), strict.of_other_code(cell)) == (own, "interrupted", trained)
    assert (lenient.run_dir(cell), lenient.state(cell)) == (trained, "done")


@pytest.mark.parametrize("old_file_is_there", [True, False])
def test_code_that_was_moved_and_changed_is_found_by_any_code(
    home: Path, trained: Path, old_file_is_there: bool
) -> None:
    moved = home.with_name("moved")
    shutil.copytree(home, moved)
    if not old_file_is_there:
        shutil.rmtree(home)
    (moved / "mine.py").write_text(CHANGED)
    cell = cell_of(moved)
    strict, lenient = pool_of(home), pool_of(home, any_code=True)
    assert (strict.state(cell), strict.of_other_code(cell)) == ("not run", trained)
    assert (lenient.state(cell), lenient.run_dir(cell)) == ("done", trained)
    other = Cell("base", load_recipe(moved / "own.yaml", Registry.discover(), seed=2))
    assert lenient.of_other_code(other) is None


def test_what_is_told_of_other_code_is_never_empty(home: Path, trained: Path) -> None:
    cell = cell_of(home)
    assert other_code([cell], pool_of(home)) == ""
    # Gone on with by hand after a change, and changed back.
    text = (trained / "recipe.yaml").read_text()
    code = cell.recipe.code["plugins.mine"]
    (trained / "recipe.yaml").write_text(text.replace(code, f"0123456789ab+{code}"))
    trained.rename(trained.with_name("0" * 12))
    assert other_code([cell], pool_of(home)) == "1 run was trained with other code of plugins.mine"
    (trained.with_name("0" * 12) / "recipe.yaml").write_text(text.partition("code:")[0])
    told = other_code([cell], pool_of(home))
    assert told.startswith("1 run was trained with code of ")
    assert told.endswith("plugins.mine that is not known")


def test_an_interrupted_run_goes_on_with_the_file_where_it_lies_now(home: Path, trained: Path) -> None:
    (trained / "result.json").unlink()
    moved = home.rename(home.with_name("moved"))
    # Another file at the old place is not what goes on.
    home.mkdir()
    (home / "mine.py").write_text(CHANGED)
    cell = cell_of(moved)
    assert train(make_job(pool_of(moved), cell, None)).error is None
    assert read_record(trained).fingerprint == cell.recipe.fingerprint
    assert read_record(trained).recipe["plugins"]["mine"]["use"] == f"{moved}/mine.py:Mine"
