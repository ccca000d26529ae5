"""``incrlearn report``: finished runs as one HTML page, and their figures as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from incrlearn.cli.consoles import output_console, say
from incrlearn.cli.finished import RunsArgument, short_path, tell_repeated
from incrlearn.errors import OutputError

_PAGE = Path("report.html")
_HEAD_BYTES = 10_000
"""Of a page; its head begins with who made it."""


def report(
    runs: RunsArgument,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="The page, by default right here; an earlier one is overwritten.")
    ] = _PAGE,
    png: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the figures here too, as PNG files.")
    ] = None,
) -> None:
    """Write a page over finished runs: figures, tables, and what their recipes differ in.

    Runs that differ only in their seed are one group: its curve is their mean.
    The page is one HTML file that opens from disk and loads nothing. A file that is no such page is left alone.
    """
    from incrlearn.report.gallery import make_gallery, write_pngs
    from incrlearn.report.groups import group_runs, read_runs
    from incrlearn.report.page import render_page, write_page

    _refuse_to_overwrite(out)
    records, unfinished = read_runs(runs)
    if not records:
        names = ", ".join(map(short_path, unfinished))
        raise OutputError(f"none of the runs is finished: {names}; go on with them by --resume")
    groups = group_runs(records)
    gallery = make_gallery(groups)
    write_page(out, render_page(groups, unfinished, gallery))
    console = output_console()
    if unfinished:
        say(console, f"left out, not finished: {', '.join(map(short_path, unfinished))}")
    tell_repeated(console, records)
    say(console, f"written, for a browser: {out.resolve()} (runs {len(records)}, groups {len(groups)})")
    if png is not None:
        say(console, f"{png}: figures {len(write_pngs(gallery, png))}")


def _refuse_to_overwrite(out: Path) -> None:
    """Refuse a file that is neither empty nor a page of ours; one that cannot be read is told when it is written."""
    try:
        with out.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError:
        return
    if head and b'<meta name="generator" content="incrlearn ' not in head:
        raise OutputError(f"{out} is there and no page of incrlearn; name another file with --out")
