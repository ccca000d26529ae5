"""The table of an ablation: variants by numbers, each number over the seeds that finished."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite

from incrlearn.statistics import Difference, Spread, paired_difference, spread

CONFIDENCE = 0.95
"""Of the intervals of the differences to the base."""
DONE = "done"
NOT_RUN = "not run"
INTERRUPTED = "interrupted"

_SCALES = {"M": 1e6, "G": 1e9, "h": 3600.0}
_LARGER_UNITS = {"flops_last": ("M", "G", 1e10), "seconds": ("s", "h", 36_000.0)}
"""Unit by default, unit for large values, and from which mean of any row on the whole column takes it."""


@dataclass(frozen=True)
class Column:
    """A number of the run that the table shows."""

    metric: str
    """Key in ``metrics`` of ``result.json``."""
    label: str
    """Heading: what it is, over the tasks or of the last one, and the unit it is shown in."""
    unit: str
    """In which it is shown; with M and G, of what the result counts (parameters, FLOPs)."""

    @property
    def scale(self) -> float:
        """What a value of ``result.json`` is divided by to be shown in ``unit``."""
        return _SCALES.get(self.unit, 1.0)

    @property
    def is_accuracy(self) -> bool:
        """Whether it is in percent or points, so that its difference to the base is told."""
        return self.unit in ("%", "points")


_COLUMNS = (
    Column("average", "average top-1 (%)", "%"),
    Column("last", "last top-1 (%)", "%"),
    Column("average_top5", "average top-5 (%)", "%"),
    Column("last_top5", "last top-5 (%)", "%"),
    Column("forgetting", "forgetting after the last task (points)", "points"),
    Column("backward_transfer", "backward transfer after the last task (points)", "points"),
    Column("parameters_average", "parameters, mean over tasks (M)", "M"),
    Column("parameters_last", "parameters, last (M)", "M"),
    Column("flops_last", "FLOPs, last (M)", "M"),
    Column("latency_last", "latency, last (ms)", "ms"),
    Column("model_mb_last", "model size, last (MB)", "MB"),
    Column("exemplar_mb_last", "exemplars, last (MB)", "MB"),
    Column("seconds", "time (s)", "s"),
)
DEFAULT_COLUMNS = ("average", "last", "parameters_average", "parameters_last", "flops_last", "seconds")
"""Names of the columns that a table has where nobody chose others."""


def column_names() -> tuple[str, ...]:
    """The names that ``find_column`` knows: those of the metrics in ``result.json``."""
    return tuple(column.metric for column in _COLUMNS)


def find_column(name: str) -> Column | None:
    """The column of a metric; None where there is no such metric (``did_you_mean(name, column_names())`` helps)."""
    return next((column for column in _COLUMNS if column.metric == name), None)


@dataclass(frozen=True)
class Row:
    """A variant, with what each of its seeds came to."""

    name: str
    edits: tuple[str, ...]
    """What it changes in the base recipe, such as ``"plugins.pruning=null"``; empty for the base."""
    values: Mapping[str, Mapping[int, float]]
    """By metric and seed, in the units of ``result.json``; a value that a run does not define is left out."""
    states: Mapping[int, str]
    """By seed: "done", "not run", "interrupted", or "failed: <message>"; a seed left out was not run."""

    def state(self, seed: int) -> str:
        """What became of a seed."""
        return self.states.get(seed, NOT_RUN)


@dataclass(frozen=True)
class AblationTable:
    """Rows of variants and columns of numbers, in the order in which they are shown.

    Only finite values of seeds that are done and that belong to the table are counted.

    Raises:
        ValueError: no row, or more than one, has the name of the base.
    """

    title: str
    base: str
    """Name of the row that the others are compared with."""
    seeds: tuple[int, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    """Sentences under the table."""

    def __post_init__(self) -> None:
        bases = sum(self.is_base(row) for row in self.rows)
        if bases != 1:
            raise ValueError(f"{bases} rows are called '{self.base}'; the base is one row")

    @property
    def base_row(self) -> Row:
        """The row that the others are compared with."""
        return next(row for row in self.rows if self.is_base(row))

    def is_base(self, row: Row) -> bool:
        """Whether a row is the base."""
        return row.name == self.base

    def finished(self, row: Row) -> tuple[int, ...]:
        """The seeds of a row that are done."""
        return tuple(seed for seed in self.seeds if row.state(seed) == DONE)

    def values(self, row: Row, metric: str) -> dict[int, float]:
        """The values that count, by seed, in the unit of ``result.json``."""
        known = row.values.get(metric, {})
        return {seed: known[seed] for seed in self.finished(row) if seed in known and isfinite(known[seed])}

    def spread(self, row: Row, column: Column) -> Spread | None:
        """Over the seeds, in the unit of ``result.json`` (not divided by the scale); None where no seed has a value."""
        return spread(list(self.values(row, column.metric).values()))

    def spreads(self, column: Column) -> list[Spread]:
        """Of the rows that have values in ``column``."""
        return [found for row in self.rows if (found := self.spread(row, column)) is not None]

    def difference(self, row: Row, column: Column) -> Difference | None:
        """Row minus base in points, with its interval; None for the base, other units, and without a common seed."""
        if self.is_base(row) or not column.is_accuracy:
            return None
        return paired_difference(self.values(row, column.metric), self.values(self.base_row, column.metric), CONFIDENCE)


def build_table(
    title: str,
    base: str,
    seeds: Sequence[int],
    columns: Sequence[Column],
    rows: Sequence[Row],
    notes: Sequence[str] = (),
) -> AblationTable:
    """A table whose columns of large numbers have units that suit them, one for the whole column.

    Args:
        title: what the table is about.
        base: name of the base's row.
        seeds: that every row was to be trained with.
        columns: what to show; FLOPs go from M to G, and the time from s to h, where a row's mean is large.
        rows: in the order in which they are shown.
        notes: sentences under the table.

    Raises:
        ValueError: no row, or more than one, has the name of the base.
    """
    table = AblationTable(title, base, tuple(seeds), tuple(columns), tuple(rows), tuple(notes))
    return replace(table, columns=tuple(_with_fitting_unit(table, column) for column in columns))


def _with_fitting_unit(table: AblationTable, column: Column) -> Column:
    small, large, limit = _LARGER_UNITS.get(column.metric, ("", "", 0.0))
    if column.unit != small or max((found.mean for found in table.spreads(column)), default=0.0) < limit:
        return column
    return replace(column, label=column.label.replace(f"({small})", f"({large})"), unit=large)
