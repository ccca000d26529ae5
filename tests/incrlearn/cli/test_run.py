"""``incrlearn run``, for real: what it prints, where it writes, and how it goes on after it was interrupted."""

import json
import re
import signal
import subprocess
import sys
import time
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from incrlearn import OutputError, Registry
from incrlearn.cli.run import default_out, find_unfinished
from incrlearn.recipe import recipe_from_dict


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, small: str) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """One whole run in a process of its own."""
    home = tmp_path_factory.mktemp("finished")
    (home / "small.yaml").write_text(small)
    command = [sys.executable, "-m", "incrlearn", "run", "small.yaml", "--device", "cpu", "--out", "out"]
    return home / "out", subprocess.run(command, cwd=home, capture_output=True, text=True, check=False, timeout=300)


def test_run_prints_plain_lines_and_tables_and_leaves_with_0(finished: Any) -> None:
    _, process = finished
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    assert "\x1b" not in process.stdout
    assert max(len(line) for line in process.stdout.splitlines() if line.startswith(("│", "┏"))) <= 80
    assert re.match(r"small, seed 1, recipe \w+, in out\ntask 1/2 train: epoch 1/2, loss ", process.stdout)
    assert "task 2/2 balance: epoch 1/1, loss " in process.stdout
    assert "task 2/2: 4 classes, top-1 " in process.stdout


def test_run_prints_the_numbers_of_its_result_beside_what_is_expected(finished: Any) -> None:
    out, process = finished
    result = json.loads((out / "result.json").read_text())
    rows = {
        cells[1].strip(): [cell.strip() for cell in cells[2:-1]]
        for line in process.stdout.splitlines()
        if len(cells := line.split("│")) == 5
    }
    metrics = {name: entry["value"] for name, entry in result["metrics"].items()}
    assert rows["average top-1 (mean over all tasks)"] == [f"{metrics['average']:.2f} %", "90.50 %"]
    assert rows["last top-1 (all classes, after the last task)"] == [f"{metrics['last']:.2f} %", "80.25 %"]
    assert rows["forgetting"] == [f"{metrics['forgetting']:.2f} points", ""]
    assert rows["backward transfer"] == [f"{metrics['backward_transfer']:.2f} points", ""]
    assert rows["parameters, mean over tasks"][1] == "0.10 M"
    assert "expected: a guess" in process.stdout
    assert "every number: out/result.json" in process.stdout


def test_out_that_holds_a_finished_run_is_refused(finished: Any, incrlearn: Any) -> None:
    outcome = incrlearn("run", "small.yaml", "--device", "cpu", "--out", str(finished[0]))
    assert outcome.code == 2
    assert "out holds a finished run of this recipe, its numbers are in result.json" in outcome.err
    assert incrlearn("run", "small.yaml", "--out", str(finished[0]), "--resume").code == 2


def test_nothing_is_said_of_a_run_that_is_refused(incrlearn: Any, folder: Path) -> None:
    outcome = incrlearn("run", "small.yaml", "--device", "cpu", "--set", "data.classes=11")
    assert (outcome.code, outcome.out) == (2, "")
    assert not (folder / "runs").exists()


def test_loss_that_is_not_finite_leaves_with_1(incrlearn: Any) -> None:
    outcome = incrlearn("run", "small.yaml", "--device", "cpu", "--set", "plugins.train.lr=1e30")
    assert outcome.code == 1
    assert "no longer finite" in outcome.err or "the loss is" in outcome.err
    assert "Traceback" not in outcome.err


def test_interrupted_run_says_how_to_go_on_and_does(incrlearn: Any, folder: Path) -> None:
    command = [sys.executable, "-m", "incrlearn", "run", "small.yaml", "--device", "cpu", "--seed", "5"]
    # Long enough that a busy machine does not come to the end before it is interrupted.
    command += ["--set", "data.classes=8", "--set", "data.tasks=4", "--set", "plugins.train.epochs=20"]
    # In the background of a script Ctrl-C is ignored, and what is started there inherits that.
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed)
    deadline = time.monotonic() + 120
    while not list(folder.glob("runs/small/*/checkpoints/task_01")) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    (run_dir,) = folder.glob("runs/small/*")
    assert run_dir.name.endswith("-seed5")
    sets = "--set data.classes=8 --set data.tasks=4 --set plugins.train.epochs=20"
    expected = f"incrlearn run small.yaml {sets} --seed 5 --device cpu"
    assert f"{expected} --resume --out {run_dir.relative_to(folder)}" in out
    outcome = incrlearn(*command[3:], "--resume")
    assert outcome.code == 0
    assert re.search(r"small, seed 5, recipe \w+, in .*-seed5; goes on behind task [123] of 4\n", outcome.out)
    assert "task 1/4" not in outcome.out
    assert "task 4/4: 8 classes" in outcome.out
    assert (run_dir / "result.json").is_file()


def tiny(**changes: Any) -> Any:
    plain = {
        "data": {"use": "digits", "tasks": 5},
        "backbone": "resnet18",
        "plugins": {"network": "single", "head": "linear", "loss": "cross_entropy", "train": "sgd", "log": "jsonl"},
        **changes,
    }
    return recipe_from_dict(plain, Registry.discover(), "tiny")


def test_runs_are_filed_by_recipe_date_and_seed() -> None:
    now = datetime(2026, 11, 21, 9, 5, 7)
    assert default_out(tiny(seed=4), now) == Path("runs/tiny/2026-11-21_09-05-07-seed4")


@pytest.mark.usefixtures("folder")
def test_resume_finds_the_newest_unfinished_run_of_the_same_recipe() -> None:
    recipe = tiny()
    for name, other, is_finished in [
        ("2026-01-01_00-00-00-seed1", recipe, False),
        ("2026-01-02_00-00-00-seed1", recipe, False),
        ("2026-01-03_00-00-00-seed1", recipe, True),
        ("2026-01-04_00-00-00-seed2", tiny(seed=2), False),
    ]:
        run_dir = Path("runs/tiny") / name
        run_dir.mkdir(parents=True)
        (run_dir / "recipe.yaml").write_text(other.to_yaml())
        if is_finished:
            (run_dir / "result.json").write_text("{}")
    broken = Path("runs/tiny/2026-01-05_00-00-00-seed1")
    broken.mkdir()
    (broken / "recipe.yaml").write_text("plugins: [")
    assert find_unfinished(recipe) == Path("runs/tiny/2026-01-02_00-00-00-seed1")
    assert find_unfinished(tiny(seed=2)) == Path("runs/tiny/2026-01-04_00-00-00-seed2")
    with pytest.raises(OutputError, match=r"no unfinished run.*unfinished runs of other settings or seeds: .*seed2"):
        find_unfinished(tiny(seed=3))
