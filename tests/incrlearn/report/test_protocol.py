"""Each difference between two protocols is found, by itself; what is no difference is not."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from incrlearn import Plugin, Registry, hookimpl, run_recipe
from incrlearn.engine.record import RunRecord, read_record
from incrlearn.recipe import recipe_from_dict
from incrlearn.report.differences import Difference
from incrlearn.report.groups import group_runs
from incrlearn.report.protocol import PROTOCOL, Comparison, compare_groups
from incrlearn.testing import SyntheticData, tiny_recipe
from incrlearn.types import Task

RecordOf = Callable[..., RunRecord]


def compared(*records: RunRecord) -> Comparison:
    return compare_groups(group_runs(records))


def told(differences: Sequence[Difference]) -> list[tuple[str, ...]]:
    """Topic, and what each side has."""
    return [(one.topic, *(side.words for side in one.sides)) for one in differences]


def with_summary(record: RunRecord, **changes: Any) -> RunRecord:
    return replace(record, summary=record.summary | changes)


PROTOCOL_CASES: list[tuple[dict[str, Any], tuple[str, str, str]]] = [
    ({"data.per_class": 10}, ("data", "per_class 20", "per_class 10")),
    ({"data.padding": 2}, ("augmentation", "padding 1", "padding 2")),
    ({"data.flip": True}, ("augmentation", "flip false", "flip true")),
    ({"data.tasks": 2}, ("increments", "3 tasks of 2 classes", "2 tasks of 3 classes")),
    (
        {"data.tasks": None, "data.increment": 1, "data.base": 4},
        ("increments", "3 tasks of 2 classes", "4, then 2 tasks of 1 class"),
    ),
    ({"data.tasks": 2, "data.classes": 4}, ("increments", "3 tasks of 2 classes", "2 tasks of 2 classes")),
    ({"data.order": "natural"}, ("class order", "shuffled by seed 1", "natural")),
    ({"data.order": "reverse"}, ("class order", "shuffled by seed 1", "reverse")),
    ({"data.order": 5}, ("class order", "shuffled by seed 1", "shuffled by seed 5")),
    ({"data.order": [3, 1, 0, 2, 5, 4]}, ("class order", "shuffled by seed 1", "listed, 3, 1, 0, 2, 5, 4")),
    ({"plugins.memory.total": 2400}, ("memory", "18 in all", "2,400 in all")),
    ({"plugins.memory": {"use": "herding", "per_class": 3}}, ("memory", "18 in all", "3 per class")),
    ({"plugins.memory": None, "plugins.balance": None}, ("memory", "18 in all", "none")),
    ({"backbone.name": "resnet34"}, ("backbone", "resnet18", "resnet34")),
    ({"backbone.stem": "default"}, ("backbone", "stem cifar", "stem default")),
    (
        {"backbone.options": {"layers": [1] * 4, "channels": [8, 8, 8, 16]}},
        ("backbone", "channels [8, 8, 8, 8]", "channels [8, 8, 8, 16]"),
    ),
    ({"plugins.train.epochs": 4}, ("epochs", "3", "4")),
    ({"plugins.train.first": {"epochs": 5}}, ("epochs", "3", "5 in the first task, then 3")),
]


@pytest.mark.parametrize(("changes", "difference"), PROTOCOL_CASES, ids=lambda case: str(case)[:50])
def test_a_difference_of_protocol_is_found_and_nothing_else(
    record_of: RecordOf, changes: dict[str, Any], difference: tuple[str, str, str]
) -> None:
    found = compared(record_of(), record_of(changes))
    assert told(found.protocol) == [difference]
    assert difference[0] in PROTOCOL
    assert found.training == ()
    assert told(found.methods) == ([("balance", "balanced_head", "none")] if "plugins.balance" in changes else [])
    assert found.notes == ()


def test_joint_training_is_another_protocol(record_of: RecordOf) -> None:
    alone = {"plugins.memory": None, "plugins.balance": None}
    found = compared(record_of(alone), record_of({**alone, "data.cumulative": True}))
    ((topic, separate, joint),) = told(found.protocol)
    assert (topic, separate) == ("increments", "3 tasks of 2 classes")
    assert joint == "3 tasks of 2 classes, each with the data of all classes seen"


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("batch", 32, ("batch 16", "batch 32")),
        ("lr", 0.1, ("lr 0.05", "lr 0.1")),
        ("milestones", [1], ("milestones [2]", "milestones [1]")),
        ("warmup", 0, ("warmup 1", "warmup 0")),
        ("first", {"lr": 0.2, "warmup": 1}, ("first.lr none", "first.lr 0.2")),
    ],
)
def test_a_difference_of_the_schedule_is_one_of_training(
    record_of: RecordOf, option: str, value: object, words: tuple[str, str]
) -> None:
    found = compared(record_of(), record_of({f"plugins.train.{option}": value}))
    assert told(found.training) == [("training", *words)]
    assert found.protocol == ()
    assert found.methods == ()


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"plugins.memory.use": "random"}, ("memory", "herding", "random")),
        ({"plugins.network.start": "fresh"}, ("network", "start previous", "start fresh")),
        ({"plugins.head.bias": True}, ("head", "bias false", "bias true")),
        ({"plugins.auxiliary": None}, ("auxiliary", "auxiliary", "none")),
        ({"plugins.train.fresh_heads": False}, ("train", "fresh_heads true", "fresh_heads false")),
        ({"plugins.balance.epochs": 4}, ("balance", "epochs 2", "epochs 4")),
    ],
    ids=lambda case: str(case)[:40],
)
def test_a_difference_of_method_is_no_difference_of_protocol(
    record_of: RecordOf, changes: dict[str, Any], difference: tuple[str, str, str]
) -> None:
    found = compared(record_of(), record_of(changes))
    assert told(found.methods) == [difference]
    assert found.protocol == ()
    assert found.training == ()


def test_the_order_of_the_plugins_is_of_the_method(record_of: RecordOf) -> None:
    rows = tiny_recipe()["plugins"]
    loss = rows.pop("loss")
    found = compared(record_of(), record_of({"plugins": {**rows, "loss": loss}}))
    assert [one.topic for one in found.methods] == ["order of the plug-ins"]
    assert found.protocol == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"data.tasks": None, "data.increment": 2},
        {"data.tasks": None, "data.increments": [2, 2, 2]},
        {"data.order": 1},
        {"plugins.train.first": {"epochs": 3, "lr": 0.05}},
    ],
    ids=str,
)
def test_the_same_written_in_another_way_is_no_difference(record_of: RecordOf, changes: dict[str, Any]) -> None:
    found = compared(record_of(), record_of(changes, name="rewritten"))
    assert (found.protocol, found.training, found.methods) == ((), (), ())


def test_fewer_classes_of_the_same_order_are_told_under_increments_alone(record_of: RecordOf) -> None:
    found = compared(record_of(), record_of({"data.classes": 4, "data.tasks": 2}, name="part"))
    assert [one.topic for one in found.protocol] == ["increments"]


def test_orders_by_seed_are_compared_by_the_seeds_that_ran(record_of: RecordOf) -> None:
    other = {"plugins.auxiliary": None}
    seeds = [record_of({"seed": seed}) for seed in (1, 2)]
    found = compared(*seeds, record_of(other, name="other"))
    assert told(found.protocol) == [("class order", "shuffled by seeds 1, 2", "shuffled by seed 1")]
    found = compared(*seeds, *(record_of({"seed": seed, **other}, name="other") for seed in (2, 1)))
    assert found.protocol == ()
    assert told(found.notes) == []


def test_orders_of_one_name_that_are_not_the_same_are_told_by_their_classes(record_of: RecordOf) -> None:
    record = record_of({"data.order": "reverse"})
    classes = record.summary["classes"]
    swapped = with_summary(record_of({"data.order": "reverse"}, name="other"), classes=[*classes[1:], classes[0]])
    ((topic, one, other),) = told(compared(record, swapped).protocol)
    assert topic == "class order"
    assert one.startswith("reverse: pattern 5, pattern 4")
    assert other.startswith("reverse: pattern 4, pattern 3")


def test_other_images_under_the_same_options_are_a_difference_of_data(record_of: RecordOf) -> None:
    found = compared(record_of(), with_summary(record_of(), data="f" * 64))
    ((topic, _, other),) = told(found.protocol)
    assert (topic, other) == ("data", "images and labels of digest ffffffff")


def test_other_data_sets_are_told_by_their_names_and_subsets(record_of: RecordOf) -> None:
    small = record_of()
    data = {"use": "cifar100", "train_per_class": 125, "workers": 4}
    large = replace(record_of(name="large"), recipe=small.recipe | {"data": small.recipe["data"] | data})
    assert told(compared(small, large).protocol) == [
        ("data", "synthetic", "cifar100, 125 training images of each class")
    ]
    whole = replace(large, recipe=large.recipe | {"data": large.recipe["data"] | {"train_per_class": None}})
    assert told(compared(large, whole).protocol) == [
        ("data", "125 training images of each class", "all training images")
    ]


def test_how_many_processes_read_images_is_no_difference(record_of: RecordOf) -> None:
    record = record_of()
    more = replace(record_of(), recipe=record.recipe | {"data": record.recipe["data"] | {"workers": 8}})
    found = compared(record, more)
    assert (found.protocol, found.methods, found.notes) == ((), (), ())


def test_a_memory_is_matched_by_its_kind_and_not_by_its_key(record_of: RecordOf) -> None:
    rows = tiny_recipe()["plugins"]
    renamed = {("rehearsal" if key == "memory" else key): row for key, row in rows.items()}
    found = compared(record_of(), record_of({"plugins": renamed}, name="other"))
    assert (found.protocol, found.methods) == ((), ())
    larger = record_of({"plugins": {**renamed, "rehearsal": {"use": "random", "total": 24}}}, name="larger")
    found = compared(record_of(), larger)
    assert told(found.protocol) == [("memory", "18 in all", "24 in all")]
    assert told(found.methods) == [("memory", "herding", "random")]


class Vault(Plugin):
    """A memory whose options nobody else knows."""

    kind = "memory"
    provides = frozenset({"exemplars"})

    class Config(Plugin.Config):
        megabytes: float = 1.0
        policy: str = "oldest"

    @hookimpl
    def memory_quota(self, task: Task) -> int:
        return 3

    @hookimpl
    def rank_exemplars(self, features: Tensor, quota: int) -> Tensor:
        return features[:, 0].argsort()[:quota]


def test_all_options_of_an_unknown_memory_are_its_budget(record_of: RecordOf) -> None:
    def vault(**options: object) -> RunRecord:
        return record_of({"plugins.memory": {"use": "vault", **options}}, plugins={"vault": Vault})

    found = compared(record_of(), vault(), vault(megabytes=2.0))
    assert told(found.protocol) == [
        ("memory", "18 in all", "vault (megabytes 1.0, policy oldest)", "vault (megabytes 2.0, policy oldest)")
    ]
    assert told(found.methods) == [("memory", "herding", "vault")]
    # What the budget tells is not told again as a difference of method.
    assert compared(vault(), vault(megabytes=2.0)).methods == ()


def test_loggers_are_never_a_difference(record_of: RecordOf) -> None:
    with_log = record_of({"plugins.log": {"use": "jsonl"}})
    with_other_log = record_of({"plugins.log": {"use": "jsonl", "file": "rows.jsonl"}}, name="other")
    found = compared(with_log, with_other_log, record_of(name="without"))
    assert (found.protocol, found.training, found.methods, found.notes) == ((), (), (), ())


def test_seeds_precision_hardware_and_versions_are_notes(record_of: RecordOf) -> None:
    record = record_of()
    other = with_summary(
        record_of({"seed": 2, "data.order": 1}, name="other"),
        precision="bf16",
        hardware=record.summary["hardware"] | {"name": "another machine"},
        versions=record.summary["versions"] | {"torch": "9.9"},
    )
    found = compared(record, other)
    assert found.protocol == ()
    assert [one.topic for one in found.notes] == ["seeds", "precision", "hardware", "versions"]
    assert told(found.notes)[0] == ("seeds", "1", "2")
    assert told(found.notes)[2][2] == "another machine"
    assert told(found.notes)[3][2] == "torch 9.9"


def test_any_number_of_groups_are_gathered_by_what_they_have(record_of: RecordOf) -> None:
    budgets = {"a": 18, "b": 24, "c": 18, "d": 30}
    records = [record_of({"plugins.memory.total": total}, name=name) for name, total in budgets.items()]
    (found,) = compared(*records).protocol
    assert [(side.labels, side.words) for side in found.sides] == [
        (("a", "c"), "18 in all"),
        (("b",), "24 in all"),
        (("d",), "30 in all"),
    ]


def test_a_single_group_differs_in_nothing(record_of: RecordOf) -> None:
    found = compared(record_of(), record_of({"seed": 2}))
    assert (found.protocol, found.training, found.methods, found.notes) == ((), (), (), ())


def test_runs_that_were_trained_are_told_apart(tmp_path: Path) -> None:
    for name, rows in (("der", {}), ("replay", {"network": "single", "auxiliary": None, "balance": None})):
        plain = tiny_recipe(**rows, memory={"use": "herding", "total": 18 if name == "der" else 24})
        recipe = recipe_from_dict(plain, Registry.of({"synthetic": SyntheticData}), name)
        run_recipe(recipe, tmp_path / name, device="cpu")
    found = compared(read_record(tmp_path / "der"), read_record(tmp_path / "replay"))
    assert told(found.protocol) == [("memory", "18 in all", "24 in all")]
    assert told(found.methods) == [
        ("network", "expandable", "single"),
        ("auxiliary", "auxiliary", "none"),
        ("balance", "balanced_head", "none"),
    ]
    assert found.training == ()
