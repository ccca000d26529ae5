"""INCRLEARN_TRACE=hooks tells every call on standard error; anything else it could be is refused."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import incrlearn.testing.worlds
from incrlearn import Phase, RunState, Task
from incrlearn.cli.trace import HookTrace
from incrlearn.recipe.nodes import dump_yaml
from incrlearn.testing import tiny_recipe


def run_traced(tmp_path: Path, asked: str) -> subprocess.CompletedProcess[str]:
    recipe = tiny_recipe(auxiliary=None, balance=None, memory=None)
    recipe["data"] |= {"use": f"{incrlearn.testing.worlds.__file__}:SyntheticData", "tasks": 2}
    (tmp_path / "tiny.yaml").write_text(dump_yaml(recipe))
    return subprocess.run(
        [sys.executable, "-m", "incrlearn", "run", "tiny.yaml", "--out", "run", "--device", "cpu"],
        cwd=tmp_path,
        env={**os.environ, "INCRLEARN_TRACE": asked},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_call_is_told_with_its_place_and_time(tmp_path: Path) -> None:
    done = run_traced(tmp_path, "hooks")
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert re.fullmatch(r"hooks: task 1; 'network' expand \d+\.\d{3} ms", lines[0])
    losses = [line for line in lines if line.startswith("hooks: task 2, phase 'train', epoch 3; 'loss' loss_terms")]
    assert len(losses) == 4  # 60 images in batches of at most 16
    assert (tmp_path / "run" / "result.json").is_file()


def test_an_unknown_trace_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    done = run_traced(tmp_path, "hoks")
    assert (done.returncode, done.stderr) == (
        2,
        "error: INCRLEARN_TRACE: 1 problem\n  'hoks' cannot be traced; write INCRLEARN_TRACE=hooks\n",
    )
    assert not (tmp_path / "run").exists()


def test_place_is_told_where_a_method_does_not_ask_for_the_state(capsys: pytest.CaptureFixture[str]) -> None:
    state = RunState(1, torch.device("cpu"), Task(2, 3, 2, 4), (1, 8, 8), phase=Phase("train", 3, 16))
    trace = HookTrace()
    with trace.around("phase_start", "train", {"state": state}):
        pass
    with trace.around("loss_terms", "extra", {"out": None}):
        pass
    assert "hooks: task 2, phase 'train', epoch 1; 'extra' loss_terms " in capsys.readouterr().err
