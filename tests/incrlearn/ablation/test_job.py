"""A job trains its run wherever it is: new, interrupted or finished; and tells what went wrong in a line."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from incrlearn import Registry
from incrlearn.ablation.execution import make_job
from incrlearn.ablation.grid import Cell
from incrlearn.ablation.job import TRACEBACK, Job, train
from incrlearn.ablation.pool import Pool
from incrlearn.engine.record import is_finished, read_record
from incrlearn.recipe import load_recipe


def pool_at(folder: Path) -> Pool:
    return Pool(folder, Registry.discover())


@pytest.fixture
def job(tiny: Path) -> Job:
    made = make_job(pool_at(tiny.parent / "pool"), Cell("base", load_recipe(tiny, Registry.discover())), None)
    return replace(made, device="cpu", threads=1)


def test_a_job_goes_through_pickle_with_plugins_named_by_file(job: Job) -> None:
    assert pickle.loads(pickle.dumps(job)) == job


def test_paths_are_absolute_and_data_is_that_of_the_caller(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny.parent)
    monkeypatch.delenv("INCRLEARN_DATA", raising=False)
    cell = Cell("base", load_recipe(tiny, Registry.discover()))
    made = make_job(pool_at(Path("pool")), cell, None)
    assert Path(made.run_dir) == tiny.parent.resolve() / "pool" / cell.recipe.fingerprint
    assert made.data == str(tiny.parent.resolve() / "data")
    assert make_job(pool_at(Path("pool")), cell, Path("~/images")).data == str(Path.home() / "images")
    monkeypatch.setenv("INCRLEARN_DATA", "/elsewhere")
    assert make_job(pool_at(Path("pool")), cell, None).data is None


def test_a_run_is_trained_once(job: Job) -> None:
    assert train(job).error is None
    run_dir = Path(job.run_dir)
    assert read_record(run_dir).fingerprint == job.fingerprint
    before = (run_dir / "result.json").stat().st_mtime_ns
    assert train(job).error is None
    assert (run_dir / "result.json").stat().st_mtime_ns == before


def test_other_plugins_than_where_it_was_begun_are_refused(job: Job) -> None:
    assert "its plug-ins must be the same in both places" in str(train(replace(job, fingerprint="0" * 12)).error)


def test_a_folder_with_another_recipe_is_refused(job: Job) -> None:
    run_dir = Path(job.run_dir)
    run_dir.mkdir(parents=True)
    other = replace(load_recipe(run_dir.parents[1] / "tiny.yaml", Registry.discover()), seed=5)
    (run_dir / "recipe.yaml").write_text(other.to_yaml())
    assert "holds an unfinished run of another recipe" in str(train(job).error)


@pytest.mark.parametrize("raised", ["ValueError('not so')", "SystemExit('not so')"])
def test_a_plugins_own_mistake_leaves_a_line_and_a_traceback(tiny: Path, raised: str) -> None:
    (tiny.parent / "bad.py").write_text(
        "from incrlearn import Plugin, hookimpl\n\n\nclass Bad(Plugin):\n    kind = 'other'\n\n"
        f"    @hookimpl\n    def prepare(self, state):\n        raise {raised}\n"
    )
    recipe = load_recipe(tiny, Registry.discover(), [f"plugins.auxiliary={tiny.parent}/bad.py:Bad"])
    job = replace(make_job(pool_at(tiny.parent / "pool"), Cell("bad", recipe), None), device="cpu", threads=1)
    error = str(train(job).error)
    assert "not so" in error
    trace = Path(job.run_dir) / TRACEBACK
    if TRACEBACK in error:
        assert "bad.py" in trace.read_text()
    assert not is_finished(Path(job.run_dir))
