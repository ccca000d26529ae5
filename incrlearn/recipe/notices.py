"""What is told of a recipe and refuses nothing: Python warnings at the lines that they are about."""

from __future__ import annotations

import warnings

from incrlearn.errors import Deprecation, RecipeNotice
from incrlearn.recipe.nodes import Place


def tell_at(place: Place, message: str, category: type[Deprecation | RecipeNotice]) -> None:
    """Warn at the line of a recipe, or of an override, of what was written there.

    Plain values were written by nobody who could change them: nothing is told of these.
    """
    if place.file is None and place.override is None:
        return
    where = str(place.file) if place.override is None else f"--set {place.override}"
    warnings.warn_explicit(message, category, where, place.line or 0)
