"""The end of a run, in three tables: each task, what its model costs, and the run beside what is expected of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from incrlearn.cli.consoles import say
from incrlearn.cli.pruned import channels_table, pruning_table

_LABELS = (
    ("average", "average top-1 (mean over all tasks)"),
    ("last", "last top-1 (all classes, after the last task)"),
    ("average_top5", "average top-5"),
    ("last_top5", "last top-5"),
    ("forgetting", "forgetting"),
    ("backward_transfer", "backward transfer"),
    ("parameters_average", "parameters, mean over tasks"),
    ("parameters_last", "parameters after the last task"),
    ("flops_last", "FLOPs of one image, after the last task"),
    ("latency_last", "one test batch, after the last task"),
    ("model_mb_last", "model as stored, after the last task"),
    ("exemplar_mb_last", "exemplars as stored, after the last task"),
)


def print_summary(console: Console, summary: dict[str, Any], run_dir: Path) -> None:
    """Print what a run came to.

    Args:
        console: where to.
        summary: what ``result.json`` holds.
        run_dir: the folder it lies in.
    """
    console.print(task_table(summary["tasks"]))
    console.print(cost_table(summary["tasks"]))
    for table in (pruning_table(summary["tasks"]), channels_table(summary["tasks"])):
        if table is not None:
            console.print(table)
    console.print(metric_table(summary["metrics"], summary.get("expected")))
    if summary.get("expected"):
        say(console, f"expected: {summary['expected']['source']}")
    say(console, f"every number: {run_dir / 'result.json'}")


def task_table(rows: list[dict[str, Any]]) -> Table:
    """One line a task; accuracies in percent."""
    table = Table(title="top-1 in percent where not said otherwise", title_justify="left")
    for heading in ("task", "classes", "top-1", "top-5", "old", "new"):
        table.add_column(heading, justify="right")
    for row in rows:
        accuracies = (row["top1"], row["top5"], row["top1_old"], row["top1_new"])
        cells = ("-" if value is None else f"{value:.2f}" for value in accuracies)
        table.add_row(str(row["task"]), str(row["classes"]), *cells)
    return table


def cost_table(rows: list[dict[str, Any]]) -> Table:
    """One line a task: the model at inference, and the exemplars; "-" where an earlier version wrote the row."""
    table = Table(title="what it costs: FLOPs of one image, milliseconds a test batch (images)", title_justify="left")
    for heading in ("task", "parameters", "FLOPs", "model\nMB", "ms a batch", "exemplars", "exemplar\nMB"):
        table.add_column(heading, justify="right")
    for row in rows:
        milliseconds = row.get("latency_ms")
        table.add_row(
            str(row["task"]),
            _millions(row["parameters"]),
            _flops(row.get("flops")),
            _number(row.get("model_mb")),
            "-" if milliseconds is None else f"{_number(milliseconds)} ({row['latency_batch']})",
            f"{row['exemplars']:,}",
            _number(row.get("exemplar_mb")),
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
    if unit == "parameters":
        return _millions(value)
    if unit == "FLOPs":
        return _flops(value)
    return f"{_number(value)} {unit}" if unit in ("MB", "ms") else f"{value:.2f} {unit}"


def _millions(value: float) -> str:
    return f"{value / 1e6:.2f} M" if value >= 1e5 else f"{value / 1e6:.4f} M"


def _flops(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value / 1e9:.2f} G" if value >= 1e8 else f"{value / 1e6:.2f} M"


def _number(value: float | None) -> str:
    """About three digits, for one small column, without a power of ten where a size is large."""
    if value is None:
        return "-"
    if value >= 10:
        return f"{value:,.1f}"
    return f"{value:.2f}" if value >= 0.1 or value == 0 else f"{value:.2g}"


def _expected_cell(name: str, expected: dict[str, Any]) -> str:
    value = expected.get(name)
    if value is None:
        return ""
    return f"{value:.2f} M" if name.startswith("parameters") else f"{value:.2f} %"
