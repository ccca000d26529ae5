"""``incrlearn compare``: finished runs side by side, and a warning where their numbers are not comparable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from incrlearn.cli.consoles import output_console, say
from incrlearn.cli.finished import RunsArgument, digits_of_millions, mean_words, short_path, tell_repeats
from incrlearn.errors import OutputError

if TYPE_CHECKING:
    from rich.console import Console

    from incrlearn.report.differences import Difference
    from incrlearn.report.groups import Group
    from incrlearn.report.protocol import Comparison
    from incrlearn.statistics import Spread

_COLUMNS = (
    ("average", "average\ntop-1, %"),
    ("last", "last\ntop-1, %"),
    ("parameters_average", "average\nparams, M"),
    ("parameters_last", "last\nparams, M"),
)
_MOST_NAMES = 3
"""More names than these on one side of a difference are told by their number."""
_MOST_OPTIONS = 8
"""Options that are shown to tell a group from others of its recipe."""


def compare(
    runs: RunsArgument,
    strict: Annotated[bool, typer.Option("--strict", help="Leave with exit code 1 where protocols differ.")] = False,
) -> None:
    """Put finished runs side by side, and warn where their numbers are not comparable.

    Runs that differ only in their seed are one row. The protocol is what
    must be equal for two numbers to be comparable: data and augmentation,
    increments, class order, exemplars kept, backbone, epochs. Everything
    else about the plug-ins is the method; what the methods differ in is
    listed below the table.
    """
    from incrlearn.report.groups import group_runs, read_runs
    from incrlearn.report.protocol import compare_groups
    from incrlearn.report.repeats import each_seed_once

    records, unfinished = read_runs(runs)
    if not records:
        names = ", ".join(map(short_path, unfinished))
        raise OutputError(f"none of the runs is finished: {names}; go on with them by --resume")
    counted, repeats = each_seed_once(records)
    groups = group_runs(counted)
    found = compare_groups(groups)
    console = output_console()
    if unfinished:
        say(console, f"left out, not finished: {', '.join(map(short_path, unfinished))}")
    tell_repeats(console, repeats)
    _print_warnings(console, found, groups)
    say(console, "average: mean over all tasks; last: after the last task; ±: standard deviation over the n runs")
    console.print(comparison_table(groups))
    _print_differences(console, "methods differ in", found.methods, groups)
    _print_differences(console, "smaller differences", found.notes, groups)
    if strict and found.protocol:
        raise typer.Exit(1)


def comparison_table(groups: Sequence[Group]) -> Table:
    """One row a group: means, and below each the standard deviation over its runs where there are several."""
    table = Table("recipe")
    for heading in ("n", *(heading for _, heading in _COLUMNS)):
        table.add_column(heading, justify="right", no_wrap=True)
    for group in groups:
        cells = [spread_words(group.spread(metric), metric.startswith("parameters")) for metric, _ in _COLUMNS]
        table.add_row(_name_cell(group), str(len(group.runs)), *(Text(cell) for cell in cells))
    return table


def spread_words(spread: Spread | None, parameters: bool) -> str:
    """A mean, and its standard deviation on a second line, so that the columns fit narrow terminals.

    Args:
        spread: top-1 in percent, or parameters; None where it is not known.
        parameters: it is one of parameters, told in millions.
    """
    if spread is None:
        return "-"
    scale = 1e6 if parameters else 1.0
    digits = digits_of_millions(spread.mean / scale) if parameters else 2
    words = mean_words(spread.mean / scale, None if spread.sd is None else spread.sd / scale, digits)
    return words.replace(" ±", "\n±")


def _name_cell(group: Group) -> Text:
    """The label, and below it what distinguishes the group from others of its recipe."""
    if group.label == group.name:
        return Text(group.name)
    name = group.name if group.label.endswith(" ".join(group.distinction)) and group.distinction else group.label
    hidden = len(group.distinction) - _MOST_OPTIONS
    shown = [*group.distinction[:_MOST_OPTIONS], *([f"and {hidden} more"] if hidden > 0 else [])]
    return Text.assemble(name, *((f"\n  {words}", "dim") for words in shown))


def _print_warnings(console: Console, found: Comparison, groups: Sequence[Group]) -> None:
    from incrlearn.report.protocol import PROTOCOL

    if found.protocol:
        console.print(Text("warning: protocols differ, these numbers are not comparable:", style="bold yellow"))
        for difference in found.protocol:
            _print_difference(console, f"{difference.topic} differs", difference, groups)
    elif len(groups) > 1:
        say(console, f"the protocols agree: {', '.join(PROTOCOL)}")
    if found.training:
        say(console, "note: methods may train in their own way, but part of a difference may come from it:")
        for difference in found.training:
            _print_difference(console, f"{difference.topic} differs", difference, groups)


def _print_differences(
    console: Console, title: str, differences: Sequence[Difference], groups: Sequence[Group]
) -> None:
    if differences:
        say(console, f"{title}:")
    for difference in differences:
        _print_difference(console, difference.topic, difference, groups)


def _print_difference(console: Console, topic: str, difference: Difference, groups: Sequence[Group]) -> None:
    """On one line where it fits, else a line a side."""
    names = [short_names(side.labels, groups) for side in difference.sides]
    longest = max(map(len, names))
    sides = []
    for side, own in zip(difference.sides, names, strict=True):
        # Many names at once hide the few that matter; all of them stand in the table.
        many = len(own) == longest > _MOST_NAMES
        who = f"the other {len(side.labels)}" if many else ", ".join(own)
        sides.append((many, f"{who}: {side.words}"))
    words = [said for _, said in sorted(sides, key=lambda side: side[0])]
    line = f"  {topic}: {'; '.join(words)}"
    if len(line) <= console.width:
        say(console, line)
        return
    say(console, f"  {topic}:")
    for said in words:
        say(console, f"    {said}")


def short_names(labels: Sequence[str], groups: Sequence[Group]) -> list[str]:
    """Labels of groups; ``all NAME`` for the groups of a recipe that has several, where all of them are among them."""
    names: dict[str, None] = {}
    for group in groups:
        same = [other.label for other in groups if other.name == group.name]
        whole = len(same) > 1 and all(label in labels for label in same)
        if group.label in labels:
            names[f"all {group.name}" if whole else group.label] = None
    return list(names)
