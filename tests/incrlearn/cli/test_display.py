"""What a person sees while a run goes on, on a terminal and off it."""

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from rich.table import Table

from incrlearn import Phase, RunState, Task
from incrlearn.cli.consoles import output_console, say, tell_error
from incrlearn.cli.display import BarDisplay, Heading, LineDisplay, duration, is_shown, make_display
from incrlearn.cli.summary import cost_table, print_summary
from incrlearn.errors import TrainingError


def epoch_row(epoch: int, epochs: int) -> dict[str, Any]:
    return {
        "kind": "epoch", "task": 2, "tasks": 5, "phase": "train", "epoch": epoch, "epochs": epochs,
        "loss": 1.5, "terms": {"loss": 1.5}, "accuracy": 45.67, "lr": 0.1, "seconds": 30.0,
    }  # fmt: skip


def task_row(task: int) -> dict[str, Any]:
    return {
        "kind": "task", "task": task, "tasks": 5, "classes": 20 * task, "top1": 75.361, "top5": 93.0,
        "top1_old": None if task == 1 else 70.0, "top1_new": 80.0, "accuracies": [75.0] * task,
        "parameters": 11_170_000 * task, "flops": 1_116_000_000 * task, "latency_ms": 41.26, "latency_batch": 256,
        "model_mb": 44.7 * task, "exemplars": 2000, "exemplar_mb": 6.144, "seconds": 90.0,
    }  # fmt: skip


def console_of(terminal: bool) -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    if terminal:
        return Console(file=stream, force_terminal=True, width=80, color_system="standard"), stream
    return Console(file=stream, force_terminal=False, color_system=None, width=80), stream


@pytest.mark.parametrize("epochs", [1, 2, 7, 10, 11, 30, 170, 200, 1000])
def test_about_ten_lines_a_phase(epochs: int) -> None:
    shown = [epoch for epoch in range(1, epochs + 1) if is_shown(epoch, epochs)]
    assert shown[0] == 1
    assert shown[-1] == epochs
    assert min(epochs, 6) <= len(shown) <= 12


def test_lines_tell_place_loss_accuracy_and_time_left() -> None:
    console, stream = console_of(terminal=False)
    with make_display(console) as display:
        assert isinstance(display, LineDisplay)
        display.record(epoch_row(1, 170))
        display.record(epoch_row(2, 170))
        display.record(epoch_row(170, 170))
        display.record(task_row(2))
        display.record({"kind": "result"})
    assert stream.getvalue().splitlines() == [
        "task 2/5 train: epoch 1/170, loss 1.500, train 45.7 %, 1.4 h left in this phase",
        "task 2/5 train: epoch 170/170, loss 1.500, train 45.7 %",
        "task 2/5: 40 classes, top-1 75.36 %, top-5 93.00 %, 2 min",
    ]


@pytest.mark.parametrize(
    ("task", "resumed", "line"),
    [
        (1, False, "small, in runs/x"),
        (3, True, "small, in runs/x; goes on behind task 2 of 5"),
        (1, True, "small, in runs/x; begins anew, no task of it was finished"),
    ],
)
def test_heading_tells_once_what_is_trained_and_from_where(task: int, resumed: bool, line: str) -> None:
    console, stream = console_of(terminal=False)
    heading = Heading(console, "small, in runs/x", resumed)
    for number in (task, task, task + 1):
        heading.phase_start(RunState(1, torch.device("cpu"), Task(number, 5, 0, 2 * number), (1, 8, 8)))
    assert stream.getvalue() == f"{line}\n"


def test_tables_have_no_blanks_at_the_ends_of_lines_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    console = output_console()
    table = Table("a", "b", title="a title", title_justify="left")
    table.add_row("a long cell in the table", "")
    console.print(table)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "a title"
    assert [line for line in lines if line != line.rstrip()] == []
    assert len(lines) == 6


def test_bars_tell_task_phase_epoch_loss_and_accuracy() -> None:
    console, stream = console_of(terminal=True)
    state = RunState(1, torch.device("cpu"), Task(2, 5, 20, 40), (3, 32, 32), phase=Phase("train", 3, 128))
    with make_display(console) as display:
        assert isinstance(display, BarDisplay)
        display.phase_start(state)
        display.batch_start(state, 0.5)
        display.record(epoch_row(1, 3))
        state.phase = Phase("balance", 2, 128)
        display.phase_start(state)
        display.record(task_row(2))
    shown = stream.getvalue()
    for words in ("tasks", "1/5", "2/5", "task 2 balance", "task 2/5: 40 classes"):
        assert words in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1


