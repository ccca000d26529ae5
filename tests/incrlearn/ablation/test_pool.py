"""The folder of all runs: each by the fingerprint of its recipe, those of earlier versions by what it is now."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from incrlearn import OutputError, Registry
from incrlearn.ablation.execution import run_cells
from incrlearn.ablation.executors.here import Here
from incrlearn.ablation.grid import Cell
from incrlearn.ablation.pool import Pool
from incrlearn.recipe import load_recipe

EARLIER = "0123456789ab"


@pytest.fixture
def cell(tiny: Path) -> Cell:
    return Cell("base", load_recipe(tiny, Registry.discover()))


@pytest.fixture
def earlier(tiny: Path, cell: Cell) -> Path:
    """A finished run as if its loss had been without ``over`` then."""
    folder = tiny.parent / "pool"
    list(run_cells([cell], Pool(folder, Registry.discover()), None, Here("cpu")))
    run_dir = (folder / cell.recipe.fingerprint).rename(folder / EARLIER)
    plain = yaml.safe_load((run_dir / "recipe.yaml").read_text())
    del plain["plugins"]["loss"]["over"]
    (run_dir / "recipe.yaml").write_text(yaml.safe_dump(plain, sort_keys=False))
    result = json.loads((run_dir / "result.json").read_text())
    del result["recipe_digest"]
    (run_dir / "result.json").write_text(json.dumps(result | {"fingerprint": EARLIER}))
    return run_dir


def test_a_run_lies_under_its_fingerprint(tiny: Path, cell: Cell) -> None:
    pool = Pool(tiny.parent / "not there", Registry.discover())
    assert pool.run_dir(cell) == tiny.parent / "not there" / cell.recipe.fingerprint
    assert pool.state(cell) == "not run"
    assert pool.finished([cell]) == {}


def test_a_run_from_before_an_option_is_that_with_its_default(earlier: Path, cell: Cell, tiny: Path) -> None:
    pool = Pool(earlier.parent, Registry.discover())
    assert pool.run_dir(cell) == earlier
    assert pool.state(cell) == "done"
    assert pool.finished([cell])[cell.key].run_dir == earlier
    new_only = Cell("new", load_recipe(tiny, Registry.discover(), ["plugins.loss.over=new"]))
    assert pool.state(new_only) == "not run"


def test_an_interrupted_run_from_before_an_option_goes_on_where_it_is(earlier: Path, cell: Cell) -> None:
    result = json.loads((earlier / "result.json").read_text())
    (earlier / "result.json").unlink()
    shutil.rmtree(earlier / "checkpoints" / "task_02")
    pool = Pool(earlier.parent, Registry.discover())
    assert (pool.state(cell), pool.tasks_done(cell)) == ("interrupted", 1)
    assert [event.kind for event in run_cells([cell], pool, None, Here("cpu"))] == ["started", "done"]
    assert json.loads((earlier / "result.json").read_text())["accuracy_matrix"] == result["accuracy_matrix"]
    assert [path.name for path in earlier.parent.iterdir()] == [EARLIER]
    assert Pool(earlier.parent, Registry.discover()).finished([cell])[cell.key].run_dir == earlier


def test_a_run_of_its_own_name_comes_before_an_earlier_one(earlier: Path, cell: Cell) -> None:
    own = earlier.parent / cell.recipe.fingerprint
    own.mkdir()
    (own / "recipe.yaml").write_text(cell.recipe.to_yaml())
    assert Pool(earlier.parent, Registry.discover()).run_dir(cell) == own


def test_what_cannot_be_read_now_hinders_nobody(earlier: Path, cell: Cell) -> None:
    for name, text in (("a" * 12, "plugins: {x: {use: gone}}"), ("b" * 12, "plugins: [")):
        (earlier.parent / name).mkdir()
        (earlier.parent / name / "recipe.yaml").write_text(text)
    assert Pool(earlier.parent, Registry.discover()).run_dir(cell) == earlier


def test_a_run_that_was_moved_out_of_the_way_is_not_found_again(earlier: Path, cell: Cell) -> None:
    earlier.rename(earlier.with_name(f"{EARLIER}.old"))
    pool = Pool(earlier.parent, Registry.discover())
    assert (pool.state(cell), pool.finished([cell])) == ("not run", {})


def test_a_finished_run_of_another_recipe_is_told(earlier: Path, cell: Cell) -> None:
    own = earlier.rename(earlier.with_name(cell.recipe.fingerprint))
    with pytest.raises(OutputError, match=f"{own.name}: holds the run of recipe {EARLIER}; move it away"):
        Pool(own.parent, Registry.discover()).finished([cell])
