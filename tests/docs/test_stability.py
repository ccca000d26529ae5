"""The promise of stability against the code: the formats that it names are those that are written."""

import re
from pathlib import Path

from incrlearn.engine import checkpoint, rundir
from incrlearn.recipe import options

PAGE = Path(__file__).parents[2] / "docs" / "stability.md"


def test_formats_are_those_that_are_written() -> None:
    rows = dict(re.findall(r"^\| `?([\w.]+)`? \| (\d+) \|", PAGE.read_text(encoding="utf-8"), flags=re.M))
    written = {"recipe": options.FORMAT, "checkpoint": checkpoint.FORMAT, "result.json": rundir.RESULT_FORMAT}
    assert {name: int(number) for name, number in rows.items()} == written
