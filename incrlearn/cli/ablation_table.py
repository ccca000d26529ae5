"""An ablation's table on a terminal, cut into as many blocks of columns as its width asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from incrlearn.ablation.cells import count_cell, difference_cell, footnotes, mean_cell, name_cell
from incrlearn.ablation.table import AblationTable, Column

_NAME_WIDTH = 20
"""Longer names are broken into lines before columns go to another block."""
_BORDER = 3
"""What a column takes beside its text: padding on both sides, and a line."""


def ablation_table(table: AblationTable) -> Table:
    """The table under its title; below the mean of an accuracy stands its difference to the base.

    Where a console is too narrow for all columns, accuracies and costs are blocks of their own, and broken further if
    need be; every block names the variants.
    """
    grid = Table.grid()
    grid.title, grid.title_justify = Text(table.title), "left"
    grid.add_row(_Blocks(table))
    return grid


def ablation_footnotes(table: AblationTable) -> list[str]:
    """What to print under it, a line each: how to read it, the seeds, what is missing, the table's notes."""
    return footnotes(table, below=True)


@dataclass(frozen=True)
class _Shown:
    """A column as text."""

    heading: str
    cells: list[str]
    """A row's each; two lines where there is a difference."""
    is_accuracy: bool = False

    @property
    def width(self) -> int:
        """Of the longest line of a cell, and of the longest word of the heading."""
        return max(cell_len(line) for text in (*self.heading.split(), *self.cells) for line in text.split("\n"))


@dataclass(frozen=True)
class _Blocks:
    """Renders the columns in blocks that fit the console."""

    table: AblationTable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = self.table
        names = _Shown("variant", [name_cell(table, row) for row in table.rows])
        counts = _Shown("n", [count_cell(table, row) for row in table.rows])
        room = options.max_width - 1 - counts.width - 2 * _BORDER
        columns = [_shown(table, column) for column in table.columns]
        for block in _split(columns, room - min(names.width, _NAME_WIDTH)):
            name_width = max(min(names.width, room - _taken(block)), 1)
            yield self._block(names, name_width, [counts, *block])

    def _block(self, names: _Shown, name_width: int, columns: Sequence[_Shown]) -> Table:
        block = Table()
        block.add_column(names.heading, width=name_width, overflow="fold")
        for column in columns:
            block.add_column(Text(column.heading), width=column.width, justify="right")
        for index, row in enumerate(self.table.rows):
            cells = [names.cells[index], *(column.cells[index] for column in columns)]
            block.add_row(*map(Text, cells), style="bold" if self.table.is_base(row) else None)
        return block


def _shown(table: AblationTable, column: Column) -> _Shown:
    pairs = [(mean_cell(table, row, column), difference_cell(table, row, column)) for row in table.rows]
    return _Shown(column.label, ["\n".join(filter(None, pair)) for pair in pairs], column.is_accuracy)


def _taken(columns: Sequence[_Shown]) -> int:
    return sum(column.width + _BORDER for column in columns)


def _split(columns: Sequence[_Shown], room: int) -> list[Sequence[_Shown]]:
    """One block where all columns fit, else accuracies before costs, each in as few even blocks as fit."""
    if _taken(columns) <= room:
        return [columns]
    accuracies = [column for column in columns if column.is_accuracy]
    costs = [column for column in columns if not column.is_accuracy]
    return [*_even_blocks(accuracies, room), *_even_blocks(costs, room)]


def _even_blocks(columns: Sequence[_Shown], room: int) -> list[Sequence[_Shown]]:
    for count in range(1, len(columns) + 1):
        ends = [len(columns) * block // count for block in range(count + 1)]
        blocks = [columns[start:end] for start, end in pairwise(ends)]
        if count == len(columns) or all(_taken(block) <= room for block in blocks):
            return blocks
    return []
