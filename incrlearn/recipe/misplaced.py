"""Rows and options of a recipe that stand at a wrong level, or under a name that is nearly another's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from incrlearn.errors import RecipeNotice, closest, did_you_mean
from incrlearn.plugin import Plugin
from incrlearn.recipe.nodes import Node, Place, Problems
from incrlearn.recipe.notices import tell_at
from incrlearn.recipe.wording import show

PluginOf = Callable[[Node], type[Plugin] | None]
"""The plug-in that a row names; None where it names none."""

_FORMS = ("tasks", "increment", "increments")
_ENDING = re.compile(r"(_.*|\d+)$")


def hint_at_root(key: str, row: Node, known: Iterable[str], rows: Mapping[str, Node], plugin_of: PluginOf) -> str:
    """The end of a message about a part that a recipe does not have: a known one, or that it is a row of ``plugins``.

    Args:
        key: of the part.
        row: the part.
        known: the parts that a recipe has.
        rows: those under ``plugins``.
        plugin_of: finds a row's plug-in.
    """
    known = set(known)
    if key in rows:
        return f"; '{key}' is a row of plugins: indent it under plugins"
    names_plugin = row.get("use") is not None or plugin_of(Node({"use": row}, row.place)) is not None
    if closest(key, known) is None and names_plugin:
        return "; a plug-in is a row of plugins: indent it under plugins"
    return did_you_mean(key, known)


def rows_alone(rows: Mapping[str, Node], plugin_of: PluginOf, problems: Problems) -> dict[str, Node]:
    """The rows under ``plugins``, without a ``use`` and options that stand among them and not in one.

    Args:
        rows: what is written under ``plugins``; what is null is no row, and may be one that lost its options.
        plugin_of: finds a row's plug-in.
        problems: told of what is left out.
    """
    emptied = {key: row for key, row in rows.items() if row.value is None}
    rows = {key: row for key, row in rows.items() if row.value is not None}
    plugins = {key: plugin_of(row) for key, row in rows.items()}
    options = [key for key, plugin in plugins.items() if plugin is None]
    left_out: set[str] = set()
    lone = rows.get("use")
    if lone is not None and isinstance(lone.value, dict) and set(lone.value) == {"use"}:
        plugin, use = plugins.pop("use"), lone.value["use"].plain()
        fields = plugin.Config.model_fields if plugin is not None else {}
        left_out = {"use", *(key for key in options if key in fields)}
        same = [key for key, other in plugins.items() if plugin is not None and other is plugin]
        name = same[0] if same else plugin.kind if plugin is not None else "name"
        inner = f"{{use: {use}{', ...' if len(left_out) > 1 else ''}}}"
        problems.add(lone.place, f"plugins.use: 'use' stands in a row, not among rows; write {name}: {inner}")
    before = {key: plugin_of(row.replaces) for key, row in emptied.items() if row.replaces is not None}
    whole = {key: row for key, row in {**rows, **emptied}.items() if key not in options}
    for key in (option for option in options if option not in left_out):
        owners = _with_option(key, plugins)
        able = {*owners, *_with_option(key, before)}
        # What stands right above was meant; else each that could have it may have been.
        owners = [row for row in _right_above(rows[key].place, whole) if row in able] or owners
        if owners:
            left_out.add(key)
            named = " and ".join(f"'{owner}'" for owner in owners)
            where = "under that row" if len(owners) == 1 else "under one of these rows"
            problems.add(rows[key].place, f"plugins.{key}: no row, but an option of {named}; indent it {where}")
    return {key: row for key, row in rows.items() if key not in left_out}


def _with_option(option: str, plugins: Mapping[str, type[Plugin] | None]) -> list[str]:
    return [key for key, plugin in plugins.items() if plugin is not None and option in plugin.Config.model_fields]


def _right_above(place: Place, rows: Mapping[str, Node]) -> list[str]:
    """The rows that begin on the nearest line above a place in the same file, or on its own."""
    if place.line is None:
        return []
    lines = {
        key: row.place.line
        for key, row in rows.items()
        if row.place.line is not None and row.place.file == place.file and row.place.line <= place.line
    }
    return [key for key, line in lines.items() if line == max(lines.values())]


def tell_inherited_form(rows: Mapping[str, Node], problems: Problems) -> bool:
    """Tell of a scenario that is given in one form where the recipe that is changed has another.

    Args:
        rows: the scenario's.
        problems: told at the form that was written later.

    Returns:
        Whether it is so.
    """
    # What is laid over a recipe comes behind what was there.
    given = [(key, rows[key]) for key in rows if key in _FORMS and rows[key].value is not None]
    if len(given) < 2:
        return False
    (earlier, old), (key, node) = given[0], given[-1]
    if (old.place.file, old.place.override) == (node.place.file, node.place.override):
        return False
    source = f" in {old.place.file.name}" if old.place.file is not None else ""
    out = f"{earlier}: null" if node.place.override is None else f"--set data.{earlier}=null"
    problems.add(node.place, f"data.{key}: the recipe has {earlier} too{source}; take that out with {out}")
    return True


def no_plugin(key: str, row: Node, others: Iterable[str]) -> str:
    """What to tell of a row that is no text and has no ``use``.

    Args:
        key: of the row.
        row: it.
        others: the keys of the other rows, one of which may be meant.
    """
    if not isinstance(row.value, dict):
        return f"must be a plug-in's name or {{use: name, ...}}, not {show(row.plain())}"
    meant = closest(key, others)
    hint = f"; did you mean '{meant}', a row that is there?" if meant is not None else ""
    return f"'use' is missing; write {key}: {{use: name, ...}}{hint}"


def tell_of_misspelling(key: str, base: Node, own: Node) -> None:
    """Notice a new row of ``own`` that is nearly a row of ``base`` and uses the same plug-in; see `meant_row`."""
    meant = meant_row(key, base, own)
    if meant is not None:
        message = (
            f"plugins.{key} is a row of its own beside '{meant}', which uses the same plug-in: both count; to change "
            f"that one write {meant}"
        )
        tell_at(_rows(own)[key].place, message, RecipeNotice)


def meant_row(key: str, base: Node, own: Node) -> str | None:
    """The row of an extended recipe that a new row may be a misspelling of: it uses the same plug-in.

    Names that differ by their endings alone, such as ``train2`` and ``train`` or ``pull_far`` and ``pull_near``, are
    meant to differ; and so is a new name for a row that is taken out.

    Args:
        key: of the new row.
        base: ``plugins`` of the extended recipe.
        own: ``plugins`` of the one that extends it.

    Returns:
        None for a row that is not new.
    """
    if not isinstance(base.value, dict) or key in base.value or (use := _use(own.get(key))) is None:
        return None
    alike = [
        other
        for other, row in base.value.items()
        if _use(row) == use and other not in _rows(own) and _ENDING.sub("", other) != _ENDING.sub("", key)
    ]
    return closest(key, alike)


def _rows(node: Node) -> Mapping[str, Node]:
    return node.value if isinstance(node.value, dict) else {}


def _use(row: Node | None) -> object:
    use = row.get("use") if row is not None else None
    return use.value if use is not None else None
