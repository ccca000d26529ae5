"""A difference between groups of runs: who has what."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from incrlearn.report.groups import Group


@dataclass(frozen=True)
class Side:
    """Groups that agree with one another where they differ from others."""

    labels: tuple[str, ...]
    words: str
    """What they have."""


@dataclass(frozen=True)
class Difference:
    """What some groups have other than others."""

    topic: str
    sides: tuple[Side, ...]
    """Two at least, in the order of the groups."""


def difference(
    topic: str, groups: Sequence[Group], values: Sequence[object], words: Sequence[str]
) -> Difference | None:
    """Who has which value, said in words; None where all have the same.

    Args:
        topic: what it is about.
        groups: whose values they are.
        values: plain, one for each group.
        words: each value as a person reads it.
    """
    sides: dict[str, tuple[list[str], str]] = {}
    for group, value, said in zip(groups, values, words, strict=True):
        sides.setdefault(json.dumps(value, sort_keys=True), ([], said))[0].append(group.label)
    if len(sides) < 2:
        return None
    return Difference(topic, tuple(Side(tuple(labels), said) for labels, said in sides.values()))


def word_difference(topic: str, groups: Sequence[Group], words: Sequence[str]) -> Difference | None:
    """As `difference`, where the words are the values."""
    return difference(topic, groups, words, words)


def option_difference(
    topic: str, groups: Sequence[Group], options: Sequence[dict[str, Any]], say: Callable[[dict[str, Any]], str]
) -> Difference | None:
    """As `difference`, of options: only those that are not the same everywhere are told.

    Args:
        topic: what it is about.
        groups: whose options they are.
        options: one mapping for each group; an option that is missing counts as null.
        say: puts some options into words.
    """
    keys = differing_keys(options)
    parts = [{key: own.get(key) for key in keys} for own in options]
    return difference(topic, groups, parts, [say(part) for part in parts])


def differing_keys(options: Sequence[dict[str, Any]]) -> list[str]:
    """The keys whose values are not the same in all mappings, a missing one being null."""
    keys = dict.fromkeys(key for own in options for key in own)
    return [key for key in keys if len({json.dumps(own.get(key), sort_keys=True) for own in options}) > 1]


def present(found: Sequence[Difference | None]) -> tuple[Difference, ...]:
    """Those that are there."""
    return tuple(one for one in found if one is not None)
