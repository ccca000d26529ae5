"""Where groups of runs differ: in their protocol, in how they train, in their method, and in smaller things.

Two numbers can be compared where the protocol is the same: data, augmentation, class order, increments, exemplars kept,
backbone, epochs. What is left under ``plugins`` is the method, the very thing that is compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from incrlearn.engine.record import RunRecord
from incrlearn.report import topics
from incrlearn.report.differences import Difference, difference, option_difference, present, word_difference
from incrlearn.report.groups import Group
from incrlearn.report.methods import method_differences

PROTOCOL = ("data", "augmentation", "increments", "class order", "memory", "backbone", "epochs")
"""The topics of a protocol, in the order in which they are told."""


@dataclass(frozen=True)
class Comparison:
    """All that groups differ in."""

    protocol: tuple[Difference, ...]
    """With any of these, the numbers are not comparable."""
    training: tuple[Difference, ...]
    """How the network is optimised beyond its epochs, which methods choose: part of a difference may come from it."""
    methods: tuple[Difference, ...]
    """What is meant to differ."""
    notes: tuple[Difference, ...]
    """Seeds, precision, hardware, versions."""


def compare_groups(groups: Sequence[Group]) -> Comparison:
    """Everything that ``groups`` differ in; nothing for a single one."""
    firsts = [group.first for group in groups]

    def words(topic: str, tell: Callable[[RunRecord], str]) -> Difference | None:
        return word_difference(topic, groups, [tell(record) for record in firsts])

    def options(
        topic: str, tell: Callable[[RunRecord], dict[str, Any]], say: Callable[[dict[str, Any]], str]
    ) -> Difference | None:
        return option_difference(topic, groups, [tell(record) for record in firsts], say)

    protocol = [
        options("data", topics.data_set, topics.data_set_words) or _other_images(groups),
        options("augmentation", topics.augmentation, topics.option_words),
        words("increments", topics.increments),
        _class_order(groups),
        words("memory", topics.budget),
        options("backbone", topics.backbone, topics.backbone_words),
        words("epochs", topics.epochs),
    ]
    training = options("training", topics.training, topics.option_words)
    return Comparison(present(protocol), present([training]), method_differences(groups), _notes(groups))


def _other_images(groups: Sequence[Group]) -> Difference | None:
    """Data sets of one name and the same options that are not the same."""
    digests = [group.first.summary["data"] for group in groups]
    words = [f"images and labels of digest {digest[:8]}" for digest in digests]
    return difference("data", groups, digests, words)


def _class_order(groups: Sequence[Group]) -> Difference | None:
    """By the classes that came, not by how a recipe asks for them, where all are classes of one data set.

    Only as far as all of them go: fewer classes of the same order are told under increments.
    """
    words = [topics.order_words(group.runs) for group in groups]
    if len({group.first.recipe["data"]["use"] for group in groups}) > 1:
        return word_difference("class order", groups, words)
    shortest = min(len(topics.class_order(run)) for group in groups for run in group.runs)
    orders = [sorted({topics.class_order(run)[:shortest] for run in group.runs}) for group in groups]
    found = difference("class order", groups, orders, words)
    if found is not None and len({side.words for side in found.sides}) < len(found.sides):
        words = [f"{said}: {topics.first_of(own[0])}" for said, own in zip(words, orders, strict=True)]
        return difference("class order", groups, orders, words)
    return found


def _notes(groups: Sequence[Group]) -> tuple[Difference, ...]:
    def over_runs(topic: str, tell: Callable[[RunRecord], str]) -> Difference | None:
        return word_difference(topic, groups, [_each(tell(run) for run in group.runs) for group in groups])

    packages = dict.fromkeys(name for group in groups for run in group.runs for name in run.summary["versions"])
    versions = [
        {name: _each(run.summary["versions"].get(name, "none") for run in group.runs) for name in packages}
        for group in groups
    ]
    return present(
        [
            word_difference("seeds", groups, [", ".join(map(str, group.seeds)) for group in groups]),
            over_runs("precision", lambda run: str(run.summary["precision"])),
            over_runs("eval_batch", lambda run: str(run.recipe["eval_batch"])),
            over_runs("hardware", _hardware),
            option_difference("versions", groups, versions, topics.option_words),
        ]
    )


def _hardware(run: RunRecord) -> str:
    """All that the run computed on: one that was resumed may have changed machines."""
    rows = [row.get("hardware") for row in run.summary["tasks"]]
    return _each(str(name) for name in [*rows, run.summary["hardware"]["name"]] if name is not None)


def _each(words: Iterable[str]) -> str:
    """Each once, in order."""
    return ", ".join(dict.fromkeys(words))
