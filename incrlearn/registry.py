"""From names to plug-in classes: entry points of installed packages, or ``./file.py:Class`` beside a recipe."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType, ModuleType

from incrlearn.declared import check_declarations, missing_type
from incrlearn.errors import PluginError, closest, did_you_mean
from incrlearn.plugin import Plugin
from incrlearn.source import LOCAL, code_digest

GROUP = "incrlearn.plugins"
"""The entry-point group in which packages register plug-ins."""
OWN = "incrlearn"
"""The distribution whose plug-ins change with its version alone."""
_MOST_LISTED = 12
"""Names in an error message."""


@dataclass(frozen=True, order=True)
class PluginEntry:
    """One registered plug-in, not loaded."""

    name: str
    distribution: str
    """The installed package that brings it."""
    version: str
    target: str
    """``module:Class``."""


class Registry:
    """The plug-ins that can be named in a recipe. Listing imports nothing; only what is used is loaded."""

    def __init__(self, entries: Iterable[PluginEntry], classes: Mapping[str, type[Plugin]] | None = None) -> None:
        """Make a registry by hand; see `discover` and `of`.

        Args:
            entries: what installed packages registered.
            classes: classes by name that are there already; they go before entries of the same name.
        """
        self._classes = MappingProxyType(dict(classes or {}))
        self._entries = tuple(sorted({entry for entry in entries if entry.name not in self._classes}))

    @classmethod
    def discover(cls) -> Registry:
        """Everything that installed packages registered."""
        return cls(_discovered())

    @classmethod
    def of(cls, classes: Mapping[str, type[Plugin]]) -> Registry:
        """What `discover` finds, and ``classes`` by name over it: for tests and notebooks."""
        return cls(_discovered(), classes)

    def entries(self) -> tuple[PluginEntry, ...]:
        """All plug-ins, sorted by name; a name that two packages claim is there twice."""
        by_hand = [
            PluginEntry(name, "given by hand", "", f"{plugin.__module__}:{plugin.__qualname__}")
            for name, plugin in self._classes.items()
        ]
        return tuple(sorted([*self._entries, *by_hand]))

    def load(self, use: str, base: Path, kind: str | None = None) -> type[Plugin]:
        """The class behind a name or a ``file.py:Class``.

        Args:
            use: what a recipe says.
            base: the folder that relative files are meant from: the recipe's.
            kind: the one that is wanted, of which there are names to tell where there is no such plug-in.

        Raises:
            PluginError: no such plug-in, two packages claim the name, its module fails at import, or it is no plug-in.
        """
        plugin = check_declarations(self._found(use, base, kind), use)
        # Taken now: a file may be edited while what was imported from it runs on.
        self.code_of(absolute_use(use, base), plugin)
        return plugin

    def _found(self, use: str, base: Path, kind: str | None) -> object:
        if is_local(use):
            return _load_local(use, base)
        if use in self._classes:
            return self._classes[use]
        claims = [entry for entry in self._entries if entry.name == use]
        if not claims:
            raise PluginError(self._unknown(use, kind))
        if len(claims) > 1:
            owners = " and ".join(f"'{entry.distribution}'" for entry in claims)
            raise PluginError(f"two packages claim the name '{use}': {owners}; uninstall one of them")
        return _load_entry(claims[0])

    def _unknown(self, use: str, kind: str | None) -> str:
        """That no plug-in has the name, with those that may be meant, and how to name a class in a file."""
        known = {entry.name for entry in self.entries()}
        if closest(use, known) is None and kind is not None:
            known = {name for name, plugin in self.loadable() if plugin.kind == kind}
        many = closest(use, known) is None and len(known) > _MOST_LISTED
        hint = "; 'incrlearn plugins' lists them" if many else did_you_mean(use, known)
        told = f"no plug-in named '{use}'{hint}"
        if kind == "data" and closest(use, known) is None and "image_folder" in known:
            told += "; your own images: image_folder"
        file, _, name = use.rpartition(".")
        if name.isidentifier() and all(part.isidentifier() for part in file.split(".")):
            told += f"; for a class in a file write ./{file.replace('.', '/')}.py:{name}"
        return told

    def code_of(self, use: str, plugin: type[Plugin]) -> str | None:
        """What tells the code of a plug-in of a file, or of another package than incrlearn, from what it was before.

        Args:
            use: what a recipe says, see `absolute_use`.
            plugin: the class that `load` gave for it.

        Returns:
            See `incrlearn.source.code_digest`; None where a version tells it, or where the class was given by hand.
        """
        if not is_local(use) and all(entry.distribution == OWN for entry in self._entries if entry.name == use):
            return None
        if is_local(use) and not plugin.__module__.startswith(LOCAL):
            # Made or imported there: the file that the recipe names is what counts.
            file = use.rpartition(":")[0]
            return code_digest(plugin, _import_file(_local_file(use, file, Path()), use).__name__)
        return code_digest(plugin)

    def loadable(self) -> list[tuple[str, type[Plugin]]]:
        """Every registered plug-in that can be loaded, sorted by name; loads them all, so only for lists and hints."""
        found = []
        for name in sorted({entry.name for entry in self.entries()}):
            try:
                found.append((name, self.load(name, Path())))
            except PluginError:
                # Whoever uses it is told; a list of what could be used goes on without it.
                continue
        return found


def is_local(use: str) -> bool:
    """Whether ``use`` names a class in a file rather than a registered plug-in."""
    return ":" in use or "/" in use or use.endswith(".py")


def absolute_use(use: str, base: Path) -> str:
    """``use`` so that it means the same from any folder: relative files become absolute, names stay."""
    if not is_local(use):
        return use
    file, _, attribute = use.rpartition(":")
    return f"{_local_file(use, file, base)}:{attribute}"


def without_folder(use: str) -> str:
    """``file.py:Class`` of a class in a file, whatever folder it lies in; names stay."""
    if not is_local(use):
        return use
    file, _, attribute = use.rpartition(":")
    # A run may come from a machine that separates folders by backslashes.
    name = re.split(r"[\\/]", file)[-1]
    return f"{name}:{attribute}"


def _discovered() -> list[PluginEntry]:
    return [
        PluginEntry(
            name=point.name,
            distribution=point.dist.name if point.dist is not None else "unknown",
            version=point.dist.version if point.dist is not None else "",
            target=point.value,
        )
        for point in entry_points(group=GROUP)
    ]


def _load_entry(entry: PluginEntry) -> object:
    owner = f"plug-in '{entry.name}' ({entry.target}, from '{entry.distribution}')"
    try:
        return EntryPoint(entry.name, entry.target, GROUP).load()
    except (Exception, SystemExit) as error:
        remedy = "mend or uninstall it; recipes that do not use it are not affected"
        raise PluginError(f"{_failed_import(owner, error)}; {remedy}") from error


def _load_local(use: str, base: Path) -> object:
    file, _, attribute = use.rpartition(":")
    if not file or not attribute.isidentifier():
        raise PluginError(f"'{use}': write the file and its class, such as ./my_loss.py:MyLoss")
    path = _local_file(use, file, base)
    if not path.is_file():
        found = [candidate.name for candidate in path.parent.glob("*.py")] if path.parent.is_dir() else []
        hint = did_you_mean(path.name, found) if found else ""
        raise PluginError(f"'{use}': there is no file {path}{hint}")
    module = _import_file(path, use)
    if not hasattr(module, attribute):
        plugins = [n for n, v in vars(module).items() if isinstance(v, type) and v.__module__ == module.__name__]
        raise PluginError(f"'{use}': {path.name} has no class '{attribute}'{did_you_mean(attribute, plugins)}")
    found_class: object = getattr(module, attribute)
    return found_class


def _local_file(use: str, file: str, base: Path) -> Path:
    """The absolute path that ``file`` means from ``base``.

    Raises:
        PluginError: it can be no file's name.
    """
    try:
        path = (base / Path(file).expanduser()).resolve()
        path.is_file()
    # No such user behind ~; a name that is too long, a folder that may not be entered.
    except (RuntimeError, OSError) as error:
        raise PluginError(f"'{use}': names no file ({error})") from error
    return path


def _import_file(path: Path, use: str) -> ModuleType:
    """Import a file under a name of its own, made from its path and content, without touching ``sys.path``."""
    try:
        digest = hashlib.sha256(str(path).encode() + b"\0" + path.read_bytes()).hexdigest()[:12]
    except OSError as error:
        raise PluginError(f"'{use}': {path} cannot be read ({error.strerror})") from error
    # A dot in it would make a module of a package.
    stem = re.sub(r"\W", "_", path.stem)
    name = f"{LOCAL}{stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"'{use}': {path.name} is not a Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    # Data classes and pydantic look their module up while it is being imported.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        told = _failed_import(f"plug-in '{use}' ({path})", error)
        raise PluginError(f"{told}{_line_in(path, error)}; mend it") from error
    return module


def _failed_import(owner: str, error: BaseException) -> str:
    told = missing_type(error) or f"{type(error).__name__}: {error}"
    return f"{owner} cannot be imported: {told}"


def _line_in(path: Path, error: BaseException) -> str:
    """``" (mine.py, line 2)"``: where in a file its import failed; nothing for a syntax error, which tells it."""
    if isinstance(error, SyntaxError):
        return ""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f" ({path.name}, line {lines[-1]})" if lines else ""
