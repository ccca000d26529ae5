"""The record on disk, and how it goes on after an interruption."""

import json
from pathlib import Path

import torch

from incrlearn import RunState, Task
from incrlearn_plugins.log.jsonl import Jsonl


def rows_in(path: Path) -> list[dict[str, int]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_rows_after_the_last_checkpoint_are_cut_off_on_resume(tmp_path: Path) -> None:
    state = RunState(1, torch.device("cpu"), Task(1, 1, 0, 2), run_dir=tmp_path)
    first = Jsonl("log", Jsonl.Config())
    first.record(state, {"epoch": 1})
    kept = first.state_dict()
    first.record(state, {"epoch": 2})
    resumed = Jsonl("log", Jsonl.Config())
    resumed.load_state_dict(kept)
    resumed.record(state, {"epoch": 20})
    resumed.record(state, {"epoch": 21})
    assert rows_in(tmp_path / "metrics.jsonl") == [{"epoch": 1}, {"epoch": 20}, {"epoch": 21}]


def test_without_a_run_directory_nothing_is_written() -> None:
    Jsonl("log", Jsonl.Config()).record(RunState(1, torch.device("cpu"), Task(1, 1, 0, 2)), {"epoch": 1})
