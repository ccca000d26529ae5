"""Runs as they can be compared: of earlier versions with the options of today, and code as part of what it is of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from incrlearn.engine.record import RunRecord
from incrlearn.errors import IncrlearnError
from incrlearn.recipe import written_from_dict
from incrlearn.registry import Registry, is_local, without_folder

CODE = "code-digest"
"""In a row, the digest of its plug-in's code; no option can be called so, being no identifier."""


def as_comparable(records: Sequence[RunRecord], registry: Registry) -> list[RunRecord]:
    """The records, each recipe with all options that its plug-ins have in ``registry``, and code told in its row.

    Options stay as they were stored where a recipe cannot be read any more, or has a plug-in of a file, which a report
    is not to execute. A file whose code is known is told without its folder.
    """
    return [_with_code_in_rows(_as_read_now(record, registry)) for record in records]


def _with_code_in_rows(record: RunRecord) -> RunRecord:
    plain = dict(record.recipe)
    code = plain.pop("code", {})

    def told(row: dict[str, Any], path: str) -> dict[str, Any]:
        return {**row, "use": without_folder(row["use"]), CODE: code[path]} if path in code else row

    plain["data"] = told(plain["data"], "data")
    plain["plugins"] = {key: told(row, f"plugins.{key}") for key, row in plain["plugins"].items()}
    return replace(record, recipe=plain)


def _as_read_now(record: RunRecord, registry: Registry) -> RunRecord:
    # What tells no format was written when there was one alone.
    record = replace(record, recipe={"format": 1, **record.recipe})
    rows = (record.recipe["data"], *record.recipe["plugins"].values())
    if any(is_local(row["use"]) for row in rows):
        return record
    try:
        return replace(record, recipe=written_from_dict(record.recipe, registry, record.name).resolved())
    except IncrlearnError:
        return record
