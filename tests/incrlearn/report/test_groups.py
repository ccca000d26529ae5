"""Runs gathered into groups: what belongs together, means, and labels that tell groups apart."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from incrlearn import OutputError
from incrlearn.engine.record import RunRecord
from incrlearn.report.groups import flatten, group_runs, read_runs

RecordOf = Callable[..., RunRecord]


def test_runs_that_differ_only_in_seed_and_loggers_are_one_group(record_of: RecordOf) -> None:
    records = [
        record_of({"seed": 2}, top1=50.0),
        record_of({"seed": 1, "plugins.log": {"use": "jsonl"}}, top1=70.0),
        record_of({"plugins.memory.total": 24}),
    ]
    groups = group_runs(records)
    assert [group.seeds for group in groups] == [(1, 2), (1,)]
    average = groups[0].spread("average")
    assert average is not None
    assert (average.mean, average.n) == (60.0, 2)
    assert groups[0].spread("no such number") is None


def test_runs_on_other_images_are_no_group(record_of: RecordOf) -> None:
    other = record_of()
    other = replace(other, summary=other.summary | {"data": "f" * 64})
    assert [group.distinction for group in group_runs([record_of(), other])][1] == ("data ffffffff",)


def labels(records: list[RunRecord]) -> list[str]:
    return [group.label for group in group_runs(records)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([{}], ["tiny"]),
        ([{}, {"plugins.auxiliary": None}], ["tiny", "tiny without auxiliary"]),
        ([{}, {"plugins.memory.total": 24}], ["tiny memory.total=18", "tiny memory.total=24"]),
        (
            [{}, {"plugins.memory": {"use": "herding", "per_class": 3}}],
            ["tiny memory.total=18", "tiny memory.per_class=3"],
        ),
        (
            [
                {"plugins.balance": None},
                {"plugins.balance": None, "plugins.memory.use": "random"},
                {"plugins.balance": None, "plugins.memory": None},
            ],
            ["tiny memory=herding", "tiny memory=random", "tiny without memory"],
        ),
        ([{}, {"plugins.memory.use": "random"}], ["tiny memory=herding", "tiny memory=random"]),
        ([{}, {"plugins.train.lr": 0.1, "plugins.train.batch": 32, "data.flip": True}], ["tiny #1", "tiny #2"]),
    ],
    ids=str,
)
def test_labels_tell_groups_of_one_recipe_apart(
    record_of: RecordOf, changes: list[dict[str, Any]], expected: list[str]
) -> None:
    assert labels([*(record_of(change) for change in changes), record_of(name="other")]) == [*expected, "other"]


def test_groups_with_nothing_to_say_of_their_difference_are_numbered(record_of: RecordOf) -> None:
    rows = dict(reversed(record_of().recipe["plugins"].items()))
    assert labels([record_of(), record_of({"plugins": rows})]) == ["tiny #1", "tiny #2"]


def test_groups_of_one_recipe_stand_beside_one_another(record_of: RecordOf) -> None:
    records = [record_of(), record_of(name="other"), record_of({"plugins.memory.total": 24})]
    assert [group.label for group in group_runs(records)] == [
        "tiny memory.total=18",
        "tiny memory.total=24",
        "other",
    ]


def test_unfinished_runs_are_named_and_not_read(record_of: RecordOf, tmp_path: Path) -> None:
    record = record_of()
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "recipe.yaml").write_text("seed: 1\n")
    records, unfinished = read_runs([tmp_path])
    assert [one.run_dir.name for one in records] == [record.run_dir.name]
    assert [path.name for path in unfinished] == ["open"]


def test_all_damaged_runs_are_told_at_once(record_of: RecordOf, tmp_path: Path) -> None:
    for _ in range(2):
        (record_of().run_dir / "result.json").write_text("{")
    with pytest.raises(OutputError) as caught:
        read_runs([tmp_path])
    assert len(str(caught.value).splitlines()) == 2


def test_flatten_keeps_lists_and_leaves_out_empty_mappings() -> None:
    assert flatten({"a": {"b": 1, "c": {"d": [1, 2]}}, "e": {}, "f": None}) == {"a.b": 1, "a.c.d": [1, 2], "f": None}


def test_an_ablation_s_names_are_the_labels_where_all_groups_have_one(record_of: RecordOf) -> None:
    base, without = record_of(), record_of({"plugins.auxiliary": None})
    named = [replace(base, variant="the whole"), replace(without, variant="no auxiliary")]
    assert [group.label for group in group_runs(named)] == ["the whole", "no auxiliary"]
    for unnamed in ([named[0], without], [named[0], replace(without, variant="the whole")]):
        assert [group.label for group in group_runs(unnamed)] == ["tiny", "tiny without auxiliary"]
