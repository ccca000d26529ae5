"""Runs that differ only in their seed, as one; their mean; and what tells one such group from another."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from incrlearn.engine.record import RunRecord, find_runs, is_finished, is_run, read_record
from incrlearn.errors import OutputError
from incrlearn.registry import Registry
from incrlearn.report.comparable import as_comparable
from incrlearn.statistics import Spread, spread

_LONGEST_LABEL = 40
_DIGEST = 8
_LOG = "log"


@dataclass(frozen=True, eq=False)
class Group:
    """At least one run of one recipe; several differ only in their seed."""

    label: str
    """Short, and another for each group of a comparison."""
    distinction: tuple[str, ...]
    """What tells it from groups of the same recipe, such as ``memory.total=40``; empty where there is none."""
    runs: tuple[RunRecord, ...]

    @property
    def first(self) -> RunRecord:
        """The run that stands for the settings of all."""
        return self.runs[0]

    @property
    def name(self) -> str:
        """The recipe's name."""
        return self.first.name

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds in rising order."""
        return tuple(sorted(run.seed for run in self.runs))

    def spread(self, metric: str) -> Spread | None:
        """A number of the whole run over the group; None where a run does not have it."""
        values = [run.metric(metric) for run in self.runs]
        known = [value for value in values if value is not None]
        return spread(known) if len(known) == len(values) else None


def read_runs(paths: Sequence[Path]) -> tuple[list[RunRecord], list[Path]]:
    """The finished runs among ``paths`` and below them, and the directories of those that are not finished.

    Recipes are as they can be compared, see `as_comparable`. A file of a run stands for its directory.

    Raises:
        OutputError: a path is not there or holds no run, or runs cannot be read; all of these told at once.
    """
    records, unfinished, problems = [], [], []
    folders = [path.parent if path.is_file() and is_run(path.parent) else path for path in paths]
    for run_dir, variant in find_runs(folders).items():
        if not is_finished(run_dir):
            unfinished.append(run_dir)
            continue
        try:
            records.append(replace(read_record(run_dir), variant=variant))
        except OutputError as error:
            problems.append(str(error))
    if problems:
        raise OutputError("\n".join(problems))
    return as_comparable(records, Registry.discover()), unfinished


def group_runs(records: Sequence[RunRecord]) -> list[Group]:
    """Runs that differ only in their seed, together; groups of one recipe beside one another.

    Otherwise the order is that in which the first run of a recipe, and then of a group, comes.
    """
    found: dict[str, list[RunRecord]] = {}
    for record in records:
        found.setdefault(identity(record), []).append(record)
    names = list(dict.fromkeys(record.name for record in records))
    groups = sorted((tuple(runs) for runs in found.values()), key=lambda runs: names.index(runs[0].name))
    distinctions = [_distinction(runs[0], [other[0] for other in groups]) for runs in groups]
    labels = _variants(groups) or _labels([runs[0].name for runs in groups], distinctions)
    return [Group(*parts) for parts in zip(labels, distinctions, groups, strict=True)]


def identity(record: RunRecord) -> str:
    """The same text for runs that differ only in their seed and in what logs."""
    # Not sorted: the order of the plug-ins is a setting too.
    return json.dumps([record.name, settings(record), record.summary["data"]])


def settings(record: RunRecord) -> dict[str, Any]:
    """The resolved recipe without its seed, what is expected of it, and the plug-ins that only log."""
    plain = {key: value for key, value in record.recipe.items() if key not in ("seed", "expected")}
    return plain | {"plugins": {key: row for key, row in record.recipe["plugins"].items() if not is_log(record, key)}}


def is_log(record: RunRecord, key: str) -> bool:
    """Whether a row of the recipe's plug-ins only logs."""
    return bool(record.summary["kinds"].get(key) == _LOG)


def flatten(plain: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, by dotted path; lists are values, and empty mappings leave nothing."""
    flat: dict[str, Any] = {}
    for key, value in plain.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def show_value(value: object) -> str:
    """A value as a recipe would have it: ``none`` for null, words without quotes."""
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value)


def _of_its_own(row: dict[str, Any], peers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The options of a row that are not the same in all of ``peers``, flat; null ones are told by others."""
    flats = [flatten(peer) for peer in peers]
    mine = flatten(row)
    differing = [path for path in mine if len({json.dumps(flat.get(path)) for flat in flats}) > 1]
    return {path: mine[path] for path in differing if mine[path] is not None}


def _variants(groups: Sequence[Sequence[RunRecord]]) -> list[str] | None:
    """What an ablation calls each group; None where one of them has no such name of its own."""
    names = [{run.variant for run in runs} for runs in groups]
    known = [name for found in names for name in found if name is not None]
    return known if all(len(found) == 1 for found in names) and len(set(known)) == len(groups) else None


def _labels(names: list[str], distinctions: list[tuple[str, ...]]) -> list[str]:
    """A short label a group: the name, with what distinguishes it where that is short, else with a number."""
    labels = [" ".join([name, *words]) for name, words in zip(names, distinctions, strict=True)]
    too_long = {name for name, label in zip(names, labels, strict=True) if len(label) > max(_LONGEST_LABEL, len(name))}
    alike = {name for name, label in zip(names, labels, strict=True) if labels.count(label) > 1}
    for name in too_long | alike:
        positions = [position for position, other in enumerate(names) if other == name]
        for number, position in enumerate(positions, start=1):
            labels[position] = f"{name} #{number}"
    return labels


def _distinction(record: RunRecord, others: Sequence[RunRecord]) -> tuple[str, ...]:
    """What differs among the recipes of the same name, as it is in this one."""
    same = [settings(other) for other in others if other.name == record.name]
    own = settings(record)
    rows = list(dict.fromkeys(key for plain in same for key in plain["plugins"]))
    # A row that another group lacks is told there; one that names another plug-in is told by the name alone.
    words = [f"without {key}" for key in rows if key not in own["plugins"]]
    uneven = {key for key in rows if any(key not in plain["plugins"] for plain in same)}
    uses = {key: {plain["plugins"][key]["use"] for plain in same if key in plain["plugins"]} for key in rows}
    replaced = {key for key, found in uses.items() if len(found) > 1}
    words += [f"{key}={own['plugins'][key]['use']}" for key in rows if key in replaced and key in own["plugins"]]
    skipped = tuple(f"plugins.{key}." for key in uneven | replaced)
    for key in (key for key in rows if key in uneven | replaced and key in own["plugins"]):
        # Beside other plug-ins, what tells it from groups that use the same one.
        row = own["plugins"][key]
        peers = [other for plain in same if (other := plain["plugins"].get(key, {})).get("use") == row["use"]]
        words += [f"{key}.{path}={show_value(value)}" for path, value in _of_its_own(row, peers).items()]
    flats = [flatten(plain) for plain in same]
    for path in dict.fromkeys(path for flat in flats for path in flat):
        values = [json.dumps(flat.get(path)) for flat in flats]
        mine = flatten(own).get(path)
        # What is null here is told by the group that has it: total=40 beside per_class=4.
        if len(set(values)) > 1 and mine is not None and not path.startswith(skipped):
            words.append(f"{path.removeprefix('plugins.')}={show_value(mine)}")
    if len({other.summary["data"] for other in others if other.name == record.name}) > 1:
        words.append(f"data {record.summary['data'][:_DIGEST]}")
    return tuple(words)
