"""`incrlearn verify` over runs that were trained: the protocol first, then the numbers, exit codes."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from incrlearn import Registry, load_recipe, run_recipe
from incrlearn.engine.rundir import stored_digest
from incrlearn.recipe import find_recipe

SHORT = ["plugins.train.epochs=1", "plugins.train.milestones=[]", "plugins.train.warmup=0"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, small: str) -> Path:
    """Two seeds of a recipe of one's own, which has expected numbers, and a shortened run of a shipped one."""
    home = tmp_path_factory.mktemp("trained")
    (home / "small.yaml").write_text(small.replace("a guess", "'a guess, mean of three runs'"))
    for seed in (1, 2):
        recipe = load_recipe(home / "small.yaml", Registry.discover(), ["plugins.balance=null"], seed)
        run_recipe(recipe, home / "small" / str(seed), device="cpu")
    run_recipe(load_recipe(find_recipe("finetune_digits"), Registry.discover(), SHORT), home / "shipped", device="cpu")
    return home


def expecting(run: Path, **changes: float) -> None:
    """Let a run expect something else."""
    result = json.loads((run / "result.json").read_text())
    result["expected"] = {"source": "a table", "last": None, "parameters_average": None} | changes
    result["recipe_digest"] = stored_digest(run)
    (run / "result.json").write_text(json.dumps(result))


def rows_of(out: str) -> dict[str, list[str]]:
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if line.startswith("│")]
    return {row[0]: row[1:] for row in cells}


def test_numbers_that_fall_short_leave_with_1(trained: Path, incrlearn: Any) -> None:
    run = trained / "small" / "1"
    metrics = json.loads((run / "result.json").read_text())["metrics"]
    average = metrics["average"]["value"]
    outcome = incrlearn("verify", str(run), "--tolerance", "0.5")
    assert outcome.code == 1
    assert rows_of(outcome.out)["average top-1, %"] == [
        "90.50",
        f"{average:.2f}",
        "1",
        f"{average - 90.5:+.2f}",
        "below",
    ]
    assert "1 run; the source reports a mean of three\n" in outcome.out
    assert "within: 0.5 points of accuracy, 10 % of the parameters" in outcome.out
    assert "small is not a shipped recipe: only the expected block of the run itself is looked at" in outcome.out


def test_several_seeds_are_held_by_their_mean(trained: Path, incrlearn: Any) -> None:
    results = [json.loads((trained / "small" / seed / "result.json").read_text()) for seed in ("1", "2")]
    one, other = (result["metrics"]["last"]["value"] for result in results)
    outcome = incrlearn("verify", str(trained / "small"), "--tolerance", "100")
    got, n = rows_of(outcome.out)["last top-1, %"][1:3]
    assert got == f"{(one + other) / 2:.2f} ± {abs(one - other) / 2**0.5:.2f}"
    assert n == "2"
    assert "2 runs; the source reports a mean of three" in outcome.out
    # The network has fewer parameters than expected, which falls short of nothing.
    assert rows_of(outcome.out)["average params, M"][-1] == "below"
    assert outcome.code == 0


def test_more_parameters_than_expected_are_told_and_leave_with_1(trained: Path, incrlearn: Any, folder: Path) -> None:
    shutil.copytree(trained / "small" / "1", folder / "run")
    expecting(folder / "run", average=0.0, parameters_average=0.001)
    outcome = incrlearn("verify", "run")
    assert outcome.code == 1
    verdicts = {name: cells[-1] for name, cells in rows_of(outcome.out).items()}
    assert verdicts == {"average top-1, %": "above", "average params, M": "above"}


def test_a_shortened_run_of_a_shipped_recipe_is_not_the_whole_protocol(
    trained: Path, incrlearn: Any, folder: Path
) -> None:
    shutil.copytree(trained / "shipped", folder / "run")
    expecting(folder / "run", average=0.0)
    outcome = incrlearn("verify", "run")
    assert outcome.code == 1
    before, _, after = outcome.out.partition("┏")
    shipped = load_recipe(find_recipe("finetune_digits"), Registry.discover()).resolved()["plugins"]["train"]
    assert [line for line in before.splitlines() if line.startswith("not the whole protocol")] == [
        f"not the whole protocol: plugins.train.epochs is 1, the recipe has {shipped['epochs']}",
        f"not the whole protocol: plugins.train.milestones is [], the recipe has {shipped['milestones']}",
        f"not the whole protocol: plugins.train.warmup is 0, the recipe has {shipped['warmup']}",
    ]
    assert "protocol" not in after
    assert rows_of(outcome.out)["average top-1, %"][-1] == "above"


def test_the_whole_protocol_within_the_tolerance_leaves_with_0(trained: Path, incrlearn: Any, folder: Path) -> None:
    run = folder / "run"
    shutil.copytree(trained / "shipped", run)
    # As if it had been trained with the recipe's own settings.
    (run / "recipe.yaml").write_text(load_recipe(find_recipe("finetune_digits"), Registry.discover()).to_yaml())
    average = json.loads((run / "result.json").read_text())["metrics"]["average"]["value"]
    expecting(run, average=average + 0.9)
    outcome = incrlearn("verify", "run")
    assert outcome.code == 0
    assert "the whole protocol: the settings of the shipped finetune_digits" in outcome.out
    assert rows_of(outcome.out)["average top-1, %"][-2:] == ["-0.90", "within"]
    assert "1 run\n" in outcome.out
    assert incrlearn("verify", "run", "--tolerance", "0.8").code == 1


@pytest.mark.parametrize("runs", [["shipped"], ["small", "shipped"], ["small/1", "open"], ["absent"]], ids=str)
def test_wrong_input_leaves_with_2_and_says_what_to_do(
    trained: Path, incrlearn: Any, folder: Path, runs: list[str]
) -> None:
    shutil.copytree(trained, folder / "all")
    shutil.copytree(trained / "small" / "2", folder / "all" / "open")
    (folder / "all" / "open" / "result.json").unlink()
    outcome = incrlearn("verify", *(f"all/{run}" for run in runs))
    assert outcome.code == 2
    words = {
        "shipped": "has no expected block to hold it against; shipped recipes that have one: bic_cifar100_b0_10",
        "small": "these are runs of 2 recipes: small, finetune_digits",
        "small/1": "not finished: all/open; go on with it by --resume",
        "absent": "absent: no such folder",
    }
    assert words[runs[0]] in outcome.err
    assert outcome.out == ""
