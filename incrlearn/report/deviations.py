"""What one resolved recipe has other than another, path by path; pure functions of plain values."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from incrlearn.report.groups import flatten, show_value
from incrlearn.report.topics import SPEED_ONLY

ORDER = "data.order"
_ASIDE = frozenset({"seed", "precision", "eval_batch", "expected.source", *(f"data.{key}" for key in SPEED_ONLY)})
"""What a run may have other than its recipe and still follow the whole protocol."""


@dataclass(frozen=True)
class Deviation:
    """A setting that a run has other than its recipe."""

    path: str
    """Dotted."""
    wanted: str | None
    """In the recipe, in words; None where it is not there."""
    got: str | None
    """In the run, likewise."""


def find_deviations(wanted: dict[str, Any], got: dict[str, Any], logs: Collection[str] = ()) -> tuple[Deviation, ...]:
    """Every difference between two recipes that can change what a number means.

    Aside are the seed, how it is computed (precision, batches of the evaluation, processes that read images), loggers,
    and the words in which the source is named.

    Args:
        wanted: a resolved recipe; see `incrlearn.Recipe.resolved`.
        got: another.
        logs: the keys of rows that only log, in either.
    """
    rows, own_rows = ({k: row for k, row in plain["plugins"].items() if k not in logs} for plain in (wanted, got))
    before, after = ({k: value for k, value in plain.items() if k != "plugins"} for plain in (wanted, got))
    found = [one for one in _options("", before, after) if one.path not in _ASIDE]
    for key in dict.fromkeys([*rows, *own_rows]):
        found += _row(f"plugins.{key}", rows.get(key), own_rows.get(key))
    orders = [", ".join(key for key in own if key in rows and key in own_rows) for own in (rows, own_rows)]
    if orders[0] != orders[1]:
        found.append(Deviation("the order of plugins", *orders))
    return tuple(found)


def _row(path: str, wanted: dict[str, Any] | None, got: dict[str, Any] | None) -> list[Deviation]:
    """A row that is missing, added or of another plug-in is one deviation, whatever its options."""
    if wanted is None or got is None:
        return [Deviation(path, *(row["use"] if row is not None else None for row in (wanted, got)))]
    if wanted["use"] != got["use"]:
        return [Deviation(f"{path}.use", wanted["use"], got["use"])]
    return _options(f"{path}.", wanted, got)


def _options(prefix: str, wanted: dict[str, Any], got: dict[str, Any]) -> list[Deviation]:
    """An option that is missing counts as null: a mapping may be null as a whole."""
    flats = [flatten(wanted, prefix), flatten(got, prefix)]
    return [
        Deviation(path, *(show_value(flat[path]) if path in flat else None for flat in flats))
        for path in dict.fromkeys(path for flat in flats for path in flat)
        if json.dumps(flats[0].get(path)) != json.dumps(flats[1].get(path))
    ]
