"""A table's cells and footnotes as a person reads them: rounded, one number of digits a column, true minus signs."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10
from textwrap import shorten

from incrlearn.ablation.table import CONFIDENCE, DONE, AblationTable, Column, Row

MISSING = "-"
"""In a cell that has no number."""
MINUS = "\N{MINUS SIGN}"
PERCENT = f"{100 * CONFIDENCE:g} %"
_LONGEST_STATE = 160


def decimals(table: AblationTable, column: Column) -> int:
    """Digits after the point, the same for the whole column.

    Two for accuracies. Elsewhere as many as show three digits of the smallest mean, at most 4; for parameters at
    least 2.
    """
    if column.is_accuracy:
        return 2
    sizes = [abs(found.mean) / column.scale for found in table.spreads(column) if found.mean]
    least = 2 if column.metric.startswith("parameters") else 0
    return max(least, min(4, 2 - floor(log10(min(sizes))))) if sizes else least


def is_constant(table: AblationTable, column: Column) -> bool:
    """Whether it is a cost that is the same in all runs of each variant, such as parameters without pruning."""
    deviations = [found.sd for found in table.spreads(column) if found.sd is not None]
    return not column.is_accuracy and bool(deviations) and not any(deviations)


def number(value: float, digits: int, signed: bool = False) -> str:
    """A rounded number with a true minus sign and, if ``signed``, a plus; zero has neither."""
    rounded = round(value, digits) + 0.0  # -0.0 + 0.0 is 0.0: what rounds to zero has no sign
    sign = MINUS if rounded < 0 else "+" if signed and rounded > 0 else ""
    return f"{sign}{abs(rounded):,.{digits}f}"


def count_cell(table: AblationTable, row: Row) -> str:
    """How many seeds finished, and of how many where not all did: ``"3"``, ``"2 of 3"``."""
    done = len(table.finished(row))
    return str(done) if done == len(table.seeds) else f"{done} of {len(table.seeds)}"


def mean_cell(table: AblationTable, row: Row, column: Column) -> str:
    """``"62.10 ± 0.35"``; with ``"(n = 1)"`` where not all finished seeds have a value.

    The mean stands alone for one seed, and in a whole column of costs that no seed changes.
    """
    found = table.spread(row, column)
    if found is None:
        return MISSING
    digits = decimals(table, column)
    text = number(found.mean / column.scale, digits)
    if found.sd is not None and not is_constant(table, column):
        text += f" ± {number(found.sd / column.scale, digits)}"
    return text + _count_note(found.n, len(table.finished(row)))


def difference_cell(table: AblationTable, row: Row, column: Column) -> str:
    """``"-1.25 [-2.01, -0.49]"`` with true minus signs.

    Without interval for one seed; empty for the base and where there is no accuracy; ``"(n = 2)"`` stands behind it
    where the base lacks some of the row's seeds.
    """
    if table.is_base(row) or not column.is_accuracy:
        return ""
    difference = table.difference(row, column)
    if difference is None:
        return MISSING
    digits = decimals(table, column)
    text = number(difference.mean, digits, signed=True)
    if difference.low is not None and difference.high is not None:
        text += f" [{number(difference.low, digits, signed=True)}, {number(difference.high, digits, signed=True)}]"
    return text + _count_note(difference.n, len(table.finished(row)))


def name_cell(table: AblationTable, row: Row) -> str:
    """The variant's name on one line; the base is called so."""
    name = one_line(row.name)
    return f"{name} (base)" if table.is_base(row) and name.lower() != "base" else name


def one_line(text: str) -> str:
    """The text with every run of white space and of characters that cannot be printed as one space."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def footnotes(table: AblationTable, below: bool = False) -> list[str]:
    """What stands under the table, one note each: how to read it, the seeds, what is missing, the table's notes.

    Args:
        table: what they are about.
        below: whether differences stand below the means, and not beside them.
    """
    missing = [line for row in table.rows for line in _missing(table, row)]
    return [*_legend(table, below), *missing, *map(one_line, table.notes)]


def _legend(table: AblationTable, below: bool) -> list[str]:
    means = [mean_cell(table, row, column) for row in table.rows for column in table.columns]
    changes = [difference_cell(table, row, column) for row in table.rows for column in table.columns]
    seeds = f"seed{_plural(table.seeds)} {', '.join(map(str, table.seeds))}"
    spread = "Mean ± standard deviation over" if any("±" in cell for cell in means) else "Mean over"
    lines = [f"{spread} n runs; {seeds}."]
    if any(is_constant(table, column) for column in table.columns):
        lines.append("Columns without ±: the same in every run of a variant.")
    if any(cell not in ("", MISSING) for cell in changes):
        where = ", below the means" if below else ""
        intervals = f"with {PERCENT} t intervals, not corrected for several comparisons"
        intervals = intervals if any("[" in cell for cell in changes) else "without interval where there is one seed"
        lines.append(f"Differences to {one_line(table.base)}{where}: in points, paired by seed, {intervals}.")
    if any("(n = " in cell for cell in [*means, *changes]):
        lines.append("(n = ...): over fewer seeds than the row's n, as the others lack this number or the base them.")
    return lines


def _missing(table: AblationTable, row: Row) -> list[str]:
    """A line for each state but "done", with the seeds that have it."""
    by_state: dict[str, list[str]] = {}
    for seed in table.seeds:
        by_state.setdefault(one_line(row.state(seed)), []).append(str(seed))
    return [
        f"{one_line(row.name)}, seed{_plural(seeds)} {', '.join(seeds)}: {_shortened(state)}"
        for state, seeds in by_state.items()
        if state != DONE
    ]


def _shortened(state: str) -> str:
    """A state cut short, but for where its traceback lies."""
    told, mark, where = state.rpartition(" (where: ")
    return f"{shorten(told or where, _LONGEST_STATE, placeholder=' ...')}{mark}{where if mark else ''}"


def _count_note(n: int, finished: int) -> str:
    return f" (n = {n})" if n != finished else ""


def _plural(items: Sequence[object]) -> str:
    return "" if len(items) == 1 else "s"
