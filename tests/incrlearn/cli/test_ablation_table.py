"""An ablation's table as a person sees it on consoles of several widths."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from incrlearn.ablation.table import DEFAULT_COLUMNS, AblationTable, Row, build_table, column_names, find_column
from incrlearn.cli.ablation_table import ablation_footnotes, ablation_table

MINUS = "\N{MINUS SIGN}"
AVERAGES = {
    "DER": (75.0, 74.0, 76.0),
    "without pruning": (75.5, 74.75, 77.0),
    "without auxiliary loss": (73.0, 72.0, None),
    "half the exemplars, chosen at random": (71.0, 70.5, 73.0),
}
LABELS = {name: column.label for name in column_names() if (column := find_column(name)) is not None}


def row_of(name: str, averages: tuple[float | None, ...]) -> Row:
    known = {seed: value for seed, value in enumerate(averages, 1) if value is not None}
    scales = {"parameters_average": 1e6, "parameters_last": 2e6, "flops_last": 1.5e8, "seconds": 300.0}
    values = {
        metric: {seed: scales.get(metric, 1.0) * value for seed, value in known.items()} for metric in column_names()
    }
    states = {seed: "done" if seed in known else "failed: out of [memory]" for seed in (1, 2, 3)}
    return Row(name, (), values, states)


def table_of(names: tuple[str, ...] = DEFAULT_COLUMNS) -> AblationTable:
    columns = [column for name in names if (column := find_column(name)) is not None]
    rows = [row_of(name, averages) for name, averages in AVERAGES.items()]
    return build_table("DER on [CIFAR-100]", "DER", (1, 2, 3), columns, rows)


def lines_of(table: AblationTable, width: int) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(ablation_table(table))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def cells_of(lines: list[str]) -> list[list[str]]:
    rows = [line.replace("┃", "│").split("│")[1:-1] for line in lines if "│" in line or "┃" in line]
    return [[cell.strip() for cell in row] for row in rows]


@pytest.mark.parametrize("names", [DEFAULT_COLUMNS, column_names()], ids=["default", "all"])
@pytest.mark.parametrize("width", [60, 80, 100, 140, 400])
def test_no_number_is_cut_or_broken_and_no_line_is_too_long(width: int, names: tuple[str, ...]) -> None:
    table = table_of(names)
    lines = lines_of(table, width)
    whole = lines_of(table, 10_000)
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    numbers = sorted(cell for row in cells_of(whole)[1:] for cell in row[2:] if cell)
    shown = {cell for row in cells_of(lines) for cell in row}
    assert set(numbers) <= shown
    for name in names:
        assert set(LABELS[name].split()[:-1]) <= set(" ".join(" ".join(row) for row in cells_of(lines)).split())


def test_a_wide_console_shows_one_block() -> None:
    rows = cells_of(lines_of(table_of(), 200))
    assert [row[0] for row in rows if row[1]][1:] == ["DER (base)", *list(AVERAGES)[1:]]
    base = next(row for row in rows if row[0] == "DER (base)")
    assert base[1:4] == ["3", "75.00 ± 1.00", "75.00 ± 1.00"]
    below = rows[rows.index(next(row for row in rows if row[0] == "without pruning")) + 1]
    assert below[:3] == ["", "", "+0.75 [+0.13, +1.37]"]
    assert below[4:] == [""] * 4


def test_80_columns_show_accuracies_before_costs_and_name_the_variants_in_each_block() -> None:
    lines = lines_of(table_of(), 80)
    assert lines[0] == "DER on [CIFAR-100]"
    blocks = "\n".join(lines[1:]).split("┏")[1:]
    headings = [" ".join(" ".join(row) for row in cells_of(block.split("┡")[0].splitlines())) for block in blocks]
    assert ["top-1" in heading for heading in headings] == [True, False, False]
    for block in blocks:
        rows = cells_of(block.split("┡")[1].splitlines())
        assert [row[1] for row in rows if row[1]] == ["3", "3", "2 of 3", "3"]
        words = " ".join(row[0] for row in rows)
        assert " ".join(words.split()) == " ".join(["DER (base)", *list(AVERAGES)[1:]])


def test_long_names_are_broken_into_lines_and_read_as_they_are() -> None:
    table = table_of()
    name = "[bold]" + "x" * 70
    table = replace(table, rows=(table.rows[0], replace(table.rows[1], name=name)))
    rows = cells_of(lines_of(table, 80))
    assert "".join(row[0] for row in rows).count(name) == 3  # a block each


def test_footnotes_say_where_differences_stand_and_what_is_missing() -> None:
    notes = ablation_footnotes(table_of())
    assert notes[0] == "Mean ± standard deviation over n runs; seeds 1, 2, 3."
    assert notes[1].startswith("Differences to DER, below the means: in points")
    assert notes[2] == "without auxiliary loss, seed 3: failed: out of [memory]"


def test_the_smallest_console_still_shows_every_variant() -> None:
    assert sum("DER" in line for line in lines_of(table_of(("average",)), 50)) == 2  # the title, and the base


def test_differences_have_true_minus_signs() -> None:
    assert any(f"{MINUS}2.00 [" in line for line in lines_of(table_of(("average",)), 80))
