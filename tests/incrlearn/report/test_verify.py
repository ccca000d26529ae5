"""What is expected against what runs have, and their settings against the whole protocol."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from incrlearn import OutputError, Registry, load_recipe
from incrlearn.engine.record import RunRecord
from incrlearn.recipe import find_recipe
from incrlearn.report.deviations import Deviation, find_deviations
from incrlearn.report.verify import check_numbers, judge, recipes_with_expected, runs_of_source, verify_runs

RecordOf = Callable[..., RunRecord]
SHIPPED = "der_cifar100_b0_10"
EXPECTED = {"average": 60.0, "last": 60.5, "parameters_average": 1.0, "source": "a paper, mean of three runs"}


def shipped_run(
    changes: dict[str, Any] | None = None, average: float = 74.64, last: float = 64.36, parameters: float = 5.0e6
) -> RunRecord:
    """A run of a shipped recipe that cannot be trained here, with settings changed by dotted path; None removes."""
    recipe = load_recipe(find_recipe(SHIPPED), Registry.discover())
    plain = copy.deepcopy(recipe.resolved())
    for path, value in (changes or {}).items():
        *parents, key = path.split(".")
        place = plain
        for parent in parents:
            place = place[parent]
        if value is None:
            del place[key]
        else:
            place[key] = value
    numbers = {"average": average, "last": last, "parameters_average": parameters}
    summary = {
        "recipe": SHIPPED,
        "seed": plain["seed"],
        "fingerprint": "0" * 12,
        "metrics": {name: {"value": value} for name, value in numbers.items()},
        "expected": plain["expected"],
        "kinds": {choice.key: choice.plugin.kind for choice in recipe.plugins},
        "data": "d" * 64,
    }
    return RunRecord(Path("run"), summary, plain)


@pytest.mark.parametrize(
    ("difference", "verdict"),
    [(0.0, "within"), (1.0, "within"), (-1.0, "within"), (72.45 - 71.45, "within"), (1.01, "above"), (-1.01, "below")],
)
def test_the_margin_itself_is_within(difference: float, verdict: str) -> None:
    assert judge(difference, 1.0) == verdict


def test_numbers_are_held_against_the_mean_of_the_runs(record_of: RecordOf) -> None:
    runs = [record_of(top1=58.0, parameters=1_150_000), record_of({"seed": 2}, top1=61.0, parameters=1_250_000)]
    average, last, size = check_numbers(runs, EXPECTED, tolerance=0.6)
    assert (average.metric, average.expected, average.got.mean, average.got.n) == ("average", 60.0, 59.5, 2)
    assert (average.difference, average.verdict, average.good) == (-0.5, "within", True)
    assert (last.metric, last.verdict, last.good) == ("last", "below", False)
    assert (size.metric, size.got.mean, size.verdict, size.good) == ("parameters_average", 1.2, "above", False)


def test_more_accuracy_and_fewer_parameters_fall_short_of_nothing(record_of: RecordOf) -> None:
    checks = check_numbers([record_of(top1=70.0, parameters=500_000)], EXPECTED, tolerance=1.0)
    assert [check.verdict for check in checks] == ["above", "above", "below"]
    assert all(check.good for check in checks)


def test_what_is_not_reported_is_not_held_against(record_of: RecordOf) -> None:
    checks = check_numbers([record_of()], EXPECTED | {"last": None, "parameters_average": None}, tolerance=1.0)
    assert [check.metric for check in checks] == ["average"]


def test_a_run_of_the_shipped_settings_is_of_the_whole_protocol() -> None:
    found = verify_runs([shipped_run()], tolerance=1.0)
    assert found.shipped
    assert (found.deviations, found.other_orders, found.good) == ((), (), True)


@pytest.mark.parametrize(
    "changes",
    [{"seed": 7}, {"precision": "float32"}, {"eval_batch": 64}, {"plugins.log": None}],
    ids=str,
)
def test_seed_precision_evaluation_batch_and_loggers_are_no_deviation(changes: dict[str, Any]) -> None:
    assert verify_runs([shipped_run(changes)], tolerance=1.0).good


def test_how_many_processes_read_images_is_no_deviation() -> None:
    plain = shipped_run().recipe
    assert find_deviations(plain, plain | {"data": plain["data"] | {"workers": 2}}) == ()


@pytest.mark.parametrize(
    ("changes", "deviations"),
    [
        ({"plugins.train.epochs": 3}, [("plugins.train.epochs", "170", "3")]),
        ({"plugins.train.milestones": [2]}, [("plugins.train.milestones", "[110, 130]", "[2]")]),
        ({"plugins.train.first": {"epochs": 200}}, [("plugins.train.first.epochs", None, "200")]),
        ({"plugins.pruning": None}, [("plugins.pruning", "channel_mask", None)]),
        ({"plugins.mix": {"use": "cutmix", "share": 0.5}}, [("plugins.mix", None, "cutmix")]),
        ({"plugins.memory": {"use": "random", "total": 2000}}, [("plugins.memory.use", "herding", "random")]),
        ({"plugins.memory.total": 500}, [("plugins.memory.total", "2000", "500")]),
        ({"backbone.name": "resnet34"}, [("backbone.name", "resnet18", "resnet34")]),
        ({"data.train_per_class": 125}, [("data.train_per_class", "none", "125")]),
        ({"data.order": "natural"}, [("data.order", "paper-1", "natural")]),
        ({"data.order": "seed"}, [("data.order", "paper-1", "seed")]),
        ({"data.order": 3}, [("data.order", "paper-1", "3")]),
        ({"data.order": [0, 1]}, [("data.order", "paper-1", "[0, 1]")]),
        ({"expected.average": 30.0}, [("expected.average", "74.64", "30.0")]),
    ],
    ids=lambda case: str(case)[:50],
)
def test_every_other_setting_is_a_deviation(
    changes: dict[str, Any], deviations: list[tuple[str, str | None, str | None]]
) -> None:
    found = verify_runs([shipped_run(changes, average=80.0, last=70.0)], tolerance=1.0)
    assert list(found.deviations) == [Deviation(*one) for one in deviations]
    assert all(check.good for check in found.checks)
    assert not found.good


def test_plugins_in_another_order_are_a_deviation() -> None:
    run = shipped_run()
    rows = dict(reversed(run.recipe["plugins"].items()))
    found = verify_runs([replace(run, recipe=run.recipe | {"plugins": rows})], tolerance=1.0)
    assert [one.path for one in found.deviations] == ["the order of plugins"]


def test_other_orders_with_a_name_are_told_and_no_deviation() -> None:
    runs = [shipped_run({"data.order": f"paper-{number}", "seed": number}) for number in (1, 2, 3)]
    found = verify_runs(runs, tolerance=1.0)
    assert (found.deviations, found.other_orders, found.good) == ((), ("paper-2", "paper-3"), True)
    assert [check.got.n for check in found.checks] == [3, 3, 3]


def test_of_a_recipe_that_is_not_shipped_only_its_own_numbers_count(record_of: RecordOf) -> None:
    found = verify_runs([record_of({"expected": EXPECTED})], tolerance=1.0)
    assert not found.shipped
    assert (found.deviations, found.good) == ((), True)


def test_a_run_without_expected_numbers_is_refused_with_the_recipes_that_have_some(record_of: RecordOf) -> None:
    with pytest.raises(OutputError, match=f"tiny, has no expected block.*{SHIPPED}"):
        verify_runs([record_of()], tolerance=1.0)


def test_every_recipe_that_is_named_has_expected_numbers() -> None:
    names = recipes_with_expected()
    assert SHIPPED in names
    assert "der_digits" not in names
    for name in names:
        assert load_recipe(find_recipe(name), Registry.discover()).expected is not None


def test_runs_of_different_recipes_are_refused(record_of: RecordOf) -> None:
    runs = [record_of({"expected": EXPECTED}, name=name) for name in ("one", "two")]
    with pytest.raises(OutputError, match="runs of 2 recipes: one, two"):
        verify_runs(runs, tolerance=1.0)


def test_runs_may_be_logged_in_different_ways() -> None:
    assert verify_runs([shipped_run(), shipped_run({"seed": 2, "plugins.log": None})], tolerance=1.0).good


def test_runs_of_different_settings_are_refused_all_at_once(record_of: RecordOf) -> None:
    changes: list[dict[str, Any]] = [{}, {"seed": 2, "data.order": 3}, {"plugins.train.lr": 0.1}, {"data.flip": True}]
    runs = [record_of({"expected": dict(EXPECTED), **change}) for change in changes]
    with pytest.raises(OutputError) as caught:
        verify_runs(runs, tolerance=1.0)
    lines = str(caught.value).splitlines()
    assert [line.partition(": ")[2] for line in lines[:2]] == ["plugins.train.lr", "data.flip"]
    assert len(lines) == 3


def test_runs_on_different_images_are_refused(record_of: RecordOf) -> None:
    run = record_of({"expected": EXPECTED})
    other = replace(run, summary=run.summary | {"data": "f" * 64})
    with pytest.raises(OutputError, match="images"):
        verify_runs([run, other], tolerance=1.0)


@pytest.mark.parametrize(
    ("source", "word"),
    [("DER, Yan et al., mean of three runs; #P second-hand", "three"), ("mean of 5 seeds", "5"), ("top-1", None)],
)
def test_a_source_may_tell_of_how_many_runs_it_reports_the_mean(source: str, word: str | None) -> None:
    assert runs_of_source(source) == word
