"""Which figures groups of runs give, each with its name and its words; drawn into a page or written as files."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from incrlearn.errors import OutputError
from incrlearn.report.canvas import draw_key
from incrlearn.report.drawing import to_png, to_svg
from incrlearn.report.figures import CostMark, CurveLine, draw_costs, draw_curves
from incrlearn.report.groups import Group
from incrlearn.report.marks import expected_mark, mark_of
from incrlearn.report.panels import draw_kept, draw_matrix, draw_scale
from incrlearn.report.series import (
    Expectation,
    accuracy_curve,
    cost_point,
    expectations,
    kept_layers,
    mean_matrix,
)

_LONGEST_STEM = 60


@dataclass(frozen=True)
class Plot:
    """A figure that can be drawn, for a page or to stand alone."""

    name: str
    """Of letters, digits and hyphens; another for each."""
    words: str
    """What is seen, for those who do not see it."""
    within: Callable[[], Figure]
    """Draw it for a page, which has names and legends beside it."""
    alone: Callable[[], Figure]
    """Draw it with title and legend."""

    def svg(self) -> str:
        """As an element of the page."""
        return to_svg(self.within, self.name, self.words)


@dataclass(frozen=True)
class Panel:
    """The figure of one group."""

    position: int
    """Of the group."""
    plot: Plot


@dataclass(frozen=True)
class Gallery:
    """All figures of a report."""

    curves: Plot
    matrices: tuple[Panel, ...]
    """One a group."""
    costs: Plot | None
    """None where no group tells parameters and accuracy."""
    kept: tuple[Panel, ...]
    """One for each group that was pruned and tells of its layers."""
    expected: tuple[Expectation, ...]

    def plots(self) -> list[Plot]:
        """Each once."""
        panels = [panel.plot for panel in (*self.matrices, *self.kept)]
        return [self.curves, *panels, *([self.costs] if self.costs is not None else [])]


def make_gallery(groups: Sequence[Group]) -> Gallery:
    """The figures of at least one group; nothing is drawn yet."""
    expected = expectations(groups)
    return Gallery(
        curves=_curves(groups, expected),
        matrices=tuple(_matrix(position, group) for position, group in enumerate(groups)),
        costs=_costs(groups, expected),
        kept=tuple(_kept(position, group) for position, group in enumerate(groups) if kept_layers(group)),
        expected=expected,
    )


def scale_svg() -> str:
    """The colours of the matrices."""
    return to_svg(draw_scale, "scale", "Scale of the colours from 0 % (dark) to 100 % (light)")


def group_key_svg(position: int) -> str:
    """What stands for the group at ``position`` in the figures."""
    return to_svg(partial(draw_key, mark_of(position)), f"key-{position}", None)


def expected_key_svg(number: int, expected: Expectation) -> str:
    """What stands for an expectation, the ``number``-th of the page."""
    return to_svg(partial(draw_key, expected_mark(expected.groups), expected=True), f"expected-{number}", None)


def write_pngs(gallery: Gallery, folder: Path) -> list[Path]:
    """Write every figure as ``<name>.png``, over files of that name; the paths.

    Raises:
        OutputError: the folder cannot be made or written to.
    """
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for plot in gallery.plots():
            path = folder / f"{plot.name}.png"
            path.write_bytes(to_png(plot.alone))
            written.append(path)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror}); name another with --png") from error
    return written


def _curves(groups: Sequence[Group], expected: Sequence[Expectation]) -> Plot:
    lines = [CurveLine(group.label, mark_of(at), accuracy_curve(group)) for at, group in enumerate(groups)]
    ends = [
        f"{line.label} ends at {line.points[-1].top1.mean:.1f} %" for line in lines if line.points[-1].top1 is not None
    ]
    words = f"Line chart of top-1 accuracy against classes seen, one line a group: {'; '.join(ends)}"
    draw = partial(draw_curves, lines, expected)
    return Plot("accuracy-curve", words, draw, partial(draw, legend=True))


def _matrix(position: int, group: Group) -> Panel:
    matrix = mean_matrix(group)
    words = f"Heat map of the accuracy matrix of {group.label}, {len(matrix)} tasks"
    name = _name("accuracy-matrix", position, group)
    draw = partial(draw_matrix, matrix)
    return Panel(position, Plot(name, words, draw, partial(draw, title=group.label)))


def _costs(groups: Sequence[Group], expected: Sequence[Expectation]) -> Plot | None:
    found = [(group.label, mark_of(at), cost_point(group)) for at, group in enumerate(groups)]
    points = [CostMark(label, mark, point) for label, mark, point in found if point is not None]
    if not points:
        return None
    told = [
        f"{one.label}: {one.point.parameters.mean / 1e6:.3g} million, {one.point.top1.mean:.1f} %" for one in points
    ]
    words = f"Scatter chart of average top-1 accuracy against parameters: {'; '.join(told)}"
    draw = partial(draw_costs, points, expected)
    return Plot("parameters", words, draw, partial(draw, legend=True))


def _kept(position: int, group: Group) -> Panel:
    layers = kept_layers(group)
    words = f"Bar chart of the channels that {group.label} kept in each of {len(layers)} layers"
    name = _name("kept-channels", position, group)
    draw = partial(draw_kept, layers, mark_of(position))
    return Panel(position, Plot(name, words, draw, partial(draw, title=group.label)))


def _name(what: str, position: int, group: Group) -> str:
    """Such as ``accuracy-matrix-1-der-digits``: fit for a file and for an id."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", group.label).strip("-").lower()[:_LONGEST_STEM]
    return f"{what}-{position + 1}-{words}".strip("-")
