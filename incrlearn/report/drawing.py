"""From a figure to SVG within a page, or to PNG: one style, no state left behind, the same bytes each time."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from xml.etree import ElementTree

import matplotlib
from matplotlib.figure import Figure

from incrlearn.report.canvas import PIXELS, STYLE, printable

_PNG_DPI = 2 * PIXELS
_REFERENCES = ("href", "clip-path", "fill", "mask", "style")
_REFERENCE = re.compile(r"(^#|url\(#)([^)]+)")


def to_svg(draw: Callable[[], Figure], name: str, words: str | None) -> str:
    """Draw a figure and give it as an ``<svg>`` element of an HTML page: text is text, and nothing is loaded.

    Args:
        draw: makes the figure.
        name: of letters, digits and hyphens; another for each figure of a page, whose ids begin with it.
        words: what the figure shows, for those who do not see it; None where the text beside it says so.
    """
    with _drawing():
        stream = io.StringIO()
        draw().savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    root = _without_namespaces(ElementTree.fromstring(stream.getvalue()))
    _make_ids_own(root, name)
    for attribute in ("version", "width", "height"):
        root.attrib.pop(attribute, None)
    _, _, width, height = root.attrib["viewBox"].split()
    root.attrib |= {"width": width, "height": height}
    root.attrib |= {"aria-hidden": "true"} if words is None else {"role": "img", "aria-label": printable(words)}
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=False)


def to_png(draw: Callable[[], Figure]) -> bytes:
    """Draw a figure and give it as PNG, two pixels to a unit."""
    with _drawing():
        stream = io.BytesIO()
        draw().savefig(stream, format="png", dpi=_PNG_DPI, metadata={"Software": None})
    return stream.getvalue()


@contextmanager
def _drawing() -> Iterator[None]:
    with matplotlib.rc_context(), warnings.catch_warnings():
        # A name in a script that matplotlib's font lacks: a browser has another font.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        # Not the settings of whoever runs this.
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def _without_namespaces(root: ElementTree.Element) -> ElementTree.Element:
    """The same tree as HTML has it, without what says nothing there: metadata, and a style for the whole page."""
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in ("metadata", "style"):
                parent.remove(child)
    return root


def _make_ids_own(root: ElementTree.Element, name: str) -> None:
    """Drop ids that nothing refers to, and begin the others with ``name``: several figures share a page."""
    used = set()

    def own(match: re.Match[str]) -> str:
        used.add(match[2])
        return f"{match[1]}{name}-{match[2]}"

    for element in root.iter():
        for attribute in _REFERENCES:
            if attribute in element.attrib:
                element.attrib[attribute] = _REFERENCE.sub(own, element.attrib[attribute])
    for element in root.iter():
        found = element.attrib.pop("id", None)
        if found in used:
            element.attrib["id"] = f"{name}-{found}"
