"""A run from before an option is the run with its default: in groups, and against its recipe."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from incrlearn import Registry
from incrlearn.engine.record import RunRecord
from incrlearn.report.comparable import as_comparable
from incrlearn.report.groups import group_runs, read_runs
from incrlearn.report.methods import method_differences
from incrlearn.testing import SyntheticData

RecordOf = Callable[..., RunRecord]
REGISTRY = Registry.of({"synthetic": SyntheticData})


def without_over(record: RunRecord) -> RunRecord:
    plugins = record.recipe["plugins"]
    loss = {option: value for option, value in plugins["loss"].items() if option != "over"}
    return replace(record, recipe=record.recipe | {"plugins": plugins | {"loss": loss}})


def test_an_option_that_is_missing_stands_at_its_default(record_of: RecordOf) -> None:
    earlier, later = without_over(record_of()), record_of({"seed": 2})
    assert len(group_runs([earlier, later])) == 2
    filled = as_comparable([earlier, later], REGISTRY)
    assert filled[0].recipe["plugins"]["loss"]["over"] == "all"
    assert [len(group.runs) for group in group_runs(filled)] == [2]
    assert list(filled[0].recipe["plugins"]) == list(earlier.recipe["plugins"])


def test_another_value_is_another_run_still(record_of: RecordOf) -> None:
    other = record_of({"plugins.loss": {"use": "cross_entropy", "weight": 0.5}})
    filled = as_comparable([without_over(record_of()), other], REGISTRY)
    assert len(group_runs(filled)) == 2


@pytest.mark.parametrize("use", ["gone", "/no/such/file.py:Loss"])
def test_what_cannot_be_read_now_stays_as_it_was_stored(record_of: RecordOf, use: str) -> None:
    record = record_of()
    odd = replace(record, recipe=record.recipe | {"plugins": record.recipe["plugins"] | {"loss": {"use": use}}})
    (kept,) = as_comparable([odd], REGISTRY)
    assert kept.recipe == odd.recipe


@pytest.mark.parametrize("use", ["cross_entropy", "/no/such/file.py:Loss"])
def test_what_tells_no_format_is_of_the_first_one(record_of: RecordOf, use: str) -> None:
    record = record_of()
    rows = record.recipe["plugins"] | {"loss": {"use": use}}
    plain = {key: value for key, value in record.recipe.items() if key != "format"} | {"plugins": rows}
    (read,) = as_comparable([replace(record, recipe=plain)], REGISTRY)
    assert read.recipe["format"] == 1


def test_runs_on_disk_are_read_with_all_options(record_of: RecordOf, tmp_path: Path) -> None:
    record = record_of()
    # Data that every registry knows: what a report finds has to be readable where nothing was given by hand.
    plain = record.recipe | {"data": {"use": "digits", "tasks": 3, "order": "seed", "cumulative": False}}
    del plain["plugins"]["loss"]["over"]
    (record.run_dir / "recipe.yaml").write_text(yaml.safe_dump(plain, sort_keys=False))
    (read,), _ = read_runs([tmp_path])
    assert read.recipe["plugins"]["loss"] == {"use": "cross_entropy", "over": "all", "weight": 1.0}


def of_code(record: RunRecord, folder: str, digest: str) -> RunRecord:
    rows = record.recipe["plugins"] | {"loss": {"use": f"/{folder}/mine.py:Mine", "weight": 1.0}}
    return replace(record, recipe=record.recipe | {"plugins": rows, "code": {"plugins.loss": digest}})


def test_runs_of_one_code_are_of_one_method_wherever_the_file_lies(record_of: RecordOf) -> None:
    records = [of_code(record_of(), "a", "3f0c"), of_code(record_of({"seed": 2}), "b", "3f0c")]
    assert [len(group.runs) for group in group_runs(as_comparable(records, REGISTRY))] == [2]


def test_runs_of_other_code_are_of_another_method_and_told_apart_by_it(record_of: RecordOf) -> None:
    records = [of_code(record_of(), "a", "3f0c"), of_code(record_of(), "a", "77ab")]
    groups = group_runs(as_comparable(records, REGISTRY))
    assert [group.distinction for group in groups] == [("loss.code-digest=3f0c",), ("loss.code-digest=77ab",)]
    (found,) = method_differences(groups)
    assert (found.topic, [side.words for side in found.sides]) == ("loss", ["code-digest 3f0c", "code-digest 77ab"])


def test_code_of_a_row_that_others_lack_is_told_with_the_row_alone(record_of: RecordOf) -> None:
    mine = of_code(record_of(), "a", "3f0c")
    without = {key: row for key, row in mine.recipe["plugins"].items() if key != "loss"}
    plain = {key: value for key, value in mine.recipe.items() if key != "code"} | {"plugins": without}
    groups = group_runs(as_comparable([mine, replace(mine, recipe=plain)], REGISTRY))
    assert [group.distinction for group in groups] == [(), ("without loss",)]


def test_options_and_code_are_told_among_groups_of_one_plugin_beside_others(record_of: RecordOf) -> None:
    mine = [of_code(record_of(), "a", "3f0c"), of_code(record_of(), "a", "77ab")]
    heavy = of_code(record_of(), "a", "77ab")
    heavy.recipe["plugins"]["loss"]["weight"] = 2.0
    plain = record_of({"plugins.loss": {"use": "cross_entropy"}})
    groups = group_runs(as_comparable([*mine, heavy, plain], REGISTRY))
    assert [group.distinction for group in groups] == [
        ("loss=mine.py:Mine", "loss.weight=1.0", "loss.code-digest=3f0c"),
        ("loss=mine.py:Mine", "loss.weight=1.0", "loss.code-digest=77ab"),
        ("loss=mine.py:Mine", "loss.weight=2.0", "loss.code-digest=77ab"),
        ("loss=cross_entropy",),
    ]
    (found,) = method_differences(groups)
    assert [side.words for side in found.sides] == [
        "mine.py:Mine, weight 1.0, code-digest 3f0c",
        "mine.py:Mine, weight 1.0, code-digest 77ab",
        "mine.py:Mine, weight 2.0, code-digest 77ab",
        "cross_entropy",
    ]
