"""Runs of earlier versions beside later ones: options that a plug-in has got since stand at their defaults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from incrlearn.engine.record import RunRecord
from incrlearn.errors import IncrlearnError
from incrlearn.recipe import recipe_from_dict
from incrlearn.registry import Registry, is_local


def fill_in_options(records: Sequence[RunRecord], registry: Registry) -> list[RunRecord]:
    """The records, each recipe with all options that its plug-ins have in ``registry``.

    A recipe stays as it was stored where it cannot be read any more, or has a plug-in of a file, which a report is not
    to execute.
    """
    return [_as_read_now(record, registry) for record in records]


def _as_read_now(record: RunRecord, registry: Registry) -> RunRecord:
    # What tells no format was written when there was one alone.
    record = replace(record, recipe={"format": 1, **record.recipe})
    rows = (record.recipe["data"], *record.recipe["plugins"].values())
    if any(is_local(row["use"]) for row in rows):
        return record
    try:
        return replace(record, recipe=recipe_from_dict(record.recipe, registry, record.name).resolved())
    except IncrlearnError:
        return record
