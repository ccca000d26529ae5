"""One row of a recipe: the plug-in that it names, its options and its code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from incrlearn.errors import PluginError, RecipeNotice
from incrlearn.plugin import Plugin
from incrlearn.recipe.earlier import use_names_of_today
from incrlearn.recipe.latest import latest
from incrlearn.recipe.misplaced import no_plugin
from incrlearn.recipe.nodes import Node, Place, Problems
from incrlearn.recipe.notices import tell_at
from incrlearn.recipe.validate import validate
from incrlearn.recipe.wording import show, space_hint
from incrlearn.registry import Registry, absolute_use, is_local


@dataclass(frozen=True, eq=False)
class Reading:
    """What validating a recipe needs beside its tree."""

    registry: Registry
    base: Path
    """Where relative files are meant from, unless the tree says otherwise."""
    problems: Problems
    of_a_run: bool = False
    """The recipe tells what was trained, so that its code is what it says and not what is here."""
    code: Node | None = None
    """What it says of code, by path."""

    def base_of(self, use: Node) -> Path:
        """The folder that a relative file is meant from."""
        return use.place.folder(self.base)

    def plugin_of(self, row: Node) -> type[Plugin] | None:
        """The plug-in that a row names; None where it names none that can be loaded."""
        use = row.get("use")
        try:
            if use is not None and isinstance(use.value, str):
                return self.registry.load(use.value, self.base_of(use))
        except PluginError:
            pass
        return None

    def is_known(self, use: str) -> bool:
        """Whether it is a class in a file, or a name that is registered."""
        return is_local(use) or any(entry.name == use for entry in self.registry.entries())

    def before(self, row: Node) -> tuple[type[Plugin], Place] | None:
        """The plug-in that a row, or its ``use``, stands in place of, and where that is written; None for none."""
        for node in (row, row.get("use")):
            if node is not None and node.replaces is not None:
                old = node.replaces
                plugin = self.plugin_of(old if isinstance(old.value, dict) else Node({"use": old}, old.place))
                if plugin is not None:
                    return plugin, node.place
        return None

    def gone(self, plugins: Node) -> list[tuple[type[Plugin], Place]]:
        """The plug-ins that were taken out of ``plugins``, or replaced, and where that is written."""
        rows = plugins.value.values() if isinstance(plugins.value, dict) else ()
        return [found for row in rows if (found := self.before(row)) is not None]


def find_plugin(row: Node, path: str, reading: Reading, others: Sequence[str] = ()) -> tuple[str, type[Plugin]] | None:
    """What a row calls its plug-in, files by absolute paths, and its class; None where there is none, which is told.

    Args:
        row: the row.
        path: its dotted path, such as ``plugins.train``.
        reading: takes what is wrong.
        others: the keys of the other rows, one of which may be meant.
    """
    use = row.get("use")
    if use is None:
        reading.problems.add(row.place, f"{path}: {no_plugin(path.rpartition('.')[2], row, others)}")
        return None
    if not isinstance(use.value, str):
        reading.problems.add(use.place, f"{path}.use: must be the name of a plug-in, not {show(use.plain())}")
        return None
    base = reading.base_of(use)
    kind = "data" if path == "data" else None
    if kind is None and not reading.is_known(use.value):
        before = reading.before(row)
        kind = before[0].kind if before is not None else None
    try:
        return absolute_use(use.value, base), reading.registry.load(use.value, base, kind)
    except PluginError as error:
        hint = "; write null to take the row out" if use.value.lower() == "none" else space_hint(use.value)
        reading.problems.add(use.place, f"{path}.use: {error}{hint}")
        return None


def read_options(
    owner: tuple[str, type[Plugin]], row: Node, path: str, problems: Problems, also_known: Sequence[str] | set[str] = ()
) -> Plugin.Config | None:
    """The options of a row; None where something is wrong with them, which is told.

    Args:
        owner: as `find_plugin` gave it.
        row: the row.
        path: its dotted path.
        problems: takes what is wrong.
        also_known: see `incrlearn.recipe.validate.validate`.
    """
    plugin = owner[1]
    given = {key: node for key, node in row.value.items() if key != "use"} if isinstance(row.value, dict) else {}
    use = row.get("use")
    if use is not None and use.replaces is not None and use.replaces.value != use.value:
        # What was right for the plug-in before is not wrong where it was written, but where another one was named.
        given = {key: replace(node, place=latest((node.place, use.place))) for key, node in given.items()}
    options = use_names_of_today(Node(given, row.place), plugin.Config, path, problems)
    try:
        return validate(plugin.Config, options, path, problems, also_known, owner)
    except PluginError as error:
        problems.add(row.place, f"{path}: {error}")
        return None


def is_code(node: Node) -> bool:
    """Whether it maps paths to digests, as runs write it."""
    return isinstance(node.value, dict) and all(isinstance(digest.value, str) for digest in node.value.values())


def code_of(path: str, row: Node, use: str, plugin: type[Plugin], reading: Reading) -> str | None:
    """The digest of a plug-in's code: of a run's recipe that of then, else that of now."""
    then = reading.code.get(path) if reading.code is not None else None
    if reading.of_a_run:
        return str(then.value) if then is not None else None
    now = reading.registry.code_of(use, plugin)
    named = row.get("use")
    # Of another plug-in, named by an override or an ablation's edit, it says nothing.
    places = {(node.place.file, node.place.override) for node in (named, then) if node is not None}
    if then is not None and len(places) == 1 and then.value != now:
        message = f"the code of {path} ({use}) has changed since this recipe was written; what runs is that of now"
        tell_at(then.place, message, RecipeNotice)
    return now
