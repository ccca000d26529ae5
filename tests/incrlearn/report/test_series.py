"""What figures show, worked by hand."""

import math
from collections.abc import Callable

import pytest

from incrlearn.engine.record import RunRecord
from incrlearn.report.groups import Group, group_runs
from incrlearn.report.series import (
    Band,
    accuracy_curve,
    band,
    cost_point,
    expectations,
    kept_layers,
    mean_matrix,
)

MakeRun = Callable[..., RunRecord]
EXPECTED = {"average": 74.5, "last": 64.0, "parameters_average": 5.0, "source": "a paper"}


def one_group(*runs: RunRecord) -> Group:
    (group,) = group_runs(runs)
    return group


@pytest.mark.parametrize("values", [[], [None], [1.0, None], [1.0, math.nan], [math.inf]])
def test_a_band_needs_every_value(values: list[float | None]) -> None:
    assert band(values) is None


def test_a_band_is_mean_smallest_and_largest() -> None:
    assert band([1.0, 5.0, 3.0]) == Band(3.0, 1.0, 5.0)


def test_the_curve_is_over_seeds_at_the_classes_seen(make_run: MakeRun) -> None:
    group = one_group(make_run(matrix=[[90.0], [80.0, 60.0]]), make_run(seed=2, matrix=[[80.0], [90.0, 30.0]]))
    first, second = accuracy_curve(group)
    assert (first.classes, first.top1) == (2, Band(85.0, 80.0, 90.0))
    assert (second.classes, second.top1) == (4, Band(65.0, 60.0, 70.0))


def test_a_task_without_a_number_has_no_point(make_run: MakeRun) -> None:
    broken = make_run(seed=2, matrix=[[90.0], [math.nan, math.nan], [1.0, 2.0, 3.0]])
    curve = accuracy_curve(one_group(make_run(), broken))
    assert [point.top1 is None for point in curve] == [False, True, False]


def test_the_matrix_is_the_mean_over_seeds(make_run: MakeRun) -> None:
    group = one_group(make_run(matrix=[[90.0], [80.0, math.nan]]), make_run(seed=2, matrix=[[80.0], [90.0, 30.0]]))
    assert mean_matrix(group) == ((85.0,), (85.0, None))


def test_costs_are_means_over_tasks(make_run: MakeRun) -> None:
    point = cost_point(one_group(make_run(matrix=[[90.0], [80.0, 60.0]], parameters=2e6)))
    assert point is not None
    assert point.parameters == Band(3e6, 3e6, 3e6)
    assert point.top1.mean == 80.0


def test_without_an_accuracy_there_is_no_cost(make_run: MakeRun) -> None:
    assert cost_point(one_group(make_run(matrix=[[math.nan]]))) is None


def test_kept_channels_are_over_tasks_and_seeds(make_run: MakeRun) -> None:
    runs = [
        make_run(seed=seed, channels={"model.conv1": [kept, 64], "model.layer1.0.conv1": [4, 16]})
        for seed, kept in ((1, 16), (2, 32))
    ]
    first, second = kept_layers(one_group(*runs))
    assert (first.name, first.channels, first.share) == ("conv1", Band(24.0, 16.0, 32.0), Band(37.5, 25.0, 50.0))
    assert (second.name, second.full, second.share.mean) == ("layer1.0.conv1", (16,), 25.0)


def test_reports_of_pruning_need_tell_nothing_of_channels(make_run: MakeRun) -> None:
    run = make_run()
    run.summary["tasks"][0]["pruned"] = [{"what": "heads"}, {"channels": {"conv": [3, 4]}}]
    run.summary["tasks"][1]["pruned"] = [{"channels": {"conv": [2, 8]}}]
    (layer,) = kept_layers(one_group(run))
    assert (layer.full, layer.share) == ((4, 8), Band(50.0, 25.0, 75.0))
    assert kept_layers(one_group(make_run())) == ()


def test_the_same_expectation_is_told_once(make_run: MakeRun) -> None:
    without = {"memory": None}
    groups = group_runs(
        [
            make_run(expected=EXPECTED),
            make_run(expected=EXPECTED, plugins=without),
            make_run(name="other", expected=EXPECTED | {"last": None}),
            make_run(name="none"),
        ]
    )
    shared, alone = expectations(groups)
    assert (shared.groups, shared.average, shared.last, shared.parameters) == ((0, 1), 74.5, 64.0, 5e6)
    assert (alone.groups, alone.last) == ((2,), None)


def test_the_same_numbers_after_other_classes_are_another_expectation(make_run: MakeRun) -> None:
    groups = group_runs([make_run(expected=EXPECTED), make_run(name="short", expected=EXPECTED, matrix=[[90.0]])])
    assert [one.classes for one in expectations(groups)] == [6, 2]
