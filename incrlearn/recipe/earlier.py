"""Recipes of other versions: earlier names of options, and formats that are not known yet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel

from incrlearn.errors import Deprecation
from incrlearn.plugin import Plugin
from incrlearn.recipe.nodes import Node, Problems
from incrlearn.recipe.notices import tell_at
from incrlearn.recipe.options import FORMAT


def newer_format(node: Node | None) -> str | None:
    """What to tell of a recipe whose ``format`` this version does not know yet; None where there is nothing to tell."""
    if node is None or not isinstance(node.value, int) or isinstance(node.value, bool) or node.value <= FORMAT:
        return None
    return (
        f"format: the recipe is of format {node.value}, and this version of incrlearn reads format {FORMAT}: "
        "install a later version"
    )


def earlier_names(model: type[BaseModel]) -> Mapping[str, str]:
    """Earlier names of a model's options, each with its name of today."""
    return model.formerly() if issubclass(model, Plugin.Config) else {}


def use_names_of_today(options: Node, model: type[Plugin.Config], path: str, problems: Problems) -> Node:
    """The options of a plug-in under their names of today; whoever uses an earlier one is told by a `Deprecation`.

    Args:
        options: the mapping of options.
        model: the plug-in's options.
        path: the dotted path of the mapping, such as ``plugins.train``.
        problems: told where an option is given under both names at once. Where a recipe and what it extends, or an
            override, use different names, the one that is laid over the other holds.
    """
    names = earlier_names(model)
    if not isinstance(options.value, dict) or not names.keys() & options.value.keys():
        return options
    given = dict(options.value)
    for earlier, name in names.items():
        node, rival = given.pop(earlier, None), given.get(name)
        if node is None:
            continue
        if rival is not None and _layer(node) == _layer(rival):
            problems.add(
                node.place, f"{path}.{earlier}: it is called '{name}' today, which is given too; leave this out"
            )
            continue
        # A recipe is laid over what it extends, and overrides over both: what is further down was written later.
        order = list(options.value)
        if rival is None or order.index(earlier) > order.index(name):
            given[name] = node
        message = f"{path}.{earlier} is called '{name}' today; write that: the earlier name will go"
        tell_at(node.place, message, Deprecation)
    return Node(given, options.place)


def _layer(node: Node) -> tuple[Path | None, bool]:
    """Which file a value was written in, or that it was on the command line."""
    return node.place.file, node.place.override is not None
