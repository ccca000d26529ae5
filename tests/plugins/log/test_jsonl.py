"""The record on disk, and how it goes on after an interruption."""

import json
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from incrlearn import RunState, Task
from incrlearn_plugins.log.jsonl import Jsonl


def rows_in(path: Path) -> list[dict[str, int]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_rows_after_the_last_checkpoint_are_cut_off_on_resume(tmp_path: Path) -> None:
    state = RunState(1, torch.device("cpu"), Task(1, 1, 0, 2), (3, 32, 32), run_dir=tmp_path)
    first = Jsonl("log", Jsonl.Config())
    first.record(state, {"kind": "epoch", "epoch": 1})
    kept = first.state_dict()
    first.record(state, {"kind": "epoch", "epoch": 2})
    resumed = Jsonl("log", Jsonl.Config())
    resumed.load_state_dict(kept)
    resumed.record(state, {"kind": "task", "epoch": 20})
    resumed.record(state, {"kind": "epoch", "epoch": 21})
    assert rows_in(tmp_path / "metrics.jsonl") == [
        {"kind": "epoch", "epoch": 1},
        {"kind": "task", "epoch": 20},
        {"kind": "epoch", "epoch": 21},
    ]


def test_without_a_run_directory_nothing_is_written() -> None:
    Jsonl("log", Jsonl.Config()).record(
        RunState(1, torch.device("cpu"), Task(1, 1, 0, 2), (3, 32, 32)), {"kind": "epoch", "epoch": 1}
    )


def test_log_that_is_shorter_than_it_was_goes_on_at_its_end(tmp_path: Path) -> None:
    state = RunState(1, torch.device("cpu"), Task(1, 1, 0, 2), (3, 32, 32), run_dir=tmp_path)
    resumed = Jsonl("log", Jsonl.Config())
    resumed.load_state_dict({"written": 1000})
    resumed.record(state, {"kind": "epoch", "loss": float("nan")})
    assert (tmp_path / "metrics.jsonl").read_bytes() == b'{"kind": "epoch", "loss": null}\n'


def test_half_a_line_that_a_power_cut_left_is_cut_off(tmp_path: Path) -> None:
    state = RunState(1, torch.device("cpu"), Task(1, 1, 0, 2), (3, 32, 32), run_dir=tmp_path)
    (tmp_path / "metrics.jsonl").write_bytes(b'{"kind": "epoch", "epoch": 1}\n{"kind": "ep')
    resumed = Jsonl("log", Jsonl.Config())
    resumed.load_state_dict({"written": 1000})
    resumed.record(state, {"kind": "epoch", "epoch": 3})
    assert rows_in(tmp_path / "metrics.jsonl") == [{"kind": "epoch", "epoch": 1}, {"kind": "epoch", "epoch": 3}]


@pytest.mark.parametrize("name", ["logs/m.jsonl", "result.json", "../m.jsonl"])
def test_log_stays_in_the_run_directory_and_off_its_files(name: str) -> None:
    with pytest.raises(ValidationError):
        Jsonl.Config(file=name)
