"""The tables as text: numbers in their units, differences by dotted path, where the runs come from."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from incrlearn.engine.record import RunRecord
from incrlearn.report.groups import group_runs
from incrlearn.report.series import expectations
from incrlearn.report.tables import (
    NOT_THERE,
    Column,
    provenance,
    recipe_differences,
    result_columns,
    result_rows,
    spread_words,
)
from incrlearn.statistics import Spread

MakeRun = Callable[..., RunRecord]
PERCENT = Column("average", "top-1", "%", "average", 1.0, 2)
MILLIONS = Column("parameters_average", "parameters", "M", "average", 1e6)


@pytest.mark.parametrize(
    ("spread", "column", "words"),
    [
        (None, PERCENT, NOT_THERE),
        (Spread(1, math.nan, None), PERCENT, NOT_THERE),
        (Spread(1, 71.456, None), PERCENT, "71.46"),
        (Spread(3, 71.456, 0.104), PERCENT, "71.46 ± 0.10"),
        (Spread(3, 71.456, 0.0), PERCENT, "71.46 ± 0"),
        (Spread(3, 71.456, 0.001), PERCENT, "71.46 ± <0.01"),
        (Spread(3, 61_580_000, 4_000), MILLIONS, "61.6 ± <0.1"),
        (Spread(1, 1_220_400_000, None), MILLIONS, "1,220"),
        (Spread(3, 49_377, 40), MILLIONS, "0.0494 ± <0.0001"),
        (Spread(1, 0.0, None), MILLIONS, "0"),
    ],
    ids=str,
)
def test_a_spread_is_told_in_the_unit_of_its_column(spread: Spread | None, column: Column, words: str) -> None:
    assert spread_words(spread, column) == words


def test_every_column_says_of_what_it_is(make_run: MakeRun) -> None:
    columns = result_columns(group_runs([make_run()]))
    assert [(column.metric, column.of) for column in columns] == [
        ("average", "average"),
        ("last", "last"),
        ("forgetting", "last"),
        ("parameters_average", "average"),
        ("parameters_last", "last"),
        ("flops_last", "last"),
        ("seconds", "total"),
    ]


@pytest.mark.parametrize(("seconds", "unit"), [(599.0, "s"), (600.0, "min"), (7199.0, "min"), (7200.0, "h")])
def test_time_is_in_the_unit_that_fits_the_longest_run(make_run: MakeRun, seconds: float, unit: str) -> None:
    runs = [make_run(), make_run(name="long")]
    runs[1].summary["metrics"]["seconds"]["value"] = seconds
    assert result_columns(group_runs(runs))[-1].unit == unit


def test_numbers_that_an_older_run_lacks_are_left_open(make_run: MakeRun) -> None:
    run = make_run()
    run.summary["metrics"]["flops_last"]["value"] = None
    groups = group_runs([run])
    columns = result_columns(groups)
    (row,) = result_rows(groups, columns, ())
    assert row.cells[[column.metric for column in columns].index("flops_last")] == NOT_THERE


def test_what_was_expected_stands_below_its_group_alone(make_run: MakeRun) -> None:
    expected = {"average": 74.64, "last": None, "parameters_average": 5.0, "source": "a paper"}
    groups = group_runs([make_run(), make_run(name="other", expected=expected)])
    columns = result_columns(groups)
    plain, other = result_rows(groups, columns, expectations(groups))
    assert plain.expected == ()
    assert other.expected == (("a paper", ("74.64", "", "", "5.0", "", "", "")),)


def differences(*runs: RunRecord) -> dict[str, tuple[str, ...]]:
    return {row.path: row.cells for row in recipe_differences(group_runs(runs))}


def test_only_settings_that_differ_are_told_without_seed_and_loggers(make_run: MakeRun) -> None:
    other = make_run(
        name="other",
        seed=7,
        plugins={"train": {"use": "sgd", "lr": 0.1, "epochs": 20, "first": None}, "log": {"use": "jsonl", "file": "b"}},
        expected={"average": 1.0, "source": "a guess"},
    )
    assert differences(make_run(), other) == {"plugins.train.lr": ("0.05", "0.1")}


def test_a_row_that_a_group_lacks_is_told_once(make_run: MakeRun) -> None:
    def pruned(name: str, keep: float) -> RunRecord:
        return make_run(name=name, plugins={"pruning": {"use": "channel_mask", "keep": keep, "lr": 30.0}})

    assert differences(make_run(), pruned("a", 0.1)) == {"plugins.pruning.use": (NOT_THERE, "channel_mask")}
    assert differences(make_run(), pruned("a", 0.1), pruned("b", 0.2)) == {
        "plugins.pruning.use": (NOT_THERE, "channel_mask", "channel_mask"),
        "plugins.pruning.keep": (NOT_THERE, "0.1", "0.2"),
    }


def test_options_of_another_plugin_are_told_beside_it(make_run: MakeRun) -> None:
    single = make_run(name="replay", plugins={"network": {"use": "single", "restart": False}})
    found = differences(make_run(), single)
    assert found == {
        "plugins.network.use": ("expandable", "single"),
        "plugins.network.start": ("previous", NOT_THERE),
        "plugins.network.restart": (NOT_THERE, "false"),
    }
    assert list(found) == ["plugins.network.use", "plugins.network.start", "plugins.network.restart"]


def test_options_of_one_plugin_stand_together(make_run: MakeRun) -> None:
    head = {"head": {"use": "linear", "bias": True}}
    single = make_run(name="replay", plugins={"network": {"use": "single", "restart": False}, **head})
    paths = list(differences(single, make_run()))
    assert paths == ["plugins.network.use", "plugins.network.restart", "plugins.network.start", "plugins.head.bias"]


def test_the_order_of_the_plugins_is_a_setting(make_run: MakeRun) -> None:
    run = make_run()
    turned = replace(run, recipe=run.recipe | {"plugins": dict(reversed(run.recipe["plugins"].items()))})
    assert differences(run, turned) == {
        "order of plugins": ("network, head, memory, train", "train, memory, head, network")
    }


def test_other_images_under_the_same_recipe_are_told(make_run: MakeRun) -> None:
    assert differences(make_run(), make_run(data="f" * 64)) == {"digest of the data": ("d" * 12, "f" * 12)}


def test_one_group_differs_in_nothing(make_run: MakeRun) -> None:
    assert differences(make_run(), make_run(seed=2)) == {}


def test_what_all_runs_share_is_told_once_and_the_rest_a_run(make_run: MakeRun) -> None:
    cuda = {"device": "cuda:0", "name": "a card", "threads": 1, "system": "Linux"}
    found = provenance(group_runs([make_run(), make_run(seed=2), make_run(name="other", hardware=cuda)]))
    assert dict(found.shared)["versions"] == "python 3.11.0, torch 2.11.0"
    assert dict(found.shared)["precision"] == "float32"
    assert found.headings == ("hardware", "device")
    assert [(row.position, row.seed) for row in found.rows] == [(0, 1), (0, 2), (1, 1)]
    # Its tasks ran elsewhere than where it was ended.
    assert [row.cells for row in found.rows][1:] == [("a processor", "cpu"), ("a processor, a card", "cuda:0")]
    assert found.rows[0].run_dir == "runs/der_tiny/1"
    assert len(found.rows[0].fingerprint) == 12


def test_a_result_without_some_of_its_hardware_is_shown(make_run: MakeRun) -> None:
    bare: dict[str, Any] = {"name": "a processor"}
    assert dict(provenance(group_runs([make_run(hardware=bare)])).shared)["threads"] == NOT_THERE
