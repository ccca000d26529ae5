"""Whether the plug-ins of a recipe fit together: the kinds that must be there, and what each needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from incrlearn.plugin import Plugin
from incrlearn.recipe.nodes import Place, Problems
from incrlearn.registry import Registry

_EXACTLY_ONE = ("network", "head")
_AT_LEAST_ONE = ("loss", "phase")
_FROM_THE_ENGINE = frozenset({"teacher"})
"""Words that the engine provides to whoever needs them."""


def check_fit(
    plugins: Mapping[str, tuple[type[Plugin], Place]], place: Place, registry: Registry, problems: Problems
) -> None:
    """Tell ``problems`` what is missing, double or not provided for.

    Args:
        plugins: the rows of a recipe, class and place by key.
        place: that of ``plugins``.
        registry: where to look for what could be added.
        problems: takes what is wrong.
    """
    for kind in (*_EXACTLY_ONE, *_AT_LEAST_ONE):
        keys = [key for key, (plugin, _) in plugins.items() if plugin.kind == kind]
        if not keys:
            there = _named(name for name, plugin in registry.loadable() if plugin.kind == kind)
            problems.add(place, f"plugins: none is of kind '{kind}', and a recipe needs one; there are {there}")
        elif len(keys) > 1 and kind in _EXACTLY_ONE:
            problems.add(plugins[keys[1]][1], f"plugins: {_named(keys)} are all of kind '{kind}'; keep one of them")
    provided = _FROM_THE_ENGINE.union(*(plugin.provides for plugin, _ in plugins.values()))
    for key, (plugin, own_place) in plugins.items():
        for word in sorted(plugin.needs - provided):
            offers = [name for name, other in registry.loadable() if word in other.provides]
            verb = "does" if len(offers) == 1 else "do"
            hint = f"{_named(offers)} {verb}" if offers else "nor does any that is installed"
            problems.add(own_place, f"plugins.{key} needs '{word}', which no plug-in here provides; {hint}")


def _named(names: Iterable[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]]) if len(quoted) > 1 else "".join(quoted) or "none"
