"""The table of an ablation: its columns, which values count, how they are worded."""

import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

from incrlearn.ablation.cells import (
    count_cell,
    decimals,
    difference_cell,
    footnotes,
    mean_cell,
    name_cell,
    number,
    one_line,
)
from incrlearn.ablation.table import (
    DEFAULT_COLUMNS,
    AblationTable,
    Column,
    Row,
    build_table,
    column_names,
    find_column,
)
from incrlearn.engine.result import result_metrics
from incrlearn.statistics import Spread

TableOf = Callable[..., AblationTable]


def column(name: str) -> Column:
    found = find_column(name)
    assert found is not None
    return found


def cells_of(table: AblationTable, name: str) -> list[str]:
    shown = next(column for column in table.columns if column.metric == name)
    return [mean_cell(table, row, shown) for row in table.rows]


def test_every_metric_of_a_result_has_a_column_and_no_other() -> None:
    task = {"accuracies": [50.0], "top1": 50.0, "top5": 90.0, "parameters": 10, "seconds": 1.0}
    assert set(column_names()) == set(result_metrics([task]))


def test_an_unknown_name_has_no_column() -> None:
    assert find_column("top1") is None
    assert set(DEFAULT_COLUMNS) <= set(column_names())


@pytest.mark.parametrize("name", column_names())
def test_headings_tell_the_unit_and_whether_a_number_is_an_average_or_the_last(name: str) -> None:
    shown = column(name)
    assert shown.label.endswith(f"({shown.unit})")
    words = ("average", "mean") if "average" in name else ("time",) if name == "seconds" else ("last",)
    assert any(word in shown.label for word in words)


def test_only_percent_and_points_are_compared_with_the_base() -> None:
    compared = {name for name in column_names() if column(name).is_accuracy}
    assert compared == {"average", "last", "average_top5", "last_top5", "forgetting", "backward_transfer"}


def test_the_base_is_one_row(table_of: TableOf) -> None:
    table = table_of()
    for rows in (table.rows[1:], (*table.rows, table.rows[0])):
        with pytest.raises(ValueError, match="'DER'"):
            replace(table, rows=rows)


def test_spread_and_difference_are_over_finished_seeds(table_of: TableOf) -> None:
    table = table_of()
    base, _, failed = table.rows
    assert table.spread(base, column("average")) == Spread(3, 75.0, 1.0)
    assert table.spread(failed, column("average")) == Spread(2, 73.75, pytest.approx(math.sqrt(1.125)))
    difference = table.difference(failed, column("average"))
    assert difference is not None
    assert (difference.n, difference.mean) == (2, -1.75)  # of seeds 1 and 3, not the means' 73.75 - 75
    assert table.difference(base, column("average")) is None
    assert table.difference(failed, column("seconds")) is None


def test_values_of_unfinished_seeds_of_other_seeds_and_infinite_ones_do_not_count() -> None:
    values = {"average": {1: 10.0, 2: 20.0, 3: math.nan, 4: 40.0, 5: 50.0}}
    states = {1: "done", 2: "interrupted", 3: "done", 5: "done"}
    table = build_table("t", "base", (1, 2, 3, 4), [column("average")], [Row("base", (), values, states)])
    assert table.values(table.base_row, "average") == {1: 10.0}
    assert table.base_row.state(4) == "not run"


@pytest.mark.parametrize(
    ("name", "values", "label", "cells"),
    [
        ("flops_last", (61e6, 182.3e6), "FLOPs, last (M)", ["61.0", "182.3"]),
        ("flops_last", (279e6, 1111e6), "FLOPs, last (M)", ["279", "1,111"]),
        ("flops_last", (1.116e9, 11.16e9), "FLOPs, last (G)", ["1.12", "11.16"]),
        ("flops_last", (61e6, 18e9), "FLOPs, last (G)", ["0.0610", "18.0000"]),
        ("parameters_last", (2.53e6, 24.78e6), "parameters, last (M)", ["2.53", "24.78"]),
        ("parameters_last", (12_345.0, 24.78e6), "parameters, last (M)", ["0.0123", "24.7800"]),
        ("seconds", (8.25, 120.0), "time (s)", ["8.25", "120.00"]),
        ("seconds", (7200.0, 90_000.0), "time (h)", ["2.00", "25.00"]),
        ("model_mb_last", (0.0, 44.7), "model size, last (MB)", ["0.0", "44.7"]),
        ("last", (7.0, 60.125), "last top-1 (%)", ["7.00", "60.12"]),
    ],
)
def test_a_column_has_one_unit_and_one_number_of_digits(
    name: str, values: tuple[float, float], label: str, cells: list[str]
) -> None:
    rows = [Row(f"row {value}", (), {name: {1: value}}, {1: "done"}) for value in values]
    table = build_table("t", rows[0].name, (1,), [column(name)], rows)
    assert table.columns[0].label == label
    assert cells_of(table, name) == cells


def test_cells_of_accuracies(table_of: TableOf) -> None:
    table = table_of()
    average = column("average")
    assert cells_of(table, "average") == ["75.00 ± 1.00", "75.75 ± 1.15", "73.75 ± 1.06"]
    changes = [difference_cell(table, row, average) for row in table.rows]
    minus = "\N{MINUS SIGN}"
    assert changes == ["", "+0.75 [+0.13, +1.37]", f"{minus}1.75 [{minus}4.93, +1.43]"]
    assert [count_cell(table, row) for row in table.rows] == ["3", "3", "2 of 3"]
    assert [name_cell(table, row) for row in table.rows] == ["DER (base)", "without pruning", "no auxiliary"]


