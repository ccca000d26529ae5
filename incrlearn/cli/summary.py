"""The end of a run, in two tables: each task, and the run beside what is expected of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from incrlearn.cli.consoles import say

_LABELS = (
    ("average", "average top-1 (mean over all tasks)"),
    ("last", "last top-1 (all classes, after the last task)"),
    ("average_top5", "average top-5"),
    ("last_top5", "last top-5"),
    ("forgetting", "forgetting"),
    ("backward_transfer", "backward transfer"),
    ("parameters_average", "parameters, mean over tasks"),
    ("parameters_last", "parameters after the last task"),
)


def print_summary(console: Console, summary: dict[str, Any], run_dir: Path) -> None:
    """Print what a run came to.

    Args:
        console: where to.
        summary: what ``result.json`` holds.
        run_dir: the folder it lies in.
    """
    console.print(task_table(summary["tasks"]))
    console.print(metric_table(summary["metrics"], summary.get("expected")))
    if summary.get("expected"):
        say(console, f"expected: {summary['expected']['source']}")
    say(console, f"every number: {run_dir / 'result.json'}")


def task_table(rows: list[dict[str, Any]]) -> Table:
    """One line a task; accuracies in percent."""
    table = Table(title="top-1 in percent where not said otherwise", title_justify="left")
    for heading in ("task", "classes", "top-1", "top-5", "old", "new", "exemplars", "parameters"):
        table.add_column(heading, justify="right")
    for row in rows:
        accuracies = (row["top1"], row["top5"], row["top1_old"], row["top1_new"])
        cells = ("-" if value is None else f"{value:.2f}" for value in accuracies)
        table.add_row(
            str(row["task"]),
            str(row["classes"]),
            *cells,
            f"{row['exemplars']:,}",
            f"{row['parameters'] / 1e6:.2f} M",
        )
    return table


def metric_table(metrics: dict[str, dict[str, Any]], expected: dict[str, Any] | None) -> Table:
    """The numbers of the whole run; beside them what is expected, where the recipe says."""
    table = Table("", title="the run", title_justify="left")
    table.add_column("this run", justify="right")
    if expected:
        table.add_column("expected", justify="right")
    for name, label in _LABELS:
        if name not in metrics:
            continue
        cells = [label, _with_unit(metrics[name]["value"], metrics[name]["unit"])]
        if expected:
            cells.append(_expected_cell(name, expected))
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _with_unit(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    return f"{value / 1e6:.2f} M" if unit == "parameters" else f"{value:.2f} {unit}"


def _expected_cell(name: str, expected: dict[str, Any]) -> str:
    value = expected.get(name)
    if value is None:
        return ""
    return f"{value:.2f} M" if name.startswith("parameters") else f"{value:.2f} %"
