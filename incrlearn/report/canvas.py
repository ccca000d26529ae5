"""What all figures share: their unit, their style, and how a group's mark looks; pure functions but for the drawing."""

from __future__ import annotations

from textwrap import fill
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.markers import MarkerStyle
from matplotlib.patches import PathPatch
from matplotlib.transforms import Affine2D

from incrlearn.report.marks import Mark

PIXELS = 72
"""Units of a figure per inch of matplotlib's: one unit is a CSS pixel, and a font of 12 points 12 pixels high."""
STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#8a8a8a",
    "axes.formatter.useoffset": False,
    "axes.grid": True,
    "axes.labelcolor": "#333333",
    "axes.labelpad": 7,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 12,
    "grid.color": "#e8e8e8",
    "svg.fonttype": "none",
    "svg.hashsalt": "incrlearn",
    # Names may hold a dollar.
    "text.parse_math": False,
    "xtick.color": "#8a8a8a",
    "xtick.labelcolor": "#444444",
    "ytick.color": "#8a8a8a",
    "ytick.labelcolor": "#444444",
}
"""What is other than matplotlib's own settings."""
_TITLE_WIDTH = 42
_LINE = 17
"""Height of a line of text in units."""


def new_axes(size: tuple[int, int]) -> tuple[Figure, Axes]:
    """A figure with one pair of axes.

    Args:
        size: width and height in units.
    """
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)
    figure = Figure(figsize=(size[0] / PIXELS, size[1] / PIXELS), layout=layout)
    return figure, figure.add_subplot()


def add_title(figure: Figure, axes: Axes, title: str) -> None:
    """A title above, of several lines where it is long; the figure grows by them."""
    wrapped = fill(printable(title), _TITLE_WIDTH)
    axes.set_title(wrapped, fontsize=12)
    grow(figure, wrapped.count("\n") + 2)


def grow(figure: Figure, lines: int) -> None:
    """Make room for lines of text beside axes that keep their size."""
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + lines * _LINE / PIXELS)


def line_look(mark: Mark, expected: bool = False) -> dict[str, Any]:
    """How matplotlib draws a line of that mark; of what is expected: thin, dashed, with a hollow star."""
    if expected:
        return {
            "color": mark.colour, "marker": "*", "markersize": 12, "markerfacecolor": "white",
            "linewidth": 1.2, "linestyle": (0, (4, 3)),
        }  # fmt: skip
    return {
        "color": mark.colour, "marker": mark.marker, "markersize": 7, "linewidth": 1.8,
        "linestyle": (0, (6, 1.5)) if mark.dashed else "-", "markeredgecolor": "white", "markeredgewidth": 0.6,
    }  # fmt: skip


def draw_key(mark: Mark, expected: bool = False) -> Figure:
    """What stands beside a name in a legend: the line with its marker."""
    figure = Figure(figsize=(34 / PIXELS, 16 / PIXELS))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(0, 34), ylim=(0, 16))
    look = line_look(mark, expected)
    axes.plot([1, 33], [8, 8], clip_on=False, **{key: look[key] for key in ("color", "linewidth", "linestyle")})
    # The marker as a path of its own: matplotlib's would need an id, and a page has many copies of this key.
    style = MarkerStyle(mark.marker)
    shape = style.get_path().transformed(style.get_transform() + Affine2D().scale(look["markersize"]).translate(17, 8))
    edge = mark.colour if expected else "white"
    face = "white" if expected else mark.colour
    axes.add_patch(PathPatch(shape, facecolor=face, edgecolor=edge, linewidth=0.8, clip_on=False, zorder=3))
    return figure


def printable(text: str) -> str:
    """Without the control characters that no SVG may hold."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
