"""From finished runs to the table, and from finished runs to how long the others will take."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from incrlearn.ablation.grid import Cell, Grid
from incrlearn.ablation.pool import Pool
from incrlearn.ablation.table import (
    DEFAULT_COLUMNS,
    DONE,
    AblationTable,
    Column,
    Row,
    build_table,
    find_column,
)
from incrlearn.engine.record import RUNS, RunRecord
from incrlearn.engine.rundir import begun_recipe, code_differences, words_of_code, write_atomically
from incrlearn.errors import OutputError

_FILE = "ablation"
Key = tuple[str, int]
"""Variant and seed."""


def tabulate(
    grid: Grid, cells: Sequence[Cell], records: Mapping[Key, RunRecord], failures: Mapping[Key, str], pool: Pool
) -> AblationTable:
    """The table of a grid as far as it is trained.

    Args:
        grid: what was asked for.
        cells: all of its runs.
        records: the finished ones.
        failures: what went wrong with others just now.
        pool: where the runs lie.
    """
    rows = []
    for variant in grid.variants:
        own = [cell for cell in cells if cell.variant == variant.name]
        states = {
            cell.seed: f"failed: {failures[cell.key]}" if cell.key in failures else pool.state(cell) for cell in own
        }
        done = {cell.seed: records[cell.key] for cell in own if cell.key in records}
        values = {
            column.metric: {
                seed: value for seed, record in done.items() if (value := record.metric(column.metric)) is not None
            }
            for column in columns_of(grid)
        }
        rows.append(Row(variant.name, variant.edits, values, states | dict.fromkeys(done, DONE)))
    notes = _notes(grid, list(records.values()))
    if pool.any_code and (told := other_code(cells, pool)):
        notes.append(f"{told}.")
    return build_table(grid.title, grid.base, grid.seeds, columns_of(grid), rows, notes)


def other_code(cells: Sequence[Cell], pool: Pool) -> str:
    """``"2 runs were trained with other code of plugins.loss"``: finished ones of other code than their cells have.

    Returns:
        Empty where there are none.
    """
    others = [(cell, run_dir) for cell in cells if (run_dir := pool.of_other_code(cell)) is not None]
    found: dict[str, str | None] = {}
    for cell, run_dir in others:
        begun = begun_recipe(run_dir, cell.recipe)
        found |= code_differences(begun, cell.recipe) if begun is not None else dict.fromkeys(cell.recipe.code)
    were = "run was" if len(others) == 1 else "runs were"
    return f"{len(others)} {were} trained {words_of_code(found)}" if found else ""


def columns_of(grid: Grid) -> list[Column]:
    """The columns that the table shows."""
    found = [find_column(name) for name in grid.columns or DEFAULT_COLUMNS]
    return [column for column in found if column is not None]


def write_runs(grid: Grid, cells: Sequence[Cell], pool: Pool, folder: Path) -> None:
    """Note beside the table which file and runs it is made of, so that they can be reported on and compared.

    Raises:
        OutputError: the folder cannot be written.
    """
    places = [os.path.relpath(pool.run_dir(cell), folder) for cell in cells]
    listed = {_FILE: str(grid.path.resolve()), "runs": places, "variants": [cell.variant for cell in cells]}
    try:
        write_atomically(folder / RUNS, json.dumps(listed, indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise OutputError(f"{folder / RUNS}: cannot be written ({error.strerror}); name another with --out") from error


def other_ablation(grid: Grid, folder: Path) -> Path | None:
    """The file whose table lies in a folder, where that is another one than the grid's and is still there."""
    try:
        listed = json.loads((folder / RUNS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    written = listed.get(_FILE) if isinstance(listed, dict) else None
    other = Path(written) if isinstance(written, str) else None
    return other if other is not None and other != grid.path.resolve() and other.is_file() else None


def expected_seconds(cell: Cell, records: Mapping[Key, RunRecord]) -> float | None:
    """How long a run takes: as its variant with other seeds, else as all that are done; None: nobody knows."""
    known = {key: seconds for key, record in records.items() if (seconds := record.metric("seconds")) is not None}
    same = [seconds for (variant, _), seconds in known.items() if variant == cell.variant]
    if same:
        return fmean(same)
    return fmean(known.values()) if known else None


def _notes(grid: Grid, records: Sequence[RunRecord]) -> list[str]:
    """What makes the rows less comparable than they look."""
    notes = [f"In every variant {', '.join(grid.overrides)}."] if grid.overrides else []
    if len(grid.seeds) == 1:
        notes.append("One seed tells no spread: give more, such as --seeds 1,2,3.")
    aspects = {
        "precision": {str(record.summary["precision"]) for record in records},
        "hardware": {str(record.summary["hardware"]["name"]) for record in records},
        "CPU threads": {str(record.summary["hardware"]["threads"]) for record in records if _is_on_cpu(record)},
        "versions of incrlearn": {str(record.summary["versions"]["incrlearn"]) for record in records},
        "versions of torch": {str(record.summary["versions"]["torch"]) for record in records},
    }
    for what, found in aspects.items():
        if len(found) > 1:
            notes.append(f"The runs differ in {what}: {', '.join(sorted(found))}.")
    return notes


def _is_on_cpu(record: RunRecord) -> bool:
    return str(record.summary["hardware"]["device"]) == "cpu"