def test_terminal_is_put_in_order_when_a_run_fails() -> None:
    console, stream = console_of(terminal=True)
    with pytest.raises(KeyboardInterrupt), make_display(console):
        raise KeyboardInterrupt
    assert "\x1b[?25h" in stream.getvalue()


def test_summary_fits_80_columns_and_leaves_out_what_is_not_defined() -> None:
    console, stream = console_of(terminal=False)
    values = {"average": 75.361, "last": 65.0, "average_top5": 90.0, "last_top5": 88.0, "forgetting": None,
              "backward_transfer": None, "parameters_average": 61.6e6, "parameters_last": 111.7e6, "flops_last": 5.58e9,
              "latency_last": 1234.5, "model_mb_last": 0.664, "exemplar_mb_last": 0.00256}  # fmt: skip
    units = {"forgetting": "points", "backward_transfer": "points", "parameters_average": "parameters",
             "parameters_last": "parameters", "flops_last": "FLOPs", "latency_last": "ms",
             "model_mb_last": "MB", "exemplar_mb_last": "MB"}  # fmt: skip
    summary = {
        "tasks": [task_row(task) for task in range(1, 6)],
        "metrics": {name: {"value": v, "unit": units.get(name, "%"), "meaning": ""} for name, v in values.items()},
        "expected": {"average": 75.36, "last": 65.22, "source": "[table 1]", "parameters_average": 61.6},
    }
    print_summary(console, summary, Path("runs/x"))
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    assert cells[0] == ["1", "20", "75.36", "93.00", "-", "80.00"]
    assert cells[4] == ["5", "100", "75.36", "93.00", "70.00", "80.00"]
    assert cells[5] == ["1", "11.17 M", "1.12 G", "44.7", "41.3 (256)", "2,000", "6.14"]
    assert cells[9] == ["5", "55.85 M", "5.58 G", "223.5", "41.3 (256)", "2,000", "6.14"]
    assert ["average top-1 (mean over all tasks)", "75.36 %", "75.36 %"] in cells
    assert ["forgetting", "-", ""] in cells
    assert ["parameters, mean over tasks", "61.60 M", "61.60 M"] in cells
    assert cells[-4:] == [
        ["FLOPs of one image, after the last task", "5.58 G", ""],
        ["one test batch, after the last task", "1,234.5 ms", ""],
        ["model as stored, after the last task", "0.66 MB", ""],
        ["exemplars as stored, after the last task", "0.0026 MB", ""],
    ]
    assert lines[-2:] == ["expected: [table 1]", "every number: runs/x/result.json"]


@pytest.mark.parametrize("scale", [1, 100])
def test_costs_keep_to_one_line_a_task_on_80_columns(scale: int) -> None:
    console, stream = console_of(terminal=False)
    costs = {"parameters": 5_585_000, "flops": 279_000_000, "latency_ms": 15.43, "model_mb": 11.17}
    row = task_row(5) | {name: scale * value for name, value in costs.items()}
    console.print(cost_table([row | {"exemplars": 200 * scale, "exemplar_mb": 30.1 * scale}]))
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert len([line for line in lines if line.startswith("│")]) == 1


def test_costs_that_a_row_does_not_tell_are_dashes() -> None:
    console, stream = console_of(terminal=False)
    told = {"task": 1, "parameters": 2_000_000, "exemplars": 40}
    console.print(cost_table([told, told | {"latency_ms": None, "latency_batch": None, "flops": 0, "exemplar_mb": 0}]))
    lines = [line for line in stream.getvalue().splitlines() if line.startswith("│")]
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines]
    assert cells == [["1", "2.00 M", "-", "-", "-", "40", "-"], ["1", "2.00 M", "0.00 M", "-", "-", "40", "0.00"]]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "0 s"), (59, "59 s"), (61, "1 min"), (1800, "30 min"), (5400, "1.5 h")]
)
def test_durations_as_a_person_says_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_text_is_printed_as_it_is() -> None:
    console, stream = console_of(terminal=False)
    say(console, "[bold]not markup[/] " + "x" * 200)
    assert stream.getvalue() == "[bold]not markup[/] " + "x" * 200 + "\n"


def test_error_is_told_with_its_notes(capsys: pytest.CaptureFixture[str]) -> None:
    error = TrainingError("the loss is nan [see log]")
    error.add_note("while 'pruning' answered prune, task 3")
    tell_error(error)
    text = capsys.readouterr()
    assert text.err == "error: the loss is nan [see log]\n  while 'pruning' answered prune, task 3\n"
    assert text.out == ""
