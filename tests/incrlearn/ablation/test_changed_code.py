"""Runs of a pool after the code of a plug-in was changed: trained again, unless one says that it does not matter."""

from pathlib import Path

import pytest
import yaml

from incrlearn import Registry
from incrlearn.ablation.execution import make_job, run_cells
from incrlearn.ablation.executors.here import Here
from incrlearn.ablation.grid import Cell
from incrlearn.ablation.job import train
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
    assert "their code must not change while it trains" in str(train(job).error)
    assert not Path(job.run_dir).exists()


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
