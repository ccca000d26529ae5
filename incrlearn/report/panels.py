"""The figures of one group, drawn from plain numbers within `incrlearn.report.drawing`, which sets their style."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from incrlearn.report.canvas import add_title, new_axes, printable
from incrlearn.report.marks import Mark
from incrlearn.report.series import KeptLayer, Matrix

_PANEL = 320
_COLOURS = "viridis"
_MOST_TICKS = 12
_LONGEST_NAME = 26
_MOST_NUMBERS = 12
"""Tasks up to which the cells of a matrix hold their numbers."""
_MOST_CELLS = 25
"""Tasks up to which each cell of a matrix is a shape of its own; more are one image."""


def draw_matrix(matrix: Matrix, title: str = "") -> Figure:
    """The accuracy matrix as a lower triangle: after which task (downwards), on the classes of which (rightwards).

    Args:
        matrix: percent; entries of None stay empty.
        title: with one, the figure stands alone and has its own scale of colours.
    """
    tasks = len(matrix)
    figure, axes = new_axes((_PANEL + (110 if title else 0), _PANEL - 10))
    cells = [[_or_nan(row[i]) if i < len(row) else float("nan") for i in range(tasks)] for row in matrix]
    edges = [position + 0.5 for position in range(tasks + 1)]
    many = tasks > _MOST_CELLS
    look: dict[str, Any] = {"rasterized": True} if many else {"edgecolors": "white", "linewidth": 1.0}
    axes.pcolormesh(edges, edges, cells, cmap=_COLOURS, vmin=0, vmax=100, **look)
    if tasks <= _MOST_NUMBERS:
        for after, row in enumerate(cells, start=1):
            for learned, value in enumerate(row, start=1):
                if isfinite(value):
                    # Viridis is dark below and light above.
                    ink = "white" if value < 60 else "black"
                    axes.text(learned, after, f"{value:.0f}", ha="center", va="center", color=ink, fontsize=11)
    axes.set_aspect("equal")
    axes.grid(visible=False)
    axes.invert_yaxis()
    axes.spines[["left", "bottom"]].set_visible(False)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(_MOST_TICKS, integer=True, min_n_ticks=1))
    axes.set_xlim(0.5, tasks + 0.5)
    axes.set_ylim(tasks + 0.5, 0.5)
    axes.tick_params(length=0)
    axes.set_xlabel("on the classes of task")
    axes.set_ylabel("after task")
    if title:
        figure.colorbar(_scale(), ax=axes, label="top-1, %", shrink=0.8)
        add_title(figure, axes, title)
    return figure


def draw_scale() -> Figure:
    """The colours of the matrices, with their percentages."""
    figure, axes = new_axes((_PANEL, 64))
    bar = figure.colorbar(_scale(), cax=axes, orientation="horizontal", label="top-1, %", ticks=[0, 25, 50, 75, 100])
    bar.outline.set_visible(False)
    return figure


def draw_kept(layers: Sequence[KeptLayer], mark: Mark, title: str = "") -> Figure:
    """Channels kept of each layer, in percent of those there were, from lowest to highest task and seed.

    Args:
        layers: from the input on, which is on top.
        mark: of the group.
        title: of a figure that stands alone.
    """
    figure, axes = new_axes((440, 24 * len(layers) + 64))
    rows = range(len(layers))
    means = [layer.share.mean for layer in layers]
    axes.barh(rows, [100.0] * len(layers), color="#ededed", height=0.62)
    axes.barh(rows, means, color=mark.colour, alpha=0.75, height=0.62)
    axes.errorbar(
        means,
        rows,
        xerr=[
            [layer.share.mean - layer.share.low for layer in layers],
            [layer.share.high - layer.share.mean for layer in layers],
        ],
        fmt="none",
        ecolor="#333333",
        elinewidth=1.1,
        capsize=2.5,
    )
    for row, layer in zip(rows, layers, strict=True):
        full = "/".join(map(str, layer.full))
        axes.text(102, row, f"{layer.channels.mean:.1f} of {full}", va="center", fontsize=11, color="#444444")
    axes.set_yticks(rows, [_short(layer.name) for layer in layers])
    axes.set_ylim(len(layers) - 0.5, -0.5)
    axes.set_xlim(0, 100)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("channels kept, %")
    if title:
        add_title(figure, axes, title)
    return figure


def _scale() -> ScalarMappable:
    return ScalarMappable(Normalize(0, 100), _COLOURS)


def _short(layer: str) -> str:
    """The end of a long name, which tells the layer within its block."""
    name = printable(layer)
    return name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}"


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
