"""From finished runs to a table: states, failures, notes; and to how long the rest takes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from incrlearn import OutputError, Registry
from incrlearn.ablation.file import read_grid
from incrlearn.ablation.grid import Grid
from incrlearn.ablation.outcome import columns_of, expected_seconds, other_ablation, tabulate, write_runs
from incrlearn.ablation.pool import Pool
from incrlearn.ablation.table import DEFAULT_COLUMNS
from incrlearn.engine.record import RunRecord


def pool_at(folder: Path) -> Pool:
    return Pool(folder, Registry.discover())


def record(seconds: float, threads: int = 1, last: float | None = 50.0) -> RunRecord:
    summary: dict[str, Any] = {
        "metrics": {"seconds": {"value": seconds}, "last": {"value": last}},
        "precision": "float32",
        "hardware": {"name": "a CPU", "threads": threads, "device": "cpu"},
        "versions": {"incrlearn": "1", "torch": "2"},
    }
    return RunRecord(Path("run"), summary, {})


@pytest.fixture
def grid(tiny: Path) -> Grid:
    return read_grid(str(tiny), (), (1, 2), Registry.discover())


def test_a_table_tells_what_is_done_failed_and_not_run(grid: Grid, tmp_path: Path) -> None:
    cells = grid.cells()
    done, failed, *_ = cells
    table = tabulate(grid, cells, {done.key: record(9, last=62.5)}, {failed.key: "no memory"}, pool_at(tmp_path))
    first, second, third = table.rows
    assert first.values["last"] == {1: 62.5}
    assert dict(first.states) == {1: "done", 2: "not run"}
    assert second.states[1] == "failed: no memory"
    assert set(third.states.values()) == {"not run"}


def test_a_run_that_another_process_finished_meanwhile_is_done(grid: Grid, tmp_path: Path) -> None:
    cell = grid.cells()[0]
    table = tabulate(grid, grid.cells(), {cell.key: record(9)}, {cell.key: "another process"}, pool_at(tmp_path))
    assert table.rows[0].states[1] == "done"


def test_what_makes_rows_less_comparable_is_noted(grid: Grid, tmp_path: Path) -> None:
    a, b, *_ = grid.cells()
    alike = tabulate(grid, grid.cells(), {a.key: record(1), b.key: record(1)}, {}, pool_at(tmp_path))
    assert alike.notes == ()
    unlike = tabulate(grid, grid.cells(), {a.key: record(1), b.key: record(1, threads=4)}, {}, pool_at(tmp_path))
    assert unlike.notes == ("The runs differ in CPU threads: 1, 4.",)


def test_columns_are_the_usual_ones_unless_chosen(grid: Grid) -> None:
    assert tuple(column.metric for column in columns_of(grid)) == DEFAULT_COLUMNS


def test_time_is_that_of_the_variant_then_that_of_all(grid: Grid) -> None:
    cells = {cell.key: cell for cell in grid.cells()}
    base, other, third = (variant.name for variant in grid.variants)
    records = {(base, 1): record(10), (other, 1): record(30)}
    assert expected_seconds(cells[base, 2], records) == 10
    assert expected_seconds(cells[third, 1], records) == 20
    assert expected_seconds(cells[third, 1], {}) is None


def test_the_runs_of_a_table_are_listed_relative_to_it(grid: Grid, tmp_path: Path) -> None:
    folder = tmp_path / "pool" / "tables" / "x"
    folder.mkdir(parents=True)
    write_runs(grid, grid.cells(), pool_at(tmp_path / "pool"), folder)
    listed = json.loads((folder / "runs.json").read_text())
    assert listed["runs"] == [f"../../{cell.recipe.fingerprint}" for cell in grid.cells()]
    assert listed["variants"] == [cell.variant for cell in grid.cells()]
    with pytest.raises(OutputError, match="cannot be written"):
        write_runs(grid, grid.cells(), pool_at(tmp_path / "pool"), tmp_path / "absent")


def test_a_table_of_another_file_is_told_before_it_is_replaced(grid: Grid, tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pool" / "tables" / grid.filed_as
    assert other_ablation(grid, folder) is None
    folder.mkdir(parents=True)
    write_runs(grid, grid.cells(), pool_at(tmp_path / "pool"), folder)
    assert other_ablation(grid, folder) is None
    twin = tmp_path / "elsewhere" / tiny.name
    twin.parent.mkdir()
    twin.write_text(tiny.read_text())
    assert other_ablation(replace(grid, path=twin), folder) == tiny
    tiny.unlink()
    assert other_ablation(replace(grid, path=twin), folder) is None
    for damaged in ("", "[]", '{"ablation": 3}'):
        (folder / "runs.json").write_text(damaged)
        assert other_ablation(grid, folder) is None


def test_a_table_of_a_changed_base_has_a_folder_and_a_note_of_its_own(grid: Grid, tiny: Path, tmp_path: Path) -> None:
    changed = [
        read_grid(str(tiny), (f"plugins.train.lr={lr}",), (1, 2), Registry.discover()) for lr in ("0.1", "0.10", "0.2")
    ]
    assert grid.filed_as == "tiny"
    assert len({grid.filed_as, *(other.filed_as for other in changed)}) == 3
    table = tabulate(changed[0], changed[0].cells(), {}, {}, pool_at(tmp_path))
    assert table.notes == ("In every variant plugins.train.lr=0.1.",)
