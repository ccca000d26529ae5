"""What pruning took away, in words and tables: from the reports of plug-ins that answer ``prune``.

A report may hold ``parameters_before`` and ``parameters_after``; accuracies in percent under names that begin with
``top1_``, in the order in which they were measured; and ``channels``, per layer what is kept and of how many.
"""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

Report = dict[str, Any]


def pruned_line(report: Report) -> str:
    """A report in a line, of what it holds."""
    before, after = report.get("parameters_before"), report.get("parameters_after")
    parts = []
    if before and after is not None:
        parts.append(f"{after:,} of {before:,} parameters kept ({100 * after / before:.1f} %)")
    accuracies = [f"{name} {value:.2f}" for name, value in _accuracies(report).items()]
    if accuracies:
        parts.append(f"top-1 in percent: {', '.join(accuracies)}")
    return "; ".join(parts) or "pruned"


def pruning_table(rows: list[dict[str, Any]]) -> Table | None:
    """A line per report of each task; None where nothing was pruned.

    Args:
        rows: the rows of kind "task".
    """
    reports = [(row["task"], report) for row in rows for report in row.get("pruned", [])]
    names = list(dict.fromkeys(name for _, report in reports for name in _accuracies(report)))
    if not reports:
        return None
    table = Table(title="what pruning kept, and top-1 in percent on the way", title_justify="left")
    for heading in ("task", "epoch", "kept", "parameters", *names):
        table.add_column(heading, justify="right")
    for task, report in reports:
        before, after = report.get("parameters_before"), report.get("parameters_after")
        known = before and after is not None
        accuracies = _accuracies(report)
        table.add_row(
            str(task),
            str(report.get("epoch", "-")),
            f"{100 * after / before:.1f} %" if known else "-",
            f"{after:,}" if known else "-",
            *(f"{accuracies[name]:.2f}" if name in accuracies else "-" for name in names),
        )
    return table


def channels_table(rows: list[dict[str, Any]]) -> Table | None:
    """A line per layer with the channels kept in each task's extractor; None where nobody tells.

    Args:
        rows: the rows of kind "task".
    """
    reports = [report["channels"] for row in rows for report in row.get("pruned", []) if "channels" in report]
    if not reports:
        return None
    table = Table("layer", title="channels kept, task by task", title_justify="left")
    table.add_column("of", justify="right")
    table.add_column("kept")
    for layer in dict.fromkeys(layer for report in reports for layer in report):
        sizes = [report.get(layer) for report in reports]
        width = max(len(str(size[0])) for size in sizes if size is not None)
        kept = " ".join(("-" if size is None else str(size[0])).rjust(width) for size in sizes)
        full = next(size[1] for size in sizes if size is not None)
        table.add_row(Text(layer.removeprefix("model.")), str(full), Text(kept))
    return table


def _accuracies(report: Report) -> dict[str, float]:
    return {name.removeprefix("top1_"): value for name, value in report.items() if name.startswith("top1_")}