def test_one_seed_shows_the_mean_alone_and_no_interval(table_of: TableOf) -> None:
    table = table_of({"base": (70.0,), "other": (71.5,)})
    assert cells_of(table, "average") == ["70.00", "71.50"]
    assert difference_cell(table, table.rows[1], column("average")) == "+1.50"
    assert name_cell(table, table.rows[0]) == "base"
    assert footnotes(table) == [
        "Mean over n runs; seed 1.",
        "Differences to base: in points, paired by seed, without interval where there is one seed.",
    ]


def test_identical_runs_differ_by_zero_without_sign(table_of: TableOf) -> None:
    table = table_of({"base": (70.0, 71.0), "same": (70.0, 71.0), "almost": (69.999, 70.999)})
    changes = [difference_cell(table, row, column("average")) for row in table.rows[1:]]
    assert changes == ["0.00 [0.00, 0.00]"] * 2


def test_costs_that_no_seed_changes_stand_without_spread_and_others_with_it(table_of: TableOf) -> None:
    table = table_of()
    assert cells_of(table, "parameters_last") == ["112.10"] * 3
    assert cells_of(table, "seconds")[0] == "20,200 ± 100"
    assert "Columns without ±: the same in every run of a variant." in footnotes(table)
    pruned = replace(table.rows[1], values={**table.rows[1].values, "parameters_last": {1: 9.2e6, 2: 9.3e6, 3: 9.25e6}})
    table = replace(table, rows=(table.rows[0], pruned))
    assert cells_of(table, "parameters_last") == ["112.10 ± 0.00", "9.25 ± 0.05"]


def test_a_base_without_seeds_of_a_row_is_told_in_the_cell(table_of: TableOf) -> None:
    table = table_of({"base": (70.0, None, None), "other": (71.5, 72.0, 73.0)})
    assert difference_cell(table, table.rows[1], column("average")) == "+1.50 (n = 1)"
    assert any(line.startswith("(n = ...)") for line in footnotes(table))


def test_a_number_that_some_finished_runs_lack_tells_how_many_have_it() -> None:
    rows = [Row("base", (), {"flops_last": {2: 5e6}}, {1: "done", 2: "done"})]
    table = build_table("t", "base", (1, 2), [column("flops_last"), column("latency_last")], rows)
    assert cells_of(table, "flops_last") == ["5.00 (n = 1)"]
    assert cells_of(table, "latency_last") == ["-"]


def test_nothing_run_yet_is_a_table_of_dashes(table_of: TableOf) -> None:
    table = table_of({"base": (None, None), "other": (None, None)})
    table = replace(table, rows=tuple(replace(row, states={}) for row in table.rows))
    assert cells_of(table, "average") == cells_of(table, "seconds") == ["-", "-"]
    assert difference_cell(table, table.rows[1], column("average")) == "-"
    assert footnotes(table) == [
        "Mean over n runs; seeds 1, 2.",
        "base, seeds 1, 2: not run",
        "other, seeds 1, 2: not run",
    ]


def test_footnotes_tell_seeds_failures_on_one_line_and_notes(table_of: TableOf) -> None:
    notes = footnotes(table_of(notes=("All on one GPU.",)))
    assert notes[0] == "Mean ± standard deviation over n runs; seeds 1, 2, 3."
    assert "95 % t intervals" in notes[2]
    assert notes[-2:] == [
        "no auxiliary, seed 2: failed: task 3: the loss is not finite (nan); try a smaller lr",
        "All on one GPU.",
    ]


def test_a_long_failure_is_cut_under_the_table(table_of: TableOf) -> None:
    table = table_of({"base": (70.0, 71.0)})
    row = replace(table.rows[0], states={1: "done", 2: "failed: " + "very " * 200 + "wrong"})
    line = footnotes(replace(table, rows=(row,)))[-1]
    assert line.startswith("base, seed 2: failed: very very")
    assert line.endswith(" ...")
    assert len(line) < 200


def test_numbers_are_rounded_with_true_minus_signs() -> None:
    assert number(-1234.567, 2) == "\N{MINUS SIGN}1,234.57"
    assert number(-0.001, 2, signed=True) == "0.00"
    assert number(0.5, 1, signed=True) == "+0.5"


def test_control_characters_do_not_reach_a_reader() -> None:
    assert one_line(" a\x1b[31m\n\tb\u00a0c ") == "a [31m b c"


def test_digits_of_an_empty_column(table_of: TableOf) -> None:
    table = table_of({"base": (None,)})
    assert [decimals(table, shown) for shown in table.columns] == [2, 2, 2, 2, 0, 0]


def test_the_table_and_its_printing_load_neither_scipy_nor_torch() -> None:
    code = "import sys, incrlearn.cli.ablation_table; print({'scipy', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("told", ["short", "long " * 60])
def test_where_a_traceback_lies_is_never_cut_off(table_of: TableOf, told: str) -> None:
    table = table_of({"base": (70.0,)})
    row = replace(table.rows[0], states={1: f"failed: {told} (where: /some/where/traceback.txt)"})
    (line,) = [line for line in footnotes(replace(table, rows=(row,))) if "failed" in line]
    assert line.startswith(f"base, seed 1: failed: {told[:100].strip()}")
    assert " (where: /some/where/traceback.txt)" in line
    assert len(line) < 250
