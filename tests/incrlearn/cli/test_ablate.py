"""``incrlearn ablate``, for real: tables, what is reused, what a kill leaves, and wrong input."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import incrlearn.testing.worlds
from incrlearn import RecipeError
from incrlearn.cli.ablate import read_seeds
from incrlearn.recipe.nodes import dump_yaml
from incrlearn.testing import tiny_recipe

PARTS = """\
# Parts
base: tiny.yaml
seeds: [1]
variants:
  no helper at all: {plugins.auxiliary: null}
  too fast: {plugins.train.lr: 1.0e+30}
columns: [average, last]
"""


@pytest.fixture
def tiny(folder: Path) -> Path:
    train = {"use": "sgd", "lr": 0.05, "batch": 16, "epochs": 4, "milestones": [], "warmup": 0}
    recipe = tiny_recipe(train=train, balance=None)
    recipe["data"] = {"use": f"{incrlearn.testing.worlds.__file__}:SyntheticData", "tasks": 2, "per_class": 4}
    (folder / "tiny.yaml").write_text(dump_yaml(recipe))
    (folder / "parts.yaml").write_text(PARTS)
    return folder


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "incrlearn", "ablate", *arguments, "--device", "cpu"]


def files_of(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_a_dry_run_tells_the_grid_and_writes_nothing(incrlearn: Any, tiny: Path) -> None:
    before = files_of(tiny)
    outcome = incrlearn("ablate", "parts.yaml", "--dry-run", "--only", "no helper at all")
    assert outcome.code == 0
    assert "no finished run tells yet how long" in outcome.out
    assert outcome.out.count("asked") == 2  # the base and the other variant; cells wrap
    assert files_of(tiny) == before


def test_only_a_variant_then_all_then_nothing(incrlearn: Any, tiny: Path) -> None:
    one = incrlearn("ablate", "parts.yaml", "--device", "cpu", "--only", "no helper at all", "--out", "pool")
    assert one.code == 0
    assert "base, seed 1: not run" in one.out
    rest = incrlearn("ablate", "parts.yaml", "--device", "cpu", "--out", "pool")
    assert rest.code == 1
    assert "1 of 3 runs are done" in rest.out
    assert "too fast, seed 1: failed: the loss is" in rest.out.partition("Mean over n runs")[2]
    again = incrlearn("ablate", "parts.yaml", "--device", "cpu", "--out", "pool", "--only", "base")
    assert again.code == 0
    assert "begins" not in again.out
    dry = incrlearn("ablate", "parts.yaml", "--dry-run", "--out", "pool")
    assert "1 run to train, about" in dry.out
    # What is finished is read without what training needs.
    code = (
        "import sys\nfrom incrlearn.cli.main import main\ntry:\n"
        "    main(['ablate', 'parts.yaml', '--only', 'base', '--out', 'pool'])\n"
        "except SystemExit as left:\n    assert not left.code, left.code\n"
        "heavy = {'timm', 'torchvision', 'torch_pruning', 'scipy.stats', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_killed_ablation_goes_on_to_the_same_table(tiny: Path) -> None:
    (tiny / "parts.yaml").write_text(PARTS.replace("  too fast: {plugins.train.lr: 1.0e+30}\n", ""))
    sets = ["--set", "plugins.train.epochs=10", "--jobs", "2"]
    whole = subprocess.run(command("parts.yaml", *sets, "--out", "whole"), capture_output=True, text=True, check=False)
    assert whole.returncode == 0, whole.stderr
    again = command("parts.yaml", *sets, "--out", "pool")
    process = subprocess.Popen(again, stdout=subprocess.DEVNULL, start_new_session=True)
    while not list(tiny.glob("pool/*/checkpoints/task_01")):
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)  # its workers are left to find out themselves
    process.wait()
    time.sleep(2)
    done = subprocess.run(again, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    tables = [next(tiny.glob(f"{pool}/tables/parts+*/table.csv")).read_bytes() for pool in ("whole", "pool")]
    assert tables[0] == tables[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["parts.yaml", "--seeds", "1,,2"], "'' is no whole number"),
        (["parts.yaml", "--seeds", "1,1"], "1 is given twice"),
        (["parts.yaml", "--only", "nobody"], "--only nobody: no such variant"),
        (["parts.yaml", "--set", "plugins.nothing=1"], "--set plugins.nothing=1"),
        (["parts.yaml", "--on", "slrum"], "did you mean 'slurm'"),
        (["parts.yaml", "--resource", "gpus"], "path=value"),
        (["parts.yaml", "--device", "cuda:99"], "device 'cuda:99' is not there"),
        (["~no_such_user_here/parts.yaml"], "no such file"),
        (["a" * 300], "no such file"),
        (["parts.yaml", "--set", "data.tasks=5"], "variant 'base': --set data.tasks=5: 6 classes do not split"),
        (["small.yaml", "--set", "data={use: cifar100, tasks: 10}", "--data", "absent"], "absent"),
    ],
)
def test_wrong_input_leaves_with_2_before_anything_is_trained(
    incrlearn: Any, tiny: Path, arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where a data set is missing it would be downloaded; a proxy that is not there makes that fail at once.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    before = files_of(tiny)
    outcome = incrlearn("ablate", *arguments)
    assert outcome.code == 2
    assert words in outcome.err
    assert files_of(tiny) == before


def test_a_pool_that_cannot_be_written_is_told(incrlearn: Any, tiny: Path) -> None:
    (tiny / "file").write_text("")
    outcome = incrlearn("ablate", "parts.yaml", "--device", "cpu", "--out", "file", "--only", "base")
    assert outcome.code == 2
    assert "cannot be written (Not a directory)" in outcome.err


def test_seeds_are_read() -> None:
    assert read_seeds(" 3, 1 ") == [3, 1]
    assert read_seeds("") == []
    with pytest.raises(RecipeError, match="-1"):
        read_seeds("-1")
