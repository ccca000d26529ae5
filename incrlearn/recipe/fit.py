"""Whether the plug-ins of a recipe fit together: the kinds that must be there, what each needs and what it refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from incrlearn.errors import RecipeNotice, closest
from incrlearn.plugin import Plugin
from incrlearn.recipe.latest import latest
from incrlearn.recipe.nodes import Place, Problems
from incrlearn.recipe.notices import tell_at
from incrlearn.registry import OWN, Registry

_EXACTLY_ONE = ("network", "head")
_AT_LEAST_ONE = ("loss", "phase")
FROM_THE_ENGINE = frozenset({"teacher", "maps"})
"""Words that the engine provides to whoever needs them."""
_LABELS = "classification"
_ASKED_IN_EVERY_PHASE = frozenset({"select_data", "param_groups", "make_optimizer"})
"""Hooks that several plug-ins answer, each in the phases that are its own."""


@dataclass(frozen=True)
class Row:
    """One row under ``plugins``."""

    plugin: type[Plugin]
    config: Plugin.Config | None
    """None where its options are wrong."""
    place: Place
    latest: Place
    """Where it or one of its options was last changed."""

    @property
    def provides(self) -> frozenset[str]:
        """The words of its class and those of its options."""
        return self.plugin.provides | (self.config.also_provides() if self.config is not None else frozenset())


Gone = Callable[[], Sequence[tuple[type[Plugin], Place]]]
"""Gives the plug-ins that were taken out or replaced, and where; asked only where one is missing, for it loads them."""


def check_fit(plugins: Mapping[str, Row], place: Place, gone: Gone, registry: Registry, problems: Problems) -> None:
    """Tell ``problems`` what is missing, double, not provided for or refused.

    Args:
        plugins: the rows of a recipe by key.
        place: that of ``plugins``.
        gone: what may be missing.
        registry: where to look for what could be added.
        problems: takes what is wrong.
    """
    for kind in (*_EXACTLY_ONE, *_AT_LEAST_ONE):
        keys = [key for key, row in plugins.items() if row.plugin.kind == kind]
        if not keys:
            there = _named(name for name, plugin in registry.loadable() if plugin.kind == kind)
            went = next((where for plugin, where in gone() if plugin.kind == kind), place)
            problems.add(went, f"plugins: none is of kind '{kind}', and a recipe needs one; there are {there}")
        elif len(keys) > 1 and kind in _EXACTLY_ONE:
            newest = latest(plugins[key].place for key in keys[1:] + keys[:1])
            problems.add(newest, f"plugins: {_named(keys)} are all of kind '{kind}'; keep one of them")
    provided = FROM_THE_ENGINE.union(*(row.provides for row in plugins.values()))
    for key, row in plugins.items():
        for word in sorted(row.plugin.needs - provided):
            hint = _who_provides(word, {name: other for name, other in plugins.items() if name != key}, registry)
            told = f"plugins.{key} needs '{word}', which no plug-in here provides; {hint}"
            went = next((where for plugin, where in gone() if word in plugin.provides), row.place)
            problems.add(latest((row.place, went)), told)
        for word, why in (row.config.refuses() if row.config is not None else {}).items():
            others = [name for name, other in plugins.items() if name != key and word in other.provides]
            if others:
                newest = latest((row.place, row.latest, *(plugins[name].latest for name in others)))
                problems.add(newest, f"plugins.{key} does not go with {_named(others)}: {why}")
    _refuse_orders(plugins, problems)
    _tell_of_answers_that_never_count(plugins)
    _tell_of_losses_that_add_up(plugins)


def _refuse_orders(plugins: Mapping[str, Row], problems: Problems) -> None:
    keys = list(plugins)
    for place, (key, row) in enumerate(plugins.items()):
        for word, why in (row.config.refuses_below() if row.config is not None else {}).items():
            below = [other for other in keys[place + 1 :] if word in plugins[other].provides]
            if below:
                newest = latest((row.place, *(plugins[other].place for other in below)))
                problems.add(newest, f"plugins.{key} must stand below {_named(below)}: {why}")


def _tell_of_answers_that_never_count(plugins: Mapping[str, Row]) -> None:
    """Notice plug-ins whose answer to a hook is not heard, because another's comes first."""
    # Imports torch, which is there wherever plug-ins were loaded, and not where help is asked for.
    from incrlearn.implementations import hooks_of_one_answer, implemented

    hidden: dict[tuple[str, str], list[str]] = {}
    answered = {key: implemented(row.plugin) for key, row in plugins.items()}
    for hook in hooks_of_one_answer():
        keys = [key for key, hooks in answered.items() if hook in hooks]
        if hook not in _ASKED_IN_EVERY_PHASE:
            for later in keys[1:]:
                hidden.setdefault((keys[0], later), []).append(hook)
    for (first, later), hooks in hidden.items():
        message = (
            f"plugins.{later}: '{first}' comes before it and answers {_named(hooks)} too, of which the first answer "
            "that is not None counts; see incrlearn explain"
        )
        tell_at(plugins[later].place, message, RecipeNotice)


def _tell_of_losses_that_add_up(plugins: Mapping[str, Row]) -> None:
    """Notice a second loss that learns the labels: it was perhaps meant in place of the first."""
    keys = [key for key, row in plugins.items() if row.plugin.kind == "loss" and _LABELS in row.provides]
    for later in keys[1:]:
        message = (
            f"plugins.{later} provides '{_LABELS}' as plugins.{keys[0]} does, and both losses count; to replace that "
            f"one, call the row {keys[0]}"
        )
        tell_at(plugins[later].place, message, RecipeNotice)


def _who_provides(word: str, others: Mapping[str, Row], registry: Registry) -> str:
    """Which plug-ins would provide a word; and rows of others' plug-ins that misspell it or do not say that they do."""
    known = dict(registry.loadable())
    own = {entry.name for entry in registry.entries() if entry.distribution == OWN}
    built_in = {plugin for name, plugin in known.items() if name in own}
    offers = [name for name, plugin in known.items() if word in plugin.provides]
    verb = "does" if len(offers) == 1 else "do"
    hints = [f"{_named(offers)} {verb}"] if offers else []
    kinds = {known[name].kind for name in offers}
    for key, row in others.items():
        # A word that others know is not a misspelt one.
        rest = [plugin for plugin in known.values() if plugin is not row.plugin]
        unknown = row.provides.difference(*(plugin.provides | plugin.needs for plugin in rest))
        near = closest(word, unknown) if row.plugin not in built_in else None
        if near is not None:
            hints.append(f"plugins.{key} provides '{near}'; did you mean '{word}'?")
        elif row.plugin.kind in kinds and not row.provides and row.plugin not in known.values():
            wanted = f"write provides = frozenset({{'{word}'}}) in its class {row.plugin.__name__}"
            hints.append(f"if plugins.{key} does too, {wanted}")
    return "; ".join(hints) or "nor does any that is installed"


def _named(names: Iterable[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]]) if len(quoted) > 1 else "".join(quoted) or "none"
