"""Finished runs, read back from their directories: what tables, reports and comparisons are made of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from incrlearn.engine.rundir import RECIPE, RESULT, RESULT_FORMAT, recipe_digest
from incrlearn.engine.saved import SavedRecipe, SavedResult, what_is_damaged
from incrlearn.errors import OutputError

RUNS = "runs.json"
"""In a folder that stands for runs which lie elsewhere, such as that of an ablation's table."""


@dataclass(frozen=True, eq=False)
class RunRecord:
    """A finished run."""

    run_dir: Path
    summary: dict[str, Any]
    """What ``result.json`` holds."""
    recipe: dict[str, Any]
    """The resolved recipe as plain values; see `incrlearn.Recipe.resolved`."""
    variant: str | None = None
    """What the ablation through which it was found calls it."""

    @property
    def name(self) -> str:
        """The recipe's name."""
        return str(self.summary["recipe"])

    @property
    def seed(self) -> int:
        """The run's seed."""
        return int(self.summary["seed"])

    @property
    def fingerprint(self) -> str:
        """The recipe's, seed included."""
        return str(self.summary["fingerprint"])

    def metric(self, name: str) -> float | None:
        """A number of the whole run in its own unit; None where it is not defined or not there."""
        entry = self.summary["metrics"].get(name)
        return None if entry is None or entry["value"] is None else float(entry["value"])


def is_run(path: Path) -> bool:
    """Whether a run was begun in this folder."""
    return (path / RECIPE).is_file()


def is_finished(path: Path) -> bool:
    """Whether the run in this folder came to its end."""
    return is_run(path) and (path / RESULT).is_file()


def read_record(run_dir: Path) -> RunRecord:
    """Read a finished run.

    Raises:
        OutputError: there is no run, it is not finished, damaged, or of another version's format.
    """
    if not is_run(run_dir):
        raise OutputError(f"{run_dir}: not the directory of a run (no {RECIPE})")
    if not is_finished(run_dir):
        raise OutputError(f"{run_dir}: this run is not finished (no {RESULT}); go on with it by --resume")
    try:
        summary = json.loads((run_dir / RESULT).read_text(encoding="utf-8"))
        recipe = yaml.safe_load((run_dir / RECIPE).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        way_on = f"where its checkpoints are whole, run with --resume --out {run_dir} writes {RESULT} anew"
        told = f"{run_dir}: damaged, cannot be read ({type(error).__name__}: {error})"
        raise OutputError(f"{told}; {way_on}") from error
    found = summary.get("format") if isinstance(summary, dict) else None
    if found != RESULT_FORMAT:
        raise OutputError(
            f"{run_dir / RESULT}: format {found!r}, but this version of incrlearn reads format {RESULT_FORMAT}; "
            "run it again, or read it with the version that wrote it"
        )
    for name, model, content in ((RESULT, SavedResult, summary), (RECIPE, SavedRecipe, recipe)):
        if damage := what_is_damaged(model, content):
            raise OutputError(f"{run_dir / name}: damaged, {damage}; move the folder away")
    if not _is_whole(summary["tasks"], summary["accuracy_matrix"]):
        raise OutputError(f"{run_dir / RESULT}: damaged, tasks are missing from it; move the folder away")
    if not _belong_together(summary, recipe):
        raise OutputError(
            f"{run_dir}: {RESULT} was not written with the {RECIPE} that lies beside it; put back the one that belongs "
            "there, or move the folder away"
        )
    return RunRecord(run_dir, summary, recipe)


def _is_whole(rows: list[Any], matrix: list[Any]) -> bool:
    """Whether there is a row for each task, and in the matrix one of as many numbers as there were tasks."""
    count = len(rows)
    numbers, widths = [(row["task"], row["tasks"]) for row in rows], list(map(len, matrix))
    return numbers == [(n, count) for n in range(1, count + 1)] and widths == list(range(1, count + 1))


def _belong_together(summary: dict[str, Any], recipe: dict[str, Any]) -> bool:
    """Whether a result is of the recipe beside it; earlier versions wrote no digest of it."""
    same = summary["seed"] == recipe["seed"] and list(summary["kinds"]) == list(recipe["plugins"])
    return same and summary.get("recipe_digest") in (None, recipe_digest(recipe))


def find_runs(paths: Sequence[Path]) -> dict[Path, str | None]:
    """The directories of runs among ``paths`` and below them, finished or not, each once, in the order given.

    A folder with a ``runs.json`` stands for the runs that are listed there, which tells their variants' names too.

    Raises:
        OutputError: for every path that is not there or holds no run, all told at once.
    """
    found: dict[Path, str | None] = {}
    problems = []
    for path in paths:
        if not path.is_dir():
            problems.append(f"{path}: no such folder")
            continue
        runs = _runs_of(path)
        if not runs:
            problems.append(f"{path}: there is no run in it or below it (no {RECIPE})")
        for run, variant in runs.items():
            found[run.resolve()] = variant or found.get(run.resolve())
    if problems:
        raise OutputError("\n".join(problems))
    return found


def _runs_of(path: Path) -> dict[Path, str | None]:
    if is_run(path):
        return {path: None}
    if not (path / RUNS).is_file():
        return dict.fromkeys(sorted(recipe.parent for recipe in path.rglob(RECIPE)))
    try:
        listed = json.loads((path / RUNS).read_text(encoding="utf-8"))
        names = listed.get("variants", [None] * len(listed["runs"]))
        named = zip(listed["runs"], names, strict=True)
        return {path / place: name for place, name in named if is_run(path / place)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise OutputError(f"{path / RUNS}: damaged, cannot be read ({type(error).__name__}: {error})") from error
