"""What pruning took away, as a person sees it."""

import io
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from incrlearn import Phase, RunState, Task
from incrlearn.cli.display import BarDisplay, make_display
from incrlearn.cli.pruned import channels_table, pruned_line, pruning_table


def report(**changes: Any) -> dict[str, Any]:
    return {
        "plugin": "pruning", "epoch": 14, "parameters_before": 1000, "parameters_after": 96, "kept": 0.096,
        "top1_soft": 40.0, "top1_binary": 39.25, "top1_removed": 39.25, "top1_settled": 41.5,
        "channels": {"model.conv1": [5, 64], "model.layer1.0.conv1": [12, 16]},
    } | changes  # fmt: skip


def shown(table: Table | None) -> list[list[str]]:
    assert table is not None
    stream = io.StringIO()
    Console(file=stream, width=100, color_system=None).print(table)
    lines = [line for line in stream.getvalue().splitlines() if "│" in line or "┃" in line]
    return [[cell.strip() for cell in line.replace("┃", "│").split("│")[1:-1]] for line in lines]


def test_line_tells_parameters_and_accuracies_in_the_order_of_measuring() -> None:
    assert pruned_line(report()) == (
        "96 of 1,000 parameters kept (9.6 %); top-1 in percent: soft 40.00, binary 39.25, removed 39.25, settled 41.50"
    )


def test_line_about_a_report_of_other_keys_says_only_that_something_was_pruned() -> None:
    assert pruned_line({"what": "heads"}) == "pruned"


def test_tables_have_a_line_a_task_and_a_line_a_layer() -> None:
    rows = [{"task": 1, "pruned": [report()]}, {"task": 2, "pruned": [report(parameters_after=101, epoch=15)]}]
    rows[1]["pruned"][0]["channels"] = {"model.conv1": [64, 64], "model.layer1.0.conv1": [7, 16]}
    assert shown(pruning_table(rows)) == [
        ["task", "epoch", "kept", "parameters", "soft", "binary", "removed", "settled"],
        ["1", "14", "9.6 %", "96", "40.00", "39.25", "39.25", "41.50"],
        ["2", "15", "10.1 %", "101", "40.00", "39.25", "39.25", "41.50"],
    ]
    assert shown(channels_table(rows)) == [
        ["layer", "of", "kept"],
        ["conv1", "64", "5 64"],
        ["layer1.0.conv1", "16", "12  7"],
    ]


def test_tables_and_lines_leave_out_an_accuracy_that_was_not_taken() -> None:
    unsettled = report()
    del unsettled["top1_settled"]
    rows = [{"task": 1, "pruned": [unsettled]}, {"task": 2, "pruned": [report()]}]
    assert [line[-1] for line in shown(pruning_table(rows))] == ["settled", "-", "41.50"]
    assert shown(pruning_table(rows[:1]))[0][-1] == "removed"
    assert pruned_line(unsettled).endswith("soft 40.00, binary 39.25, removed 39.25")


def test_reports_of_third_parties_need_none_of_the_keys() -> None:
    rows = [{"task": 1, "pruned": [{"what": "heads"}]}, {"task": 2}]
    assert shown(pruning_table(rows)) == [["task", "epoch", "kept", "parameters"], ["1", "-", "-", "-"]]
    assert channels_table(rows) is None


def test_without_pruning_there_is_no_table() -> None:
    assert pruning_table([{"task": 1}]) is None
    assert channels_table([{"task": 1}]) is None


def test_a_pruning_is_told_when_it_happens_on_a_terminal_and_off_it() -> None:
    row = {
        "kind": "epoch", "task": 1, "tasks": 5, "phase": "train", "epoch": 14, "epochs": 200, "loss": 1.0,
        "accuracy": 50.0, "seconds": 1.0, "pruned": [report()],
    }  # fmt: skip
    for terminal in (False, True):
        stream = io.StringIO()
        with make_display(Console(file=stream, force_terminal=terminal, width=200, color_system=None)) as display:
            display.record(row | {"kind": "task", "top1": 1.0, "top5": 1.0, "classes": 2})
            assert "kept" not in stream.getvalue()
            if isinstance(display, BarDisplay):
                state = RunState(1, torch.device("cpu"), Task(1, 5, 0, 2), (3, 8, 8), phase=Phase("train", 200, 8))
                display.phase_start(state)
            display.record(row)
        assert "task 1/5 train: 96 of 1,000 parameters kept (9.6 %)" in stream.getvalue()
