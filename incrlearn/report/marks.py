"""How a group looks in every figure: a colour and a marker of its own."""

from __future__ import annotations

from dataclasses import dataclass

# Okabe and Ito's colours, which the colour-blind tell apart, without the yellow that is hard to see on white.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#e69f00", "#56b4e9")
# No star: that is what is expected.
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h")
_SHARED = "#5c5c5c"


@dataclass(frozen=True)
class Mark:
    """A colour and a shape."""

    colour: str
    """``#rrggbb``."""
    marker: str
    """As matplotlib calls it."""
    dashed: bool = False
    """Whether its line is dashed, for a group whose colour another one has."""


def mark_of(position: int) -> Mark:
    """The mark of the group at ``position``, from 0; the first 77 are all different."""
    return Mark(
        _COLOURS[position % len(_COLOURS)], _MARKERS[position % len(_MARKERS)], dashed=position >= len(_COLOURS)
    )


def expected_mark(groups: tuple[int, ...]) -> Mark:
    """The mark of what is expected: a star, in the colour of the group where it is that of one alone.

    Args:
        groups: positions of the groups that it is expected of.
    """
    return Mark(mark_of(groups[0]).colour if len(groups) == 1 else _SHARED, "*", dashed=True)
