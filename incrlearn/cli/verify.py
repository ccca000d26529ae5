"""``incrlearn verify``: finished runs of a recipe against what is expected of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from incrlearn.cli.consoles import output_console, say
from incrlearn.cli.finished import RunsArgument, digits_of_millions, mean_words, short_path, tell_repeats
from incrlearn.cli.options import read_points
from incrlearn.errors import OutputError

if TYPE_CHECKING:
    from rich.console import Console

    from incrlearn.report.repeats import Repeat
    from incrlearn.report.verify import Check, Verification

_LABELS = {
    "average": "average top-1, %",
    "last": "last top-1, %",
    "parameters_average": "average params, M",
}
_SHORT = 1


def verify(
    runs: RunsArgument,
    tolerance: Annotated[
        float,
        typer.Option(
            parser=read_points,
            metavar="POINTS",
            help="Points of accuracy that count as within. Papers report means of three runs, and a point is what "
            "seeds and class orders make of one run. For parameters it is 10 %.",
        ),
    ] = 1.0,
) -> None:
    """Hold finished runs of one recipe against its expected numbers and its whole protocol.

    Several runs may differ in seed and class order; their mean is taken.

    Exit code 0: nothing falls short, and the protocol was the whole one;
    1: a number falls short, or the protocol was not the whole one;
    2: wrong input.
    """
    from incrlearn.report.groups import read_runs
    from incrlearn.report.repeats import each_seed_once
    from incrlearn.report.verify import verify_runs

    records, unfinished = read_runs(runs)
    if unfinished:
        names = ", ".join(map(short_path, unfinished))
        raise OutputError(f"not finished: {names}; go on with it by --resume, or name the finished runs alone")
    counted, repeats = each_seed_once(records)
    found = verify_runs(counted, tolerance)
    console = output_console()
    _print_protocol(console, found, repeats)
    console.print(check_table(found.checks))
    _print_end(console, found, tolerance)
    if not found.good:
        raise typer.Exit(_SHORT)


def check_table(checks: Sequence[Check]) -> Table:
    """One row an expected number."""
    table = Table()
    table.add_column("", no_wrap=True)
    for heading in ("expected", "got", "n", "difference"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    for check in checks:
        digits = digits_of_millions(check.expected) if check.metric.startswith("parameters") else 2
        table.add_row(
            _LABELS[check.metric],
            f"{check.expected:.{digits}f}",
            mean_words(check.got.mean, check.got.sd, digits),
            str(check.got.n),
            f"{check.difference:+.{digits}f}",
            Text(check.verdict, style="" if check.good else "bold red"),
        )
    return table


def _print_protocol(console: Console, found: Verification, repeats: Sequence[Repeat]) -> None:
    seeds = ", ".join(str(run.seed) for run in found.runs)
    say(console, f"{found.name}, seed{'s' if len(found.runs) > 1 else ''} {seeds}")
    tell_repeats(console, repeats)
    if not found.shipped:
        say(console, f"{found.name} is not a shipped recipe: only the expected block of the run itself is looked at")
    elif not found.deviations:
        say(console, f"the whole protocol: the settings of the shipped {found.name}")
    for deviation in found.deviations:
        got, wanted = deviation.got or "not there", deviation.wanted or "nothing there"
        words = f"{deviation.path} is {got}, the recipe has {wanted}"
        console.print(
            Text("not the whole protocol: ", style="bold yellow").append(words, style="not bold default"),
            soft_wrap=True,
        )
    for order in found.other_orders:
        say(console, f"class order {order}: another one than the recipe's, as papers report the mean over several")


def _print_end(console: Console, found: Verification, tolerance: float) -> None:
    from incrlearn.report.verify import PARAMETER_TOLERANCE, runs_of_source

    points = f"{tolerance:g} point{'s' if tolerance != 1 else ''}"
    say(console, f"within: {points} of accuracy, {PARAMETER_TOLERANCE:g} % of the parameters")
    claimed = runs_of_source(found.source)
    reported = f"; the source reports a mean of {claimed}" if claimed is not None else ""
    say(console, f"{len(found.runs)} run{'s' if len(found.runs) > 1 else ''}{reported}")
    say(console, f"expected: {found.source}")
