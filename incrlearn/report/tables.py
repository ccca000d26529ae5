"""The tables of a report as text, ready to be laid out: results, differences of the recipes, and the runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor, isfinite, log10
from typing import Any

from incrlearn.engine.record import RunRecord
from incrlearn.report.groups import Group, flatten, settings, show_value
from incrlearn.report.series import Expectation
from incrlearn.statistics import Spread

NOT_THERE = "\N{EN DASH}"
"""Stands for a number that is not defined and an option that a recipe does not have."""
_MILLION, _BILLION = 1e6, 1e9
_MINUTE, _HOUR = 60.0, 3600.0
_DIGITS = 3
_MOST_DECIMALS = 5
_DIGEST = 12


@dataclass(frozen=True)
class Column:
    """A number of the run."""

    metric: str
    """As ``result.json`` calls it."""
    what: str
    unit: str
    of: str
    """``average`` over tasks, ``last`` task, or ``total``."""
    scale: float
    """What a value is divided by to be in ``unit``."""
    decimals: int | None = None
    """None: as many as three digits take."""


@dataclass(frozen=True)
class ResultRow:
    """A group, its numbers as mean ± standard deviation, and what was expected of it."""

    position: int
    seeds: int
    cells: tuple[str, ...]
    expected: tuple[tuple[str, tuple[str, ...]], ...]
    """For each source its numbers, one a column; empty where it tells none."""


@dataclass(frozen=True)
class DifferenceRow:
    """A setting that is not the same in all groups."""

    path: str
    """Dotted."""
    cells: tuple[str, ...]
    """One a group."""


@dataclass(frozen=True)
class RunRow:
    """What makes a run again."""

    position: int
    """Of its group."""
    seed: int
    date: str
    fingerprint: str
    cells: tuple[str, ...]
    """What is not the same in all runs."""
    run_dir: str


@dataclass(frozen=True)
class Provenance:
    """Where the numbers come from."""

    shared: tuple[tuple[str, str], ...]
    """What is the same in all runs, by name."""
    headings: tuple[str, ...]
    """Names of what is not."""
    rows: tuple[RunRow, ...]


def result_columns(groups: Sequence[Group]) -> tuple[Column, ...]:
    """The columns of the results; FLOPs and time in units that fit the largest number."""
    flops = _largest(groups, "flops_last")
    flop_scale, flop_unit = (_BILLION, "G") if flops >= _BILLION else (_MILLION, "M")
    seconds = _largest(groups, "seconds")
    time_scale, time_unit = (1.0, "s")
    if seconds >= 10 * _MINUTE:
        time_scale, time_unit = (_HOUR, "h") if seconds >= 2 * _HOUR else (_MINUTE, "min")
    return (
        Column("average", "top-1", "%", "average", 1.0, 2),
        Column("last", "top-1", "%", "last", 1.0, 2),
        Column("forgetting", "forgetting", "points", "last", 1.0, 2),
        Column("parameters_average", "parameters", "M", "average", _MILLION),
        Column("parameters_last", "parameters", "M", "last", _MILLION),
        Column("flops_last", "FLOPs", flop_unit, "last", flop_scale),
        Column("seconds", "time", time_unit, "total", time_scale),
    )


def result_rows(
    groups: Sequence[Group], columns: Sequence[Column], expected: Sequence[Expectation]
) -> tuple[ResultRow, ...]:
    """One row a group, in the order of the groups."""
    return tuple(
        ResultRow(
            position,
            len(group.runs),
            tuple(spread_words(group.spread(column.metric), column) for column in columns),
            tuple((one.source, _expected_cells(one, columns)) for one in expected if position in one.groups),
        )
        for position, group in enumerate(groups)
    )


def spread_words(spread: Spread | None, column: Column) -> str:
    """Mean ± standard deviation in the unit of the column, both to the same decimals; the mean alone of one run."""
    if spread is None or not isfinite(spread.mean):
        return NOT_THERE
    mean = spread.mean / column.scale
    decimals = column.decimals if column.decimals is not None else _decimals(mean)
    if spread.sd is None:
        return f"{mean:,.{decimals}f}"
    return f"{mean:,.{decimals}f} ± {_sd_words(spread.sd / column.scale, decimals)}"


def recipe_differences(groups: Sequence[Group]) -> tuple[DifferenceRow, ...]:
    """Every setting that the groups do not share, by dotted path; seed and loggers aside.

    Of a row under ``plugins`` that some groups lack, those that have it are compared: that it is missing is told once,
    at its ``use``.
    """
    plain = [settings(group.first) for group in groups]
    flats = [flatten(own) for own in plain]
    found = []
    for path in _in_order(flats):
        row = _plugin_row(path, plain)
        asked = [True] * len(groups)
        if row is not None and path != f"plugins.{row}.use":
            asked = [row in own["plugins"] for own in plain]
        values = {json.dumps(flat[path]) if path in flat else "" for flat, ask in zip(flats, asked, strict=True) if ask}
        if len(values) > 1:
            found.append(DifferenceRow(path, tuple(_cell(flat, path) for flat in flats)))
    return (*found, *_order_difference(plain), *_data_difference(groups))


def provenance(groups: Sequence[Group]) -> Provenance:
    """What the runs computed on and with, told once where it is the same."""
    runs = [(position, run) for position, group in enumerate(groups) for run in group.runs]
    shared, headings, columns = [], [], []
    for name, tell in _FACTS.items():
        words = [tell(run) for _, run in runs]
        if len(set(words)) == 1:
            shared.append((name, words[0]))
        else:
            headings.append(name)
            columns.append(words)
    rows = tuple(
        RunRow(
            position,
            run.seed,
            str(run.summary["date"]).replace("T", " "),
            run.fingerprint,
            tuple(words[number] for words in columns),
            str(run.run_dir),
        )
        for number, (position, run) in enumerate(runs)
    )
    return Provenance(tuple(shared), tuple(headings), rows)


def _largest(groups: Sequence[Group], metric: str) -> float:
    values = [run.metric(metric) for group in groups for run in group.runs]
    return max((value for value in values if value is not None and isfinite(value)), default=0.0)


def _decimals(value: float) -> int:
    if value == 0:
        return 0
    return min(max(_DIGITS - 1 - floor(log10(abs(value))), 0), _MOST_DECIMALS)


def _sd_words(sd: float, decimals: int) -> str:
    """A deviation that is not zero never reads as if it were."""
    if sd == 0:
        return "0"
    smallest = 10.0**-decimals
    return f"<{smallest:.{decimals}f}" if sd < smallest / 2 else f"{sd:,.{decimals}f}"


def _expected_cells(expected: Expectation, columns: Sequence[Column]) -> tuple[str, ...]:
    told = {"average": expected.average, "last": expected.last, "parameters_average": expected.parameters}
    cells = []
    for column in columns:
        value = told.get(column.metric)
        # As the source has them: 5.0 M of a paper is not 5.000 M.
        decimals = column.decimals if column.decimals is not None else 1
        cells.append("" if value is None else f"{value / column.scale:,.{decimals}f}")
    return tuple(cells)


def _in_order(flats: Sequence[dict[str, Any]]) -> list[str]:
    """All paths as a recipe has them, what belongs to one part or plug-in together."""
    paths = list(dict.fromkeys(path for flat in flats for path in flat))
    parts = list(dict.fromkeys(_part(path) for path in paths))
    return sorted(paths, key=lambda path: parts.index(_part(path)))


def _part(path: str) -> str:
    return ".".join(path.split(".")[:2])


def _plugin_row(path: str, plain: Sequence[dict[str, Any]]) -> str | None:
    """The row under ``plugins`` that the path leads into."""
    rows = (row for own in plain for row in own["plugins"])
    return next((row for row in rows if path.startswith(f"plugins.{row}.")), None)


def _cell(flat: dict[str, Any], path: str) -> str:
    return show_value(flat[path]) if path in flat else NOT_THERE


def _order_difference(plain: Sequence[dict[str, Any]]) -> list[DifferenceRow]:
    """Plug-ins are called from top to bottom: the order is a setting, of the rows that all have."""
    orders = [[row for row in own["plugins"] if all(row in other["plugins"] for other in plain)] for own in plain]
    if all(order == orders[0] for order in orders):
        return []
    return [DifferenceRow("order of plugins", tuple(", ".join(order) for order in orders))]


def _data_difference(groups: Sequence[Group]) -> list[DifferenceRow]:
    """Images or labels that differ although the recipes ask for the same."""
    asked = {json.dumps(group.first.recipe["data"], sort_keys=True) for group in groups}
    digests = [_digest(group.first) for group in groups]
    if len(asked) > 1 or len(set(digests)) == 1:
        return []
    return [DifferenceRow("digest of the data", tuple(digests))]


def _digest(run: RunRecord) -> str:
    return str(run.summary["data"])[:_DIGEST]


def _hardware(run: RunRecord) -> str:
    """All that the run computed on: one that was resumed may have changed machines."""
    names = [row.get("hardware") for row in run.summary["tasks"]] + [run.summary["hardware"].get("name")]
    return ", ".join(dict.fromkeys(str(name) for name in names if name is not None))


def _of_hardware(key: str) -> Callable[[RunRecord], str]:
    return lambda run: str(run.summary["hardware"].get(key, NOT_THERE))


_FACTS: dict[str, Callable[[RunRecord], str]] = {
    "hardware": _hardware,
    "device": _of_hardware("device"),
    "threads": _of_hardware("threads"),
    "system": _of_hardware("system"),
    "precision": lambda run: str(run.summary["precision"]),
    "versions": lambda run: ", ".join(f"{name} {version}" for name, version in run.summary["versions"].items()),
    "digest of the data": _digest,
}
