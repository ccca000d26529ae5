"""What the methods of groups of runs differ in: the rows under ``plugins``, without what belongs to the protocol."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from incrlearn.engine.record import RunRecord
from incrlearn.report import topics
from incrlearn.report.differences import Difference, difference, differing_keys, present, word_difference
from incrlearn.report.groups import Group, flatten, is_log

_MAIN = "main phase"
_LATER = "later phase"
_NEVER_MATCHED = frozenset({"other"})
"""Kinds whose rows have nothing in common but the word."""
_IN_PROTOCOL = frozenset({"memory", _MAIN})
"""Kinds whose presence the protocol tells of."""
_NONE = "none"


def method_differences(groups: Sequence[Group]) -> tuple[Difference, ...]:
    """Row by row, in the order of the recipes; at the end the order itself where it differs.

    Rows are matched by key; a kind of which no group has two is matched by itself, whatever its row is called.
    """
    kinds = [_row_kinds(group.first) for group in groups]
    crowded = {kind for found in kinds for kind, count in Counter(found.values()).items() if count > 1}
    by_key = crowded | _NEVER_MATCHED
    # Identity of a row -> its key, for each group.
    rows = [{(key if kind in by_key else "", kind): key for key, kind in found.items()} for found in kinds]
    found = []
    for identity in dict.fromkeys(identity for own in rows for identity in own):
        keys = {own[identity] for own in rows if identity in own}
        topic = keys.pop() if len(keys) == 1 else identity[1]
        found.append(_row_difference(topic, identity[1], groups, [own.get(identity) for own in rows]))
    shared = [[identity for identity in own if all(identity in other for other in rows)] for own in rows]
    orders = [", ".join(own[identity] for identity in order) for own, order in zip(rows, shared, strict=True)]
    return present([*found, difference("order of the plug-ins", groups, shared, orders)])


def _row_kinds(record: RunRecord) -> dict[str, str]:
    """The kind of each row that does not only log, by key in order; the main phase is a kind of its own."""
    main = topics.main_phase(record)
    kinds = {}
    for key in record.recipe["plugins"]:
        kind = record.summary["kinds"].get(key, "other")
        if kind == "phase":
            kind = _MAIN if main is not None and key == main[0] else _LATER
        if not is_log(record, key):
            kinds[key] = kind
    return kinds


def _row_difference(topic: str, kind: str, groups: Sequence[Group], keys: Sequence[str | None]) -> Difference | None:
    having = [(group, group.first.recipe["plugins"][key]) for group, key in zip(groups, keys, strict=True) if key]
    rows = [row for _, row in having]
    uses = _short_uses([row["use"] for row in rows])
    options = [_options(kind, row) for row in rows]
    # Options of different plug-ins have nothing to do with one another.
    differing = {
        use: differing_keys([own for other, own in zip(uses, options, strict=True) if other == use]) for use in uses
    }
    lacking = len(having) < len(groups) and kind not in _IN_PROTOCOL
    alone = len(differing) == 1 and not lacking
    words = []
    for use, own in zip(uses, options, strict=True):
        said = [topics.option_words({key: own[key]}) if key in own else f"no {key}" for key in differing[use]]
        words.append(", ".join(said if alone and said else [use, *said]))
    if not lacking:
        return word_difference(topic, [group for group, _ in having], words)
    told = {group.label: said for (group, _), said in zip(having, words, strict=True)}
    return word_difference(topic, groups, [told.get(group.label, _NONE) for group in groups])


def _options(kind: str, row: dict[str, Any]) -> dict[str, Any]:
    """The options of a row that are the method's, flat."""
    aside = {"use"}
    if kind == "memory":
        aside |= {*topics.budget_options(row), "total", "per_class"}
    elif kind == _MAIN:
        # `first` is null as a whole where nothing is different in the first task.
        schedule = {*topics.epoch_options(row), *topics.SCHEDULE}
        aside |= {*schedule, *(f"first.{key}" for key in schedule), *(["first"] if row.get("first") is None else [])}
    whole = {key: value for key, value in row.items() if key not in aside}
    return {path: value for path, value in flatten(whole).items() if path not in aside}


def _short_uses(uses: Sequence[str]) -> list[str]:
    """Plug-ins by name, or by ``file.py:Class`` without the folder where that tells them apart."""
    short = {use: use.replace("\\", "/").rpartition("/")[2] for use in uses}
    unique = len(set(short.values())) == len(short)
    return [short[use] if unique else use for use in uses]
