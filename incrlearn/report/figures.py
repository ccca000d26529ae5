"""The figures of all groups, drawn from plain numbers within `incrlearn.report.drawing`, which sets their style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log10
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from incrlearn.report.canvas import grow, line_look, new_axes, printable
from incrlearn.report.marks import Mark, expected_mark
from incrlearn.report.series import CostPoint, CurvePoint, Expectation

_WIDE = (520, 340)
_MOST_TICKS = 12
_LEGEND_WIDTH = 62


@dataclass(frozen=True)
class CurveLine:
    """The curve of a group."""

    label: str
    mark: Mark
    points: tuple[CurvePoint, ...]


@dataclass(frozen=True)
class CostMark:
    """A group where parameters and accuracy meet."""

    label: str
    mark: Mark
    point: CostPoint


def draw_curves(lines: Sequence[CurveLine], expected: Sequence[Expectation], legend: bool = False) -> Figure:
    """Top-1 on all classes seen against the classes seen: a line and a band from lowest to highest seed each.

    Args:
        lines: the groups; points without a number are left out.
        expected: their last is a star at its classes, their average a dashed line across.
        legend: whether the names are in the figure.
    """
    figure, axes = new_axes(_WIDE)
    for line in lines:
        known = [(point.classes, point.top1) for point in line.points if point.top1 is not None]
        classes = [count for count, _ in known]
        axes.fill_between(
            classes,
            [top1.low for _, top1 in known],
            [top1.high for _, top1 in known],
            color=line.mark.colour,
            alpha=0.15,
            linewidth=0,
        )
        axes.plot(classes, [top1.mean for _, top1 in known], label=line.label, **line_look(line.mark))
    for one in expected:
        if one.average is not None:
            axes.axhline(one.average, color=expected_mark(one.groups).colour, linewidth=1.2, dashes=(4, 3), zorder=1.5)
        if one.last is not None:
            _add_star(axes, one.classes, one.last, one)
    _class_ticks(axes, sorted({point.classes for line in lines for point in line.points}))
    axes.set_xlabel("classes seen")
    axes.set_ylabel("top-1 on all classes seen, %")
    if legend:
        _add_legend(figure, [(line.label, line.mark) for line in lines], expected)
    return figure


def draw_costs(points: Sequence[CostMark], expected: Sequence[Expectation], legend: bool = False) -> Figure:
    """Average top-1 against parameters, mean over tasks; bars from lowest to highest seed both ways.

    Args:
        points: the groups.
        expected: those that tell average and parameters are stars.
        legend: whether the names are in the figure.
    """
    figure, axes = new_axes(_WIDE)
    for one in points:
        parameters, top1 = one.point.parameters, one.point.top1
        axes.errorbar(
            [parameters.mean / 1e6],
            [top1.mean],
            xerr=[[(parameters.mean - parameters.low) / 1e6], [(parameters.high - parameters.mean) / 1e6]],
            yerr=[[top1.mean - top1.low], [top1.high - top1.mean]],
            fmt=one.mark.marker,
            color=one.mark.colour,
            markersize=8,
            elinewidth=1.3,
            capsize=3,
            markeredgecolor="white",
            markeredgewidth=0.6,
        )
    millions = [one.point.parameters.mean / 1e6 for one in points]
    known = []
    for aim in expected:
        if aim.average is not None and aim.parameters is not None:
            known.append(aim)
            millions.append(aim.parameters / 1e6)
            _add_star(axes, millions[-1], aim.average, aim)
    axes.set_xlabel(f"parameters at inference, mean over tasks, millions{_parameter_axis(axes, millions)}")
    axes.set_ylabel("average top-1, %")
    if legend:
        _add_legend(figure, [(one.label, one.mark) for one in points], known)
    return figure


def _add_star(axes: Axes, x: float, y: float, expected: Expectation) -> None:
    colour = expected_mark(expected.groups).colour
    axes.plot([x], [y], "*", color=colour, markerfacecolor="white", markersize=13, zorder=4)


def _add_legend(figure: Figure, names: Sequence[tuple[str, Mark]], expected: Sequence[Expectation]) -> None:
    handles = [Line2D([], [], **line_look(mark)) for _, mark in names]
    handles += [Line2D([], [], **line_look(expected_mark(one.groups), expected=True)) for one in expected]
    labels = [name for name, _ in names] + [f"expected: {one.source}" for one in expected]
    wrapped = [fill(printable(label), _LEGEND_WIDTH) for label in labels]
    grow(figure, sum(label.count("\n") + 1 for label in wrapped) + 1)
    figure.legend(handles, wrapped, loc="outside lower left", frameon=False)


def _class_ticks(axes: Axes, classes: Sequence[int]) -> None:
    gaps = [after - before for before, after in pairwise(classes)]
    crowded = bool(gaps) and min(gaps) * 20 < classes[-1] - classes[0]
    if classes and len(classes) <= _MOST_TICKS and not crowded:
        axes.set_xticks(classes)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _parameter_axis(axes: Axes, millions: Sequence[float]) -> str:
    """Make the axis logarithmic where the numbers are far apart; what to say of it."""
    positive = [value for value in millions if value > 0]
    if len(positive) < len(millions) or not positive or max(positive) < 8 * min(positive):
        return ""
    axes.set_xscale("log")
    decades = log10(max(positive) / min(positive))
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2.5 else (1.0,)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    return " (logarithmic)"
