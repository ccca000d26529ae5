"""The tables of what a run writes, against the rows of a run."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from incrlearn import Registry, run_recipe
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe

PAGE = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
PARTS = re.split(r"^#{2,3} (.+)$", PAGE, flags=re.MULTILINE)
SECTIONS = dict(zip(PARTS[1::2], PARTS[2::2], strict=True))
OPTIONAL = {"pruned"}
"""Keys that rows have only where something was pruned."""


def told(section: str, column: int = 0) -> list[str]:
    """The words in backticks of a column of the section's table."""
    rows = [line.split("|")[1:-1] for line in SECTIONS[section].splitlines() if line.startswith("| ")]
    return [word for cells in rows[1:] for word in re.findall(r"`([^`]+)`", cells[column])]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DER with pruning over two tasks."""
    pruning = {"use": "channel_mask", "keep": 0.5, "binarise_at": 0.5}
    plain: dict[str, Any] = tiny_recipe(pruning=pruning, log="jsonl")
    plain["data"] = {"use": "synthetic", "tasks": 2, "classes": 4}
    recipe = recipe_from_dict(plain, Registry.of({"synthetic": SyntheticData}), "tiny")
    return run_recipe(recipe, tmp_path_factory.mktemp("rows") / "run", device="cpu").run_dir


@pytest.fixture(scope="module")
def rows(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("kind", ["epoch", "task"])
def test_a_row_has_the_keys_of_the_table(rows: list[dict[str, Any]], kind: str) -> None:
    keys = told({"epoch": "An epoch", "task": "A task"}[kind])
    found = [set(row) for row in rows if row["kind"] == kind]
    assert set.union(*found) == set(keys)
    assert set.intersection(*found) >= set(keys) - OPTIONAL


def test_the_last_row_and_the_result_have_the_keys_of_the_table(run: Path, rows: list[dict[str, Any]]) -> None:
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    assert list(result) == told("The result")
    assert rows[-1] == {"kind": "result", **result}
    assert [row["kind"] for row in rows].count("result") == 1


def test_a_report_of_channel_mask_has_the_keys_of_the_table(rows: list[dict[str, Any]]) -> None:
    reports = [report for row in rows for report in row.get("pruned", [])]
    assert reports
    assert {key for report in reports for key in report} == set(told("A pruning"))


def test_numbers_of_the_whole_run_are_told_beside_what_they_are_made_of(rows: list[dict[str, Any]]) -> None:
    assert sorted(told("A task", column=3)) == sorted(rows[-1]["metrics"])


def test_files_of_a_run_directory_are_told(run: Path) -> None:
    files = {path.name for path in run.iterdir() if not path.name.startswith(".")}
    assert files == {name.partition("/")[0] for name in told("What a run tells")}
