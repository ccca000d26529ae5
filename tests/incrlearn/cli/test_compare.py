"""`incrlearn compare` over runs that were trained: warnings first, one table, exit codes."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from incrlearn import Registry, load_recipe, run_recipe

REPLAY = ["plugins.network.use=single", "plugins.auxiliary=null", "plugins.balance=null"]
PER_CLASS = ["plugins.memory.total=null", "plugins.memory.per_class=4"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, small: str) -> Path:
    """Runs of two recipes: `small` with two seeds, `replay` with as many exemplars, `less` with fewer."""
    home = tmp_path_factory.mktemp("trained")
    short = ["plugins.train.epochs=1", "plugins.train.milestones=[]"]
    for name, seed, overrides in (
        ("small", 1, short),
        ("small", 2, short),
        ("replay", 1, [*short, *REPLAY]),
        ("less", 1, [*short, *REPLAY, *PER_CLASS]),
    ):
        (home / f"{name}.yaml").write_text(small)
        recipe = load_recipe(home / f"{name}.yaml", Registry.discover(), overrides, seed)
        run_recipe(recipe, home / f"{name}{seed}", device="cpu")
    return home


def table_rows(out: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if line.startswith("│")]


def test_equal_protocols_are_said_to_agree_and_methods_are_listed(trained: Path, incrlearn: Any) -> None:
    outcome = incrlearn("compare", str(trained / "small1"), str(trained / "replay1"), "--strict")
    assert outcome.code == 0
    assert outcome.out.startswith("the protocols agree: data, augmentation, increments, class order, memory,")
    assert "warning" not in outcome.out
    below = outcome.out.partition("methods differ in:\n")[2]
    assert "  network: small: expandable; replay: single\n" in below
    assert "  auxiliary: small: auxiliary; replay: none\n" in below
    assert "log" not in below


def test_another_memory_is_warned_of_before_the_table(trained: Path, incrlearn: Any) -> None:
    outcome = incrlearn("compare", str(trained / "small1"), str(trained / "less1"))
    assert outcome.code == 0
    warning, _, rest = outcome.out.partition("┏")
    assert warning.splitlines()[:2] == [
        "warning: protocols differ, these numbers are not comparable:",
        "  memory differs: small: 8 in all; less: 4 per class",
    ]
    assert "memory differs" not in rest


def test_strict_leaves_with_1_where_protocols_differ(trained: Path, incrlearn: Any) -> None:
    outcome = incrlearn("compare", str(trained), "--strict")
    assert outcome.code == 1
    assert "  memory differs: less: 4 per class; replay, small: 8 in all\n" in outcome.out


def test_seeds_are_one_row_with_their_standard_deviation(trained: Path, incrlearn: Any) -> None:
    alone = {seed: table_rows(incrlearn("compare", str(trained / f"small{seed}")).out) for seed in (1, 2)}
    single = {seed: [float(cell) for cell in rows[0][2:]] for seed, rows in alone.items()}
    rows = table_rows(incrlearn("compare", str(trained / "small1"), str(trained / "small2")).out)
    assert [cells[:2] for cells in rows] == [["small", "2"], ["", ""]]
    means, deviations = ([float(cell.removeprefix("± ")) for cell in cells[2:]] for cells in rows)
    for one, other, mean, deviation in zip(single[1], single[2], means, deviations, strict=True):
        assert mean == pytest.approx((one + other) / 2, abs=0.011)
        assert deviation == pytest.approx(abs(one - other) / 2**0.5, abs=0.011)


@pytest.mark.parametrize("file", ["result.json", "recipe.yaml"])
def test_file_of_a_run_stands_for_its_folder(trained: Path, incrlearn: Any, file: str) -> None:
    assert incrlearn("compare", str(trained / "small1" / file)).out == incrlearn("compare", str(trained / "small1")).out


def test_a_single_run_is_just_shown(trained: Path, incrlearn: Any) -> None:
    outcome = incrlearn("compare", str(trained / "small1"), "--strict")
    assert outcome.code == 0
    assert [cells[:2] for cells in table_rows(outcome.out)] == [["small", "1"]]
    assert "agree" not in outcome.out
    assert "differ" not in outcome.out


def test_tables_fit_eighty_columns_and_have_no_escape_codes(trained: Path, incrlearn: Any) -> None:
    outcome = incrlearn("compare", str(trained))
    assert "\x1b" not in outcome.out
    assert max(len(line) for line in outcome.out.splitlines() if line[:1] in "┏┃│└") <= 80


def test_many_recipes_that_agree_are_told_by_their_number(trained: Path, incrlearn: Any, folder: Path) -> None:
    for name in ("one", "two", "three", "four"):
        shutil.copytree(trained / "small1", folder / "copies" / name)
        result = folder / "copies" / name / "result.json"
        result.write_text(result.read_text().replace('"recipe": "small"', f'"recipe": "{name}"'))
    outcome = incrlearn("compare", "copies", str(trained / "less1"))
    assert "memory differs: less: 4 per class; the other 4: 8 in all" in outcome.out


def test_the_same_seed_twice_counts_once(trained: Path, incrlearn: Any, folder: Path) -> None:
    shutil.copytree(trained / "small1", folder / "again")
    result = folder / "again" / "result.json"
    date = json.loads(result.read_text())["date"]
    result.write_text(result.read_text().replace(date, "2099-01-01T00:00:00+00:00"))
    outcome = incrlearn("compare", str(trained / "small1"), str(trained / "small2"), "again")
    assert (
        "warning: small, seed 1 is there 2 times with the same numbers; only the newest counts: "
        f"again, not {trained / 'small1'}\n"
    ) in outcome.out
    alone = incrlearn("compare", str(trained / "small1"), str(trained / "small2"))
    assert table_rows(outcome.out) == table_rows(alone.out)


def test_the_same_seed_with_other_numbers_counts_once_too(trained: Path, incrlearn: Any, folder: Path) -> None:
    shutil.copytree(trained / "small1", folder / "again")
    summary = json.loads((folder / "again" / "result.json").read_text())
    summary["accuracy_matrix"][0][0] -= 1.0
    (folder / "again" / "result.json").write_text(json.dumps(summary | {"date": "2001-01-01T00:00:00+00:00"}))
    outcome = incrlearn("compare", "again", str(trained / "small1"))
    told = f"is there 2 times, and the numbers differ; only the newest counts: {trained / 'small1'}, not again"
    assert told in outcome.out
    assert [cells[:2] for cells in table_rows(outcome.out)] == [["small", "1"]]


def test_unfinished_runs_are_named_and_left_out(trained: Path, incrlearn: Any, folder: Path) -> None:
    shutil.copytree(trained / "small1", folder / "runs" / "done")
    shutil.copytree(trained / "small2", folder / "runs" / "open")
    (folder / "runs" / "open" / "result.json").unlink()
    outcome = incrlearn("compare", "runs")
    assert outcome.code == 0
    assert "left out, not finished: runs/open" in outcome.out
    assert [cells[:2] for cells in table_rows(outcome.out)] == [["small", "1"]]
    outcome = incrlearn("compare", "runs/open")
    assert outcome.code == 2
    assert "none of the runs is finished: runs/open" in outcome.err


def test_a_folder_without_runs_is_an_error(incrlearn: Any, folder: Path) -> None:
    (folder / "empty").mkdir()
    outcome = incrlearn("compare", "empty", "absent")
    assert outcome.code == 2
    assert "there is no run in it" in outcome.err
    assert "absent: no such folder" in outcome.err
    assert "Traceback" not in outcome.err
