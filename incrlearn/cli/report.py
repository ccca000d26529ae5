"""``incrlearn report``: finished runs as one HTML page, and their figures as files."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from incrlearn.cli.consoles import output_console, say
from incrlearn.cli.finished import RunsArgument, short_path, tell_repeats
from incrlearn.errors import OutputError

_LONGEST_NAME = 80
"""Characters of a page's name that are made of the folders' names."""
_DIGEST = 8
_HEAD_BYTES = 10_000
"""Of a page; its head begins with who made it."""


def report(
    runs: RunsArgument,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The page, by default report-DIR.html right here; an earlier page of that name is overwritten.",
        ),
    ] = None,
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
    from incrlearn.report.repeats import each_seed_once

    out = out if out is not None else default_page(runs)
    _refuse_to_overwrite(out)
    records, unfinished = read_runs(runs)
    if not records:
        names = ", ".join(map(short_path, unfinished))
        raise OutputError(f"none of the runs is finished: {names}; go on with them by --resume")
    counted, repeats = each_seed_once(records)
    groups = group_runs(counted)
    gallery = make_gallery(groups)
    write_page(out, render_page(groups, unfinished, gallery, repeats))
    console = output_console()
    if unfinished:
        say(console, f"left out, not finished: {', '.join(map(short_path, unfinished))}")
    tell_repeats(console, repeats)
    say(console, f"written, for a browser: {out.resolve()} (runs {len(counted)}, groups {len(groups)})")
    if png is not None:
        say(console, f"{png}: figures {len(write_pngs(gallery, png))}")


def default_page(runs: Sequence[Path]) -> Path:
    """A file right here that is named after what was given: another one for each report of other folders.

    ``report-runs-der_digits.html`` for ``runs/der_digits``; where a folder does not lie below the current one, a digest
    of its place is in the name.

    Args:
        runs: at least one.
    """
    here = Path.cwd()
    # Links are not followed: whoever has linked runs/ to another disk names it as runs/ all the same.
    given = (Path(os.path.normpath(run.absolute())) for run in runs)
    words = "-".join(dict.fromkeys(_page_words(run, here) for run in given))
    if len(words) > _LONGEST_NAME:
        words = f"{words[: _LONGEST_NAME - _DIGEST]}-{_digest(words)}"
    return Path(f"report-{words}.html")


def _page_words(run: Path, here: Path) -> str:
    if run == here or not run.is_relative_to(here):
        words = [run.name] if run == here else [run.name, _digest(str(run))]
    else:
        words = list(run.relative_to(here).parts)
    return re.sub(r"[^\w.]+", "-", "-".join(words)).strip("-")


def _digest(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:_DIGEST]


def _refuse_to_overwrite(out: Path) -> None:
    """Refuse a file that is neither empty nor a page of ours; one that cannot be read is told when it is written."""
    try:
        with out.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError:
        return
    if head and b'<meta name="generator" content="incrlearn ' not in head:
        raise OutputError(f"{out} is there and no page of incrlearn; name another file with --out")
