"""Where a problem of several keys together is told: at what was written last, which is what made it one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from incrlearn.recipe.nodes import Node, Place, places_of


def latest(places: Iterable[Place]) -> Place:
    """That of the layer which lies over the others; the first of several."""
    return max(places, key=lambda place: place.layer)


def latest_in(node: Node) -> Place:
    """Where a value was last changed: its own place, or that of what is in it and was written later."""
    return latest((node.place, *places_of(node).values()))


def place_to_blame(path: str, message: str, places: Mapping[str, Place]) -> Place:
    """Where to tell a problem of ``path``, which may have come of a change in the same section.

    Args:
        path: the dotted path that the message names: a section such as ``plugins.train``, or an option.
        message: what is wrong; the options that it speaks of count before others of the section.
        places: of every key, by dotted path.
    """
    own = places.get(path, Place())
    keys = path.split(".")
    section = ".".join(keys[:2] if keys[0] == "plugins" else keys[:1])
    below = {key: place for key, place in places.items() if key.startswith(f"{section}.")}
    if section == "plugins" or not below:
        return own
    words = set(re.findall(r"\w+", message.removeprefix(path))) - {"use"}
    named = [place for key, place in below.items() if key != path and key.rpartition(".")[2] in words]
    if path == section and named:
        found = latest(named)
        return own if own.layer == found.layer else found
    found = latest((own, *named))
    return found if found.layer > own.layer else latest((own, places.get(section, own), *below.values()))
