"""Runs that are there more than once: each seed counts once, by its newest run."""

from collections.abc import Callable

from incrlearn.engine.record import RunRecord
from incrlearn.report.repeats import each_seed_once

MakeRun = Callable[..., RunRecord]


def test_newest_run_of_a_seed_counts_where_the_first_one_stood(make_run: MakeRun) -> None:
    dates = ["2026-01-02T10:00:00+00:00", "2026-01-05T10:00:00+00:00", "2026-01-03T10:00:00+00:00"]
    first, newest, middle = (make_run(date=date) for date in dates)
    other = make_run(seed=2)
    counted, repeats = each_seed_once([first, other, newest, middle])
    assert counted == [newest, other]
    assert [(repeat.counted, repeat.others, repeat.differ) for repeat in repeats] == [(newest, (first, middle), False)]


def test_other_seeds_settings_recipes_and_images_are_no_repeats(make_run: MakeRun) -> None:
    records = [
        make_run(),
        make_run(seed=2),
        make_run(name="other"),
        make_run(plugins={"memory": None}),
        make_run(data="e" * 64),
    ]
    assert each_seed_once(records) == (records, [])


def test_what_only_logs_makes_no_other_run(make_run: MakeRun) -> None:
    counted, repeats = each_seed_once([make_run(), make_run(plugins={"log": None})])
    assert (len(counted), len(repeats)) == (1, 1)


def test_other_numbers_are_seen(make_run: MakeRun) -> None:
    _, (repeat,) = each_seed_once([make_run(), make_run(matrix=[[90.0], [80.0, 95.0], [70.0, 85.0, 92.5]])])
    assert repeat.differ


def test_accuracy_that_is_not_defined_is_the_same_number_twice(make_run: MakeRun) -> None:
    _, (repeat,) = each_seed_once([make_run(matrix=[[float("nan")]]), make_run(matrix=[[float("nan")]])])
    assert not repeat.differ
