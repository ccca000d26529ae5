"""The Python code that a class comes from, as a digest: what tells one state of a plug-in from another."""

from __future__ import annotations

import ast
import hashlib
import io
import sys
import sysconfig
import tokenize
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.machinery import PathFinder
from pathlib import Path

LOCAL = "incrlearn_local_"
"""What the name begins with under which a recipe's own file is imported."""
_DIGITS = 12
_OWN = frozenset({"incrlearn", "incrlearn_plugins"})
"""Packages whose version tells their code."""
_WRITTEN_AT_INSTALL = frozenset({"_version", "version", "__about__", "_about"})
"""Modules of a package that tell its version, and are often written anew wherever it is installed."""
_INSTALLED = frozenset({"site-packages", "dist-packages", ".venv"})
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
# From Python 3.12 and 3.14 on; before, such a string is one token.
_PARTED = ("FSTRING", "TSTRING")
_OPENING = frozenset(getattr(tokenize, f"{kind}_START") for kind in _PARTED if hasattr(tokenize, f"{kind}_START"))
_CLOSING = frozenset(getattr(tokenize, f"{kind}_END") for kind in _PARTED if hasattr(tokenize, f"{kind}_END"))


def code_digest(target: type, module: str = "") -> str | None:
    """A digest of the file of a class and of what that file imports from its own package, and so on.

    Of a recipe's own file (a module that begins with `LOCAL`) it covers what is imported from files in or below its
    folder instead. Comments, docstrings, other lines with nothing but a string, blank lines and blanks at the end of a
    line do not count, nor do a package's modules that tell its version, nor where the files lie. What is imported from
    other packages does not count, nor what is only named while the program runs (``importlib.import_module``).

    It is taken once for each class, as code that changes after its import is not what runs.

    Args:
        target: a class whose module was imported.
        module: where to begin, where that is not the class's own module.

    Returns:
        12 hexadecimal digits, the same on every version of Python; None where there is no file, as in a notebook.
    """
    return _digest_once(_Itself(target), module or target.__module__)


@cache
def _digest_once(_of: _Itself, start: str) -> str | None:
    reach = _Reach(start)
    # Importing a module imports the packages that it lies in.
    waiting = list(_with_parents(start))
    seen: set[str] = set()
    found: dict[str, bytes] = {}
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        file = reach.file_of(name)
        if file is None:
            continue
        part = _part_of(name, file)
        found[name] = part.counted
        for imported in part.imports:
            waiting += imported.modules(name, is_package=file.name == "__init__.py")
    if start not in found:
        return None
    digest = hashlib.sha256()
    for name in sorted(found):
        # Without the root's own name: a file of a recipe is imported under one that is made up.
        digest.update(name.removeprefix(reach.root).encode() + b"\0" + found[name] + b"\0")
    return digest.hexdigest()[:_DIGITS]


@dataclass(frozen=True, eq=False)
class _Itself:
    """Something to remember by: equal to itself alone, whatever it says of itself."""

    thing: object

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and other.thing is self.thing

    def __hash__(self) -> int:
        return id(self.thing)


def _with_parents(module: str) -> Iterator[str]:
    parts = module.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts) + 1))


@dataclass(frozen=True)
class _Reach:
    """Which modules belong to the code of a class."""

    start: str
    """The module of the class."""

    @property
    def root(self) -> str:
        return self.start.partition(".")[0]

    def file_of(self, module: str) -> Path | None:
        """The file of a module that belongs to it; None of others, and of names that are no module."""
        root, _, inner = module.partition(".")
        is_beside = root != self.root
        if is_beside and (root in _OWN or not self.start.startswith(LOCAL)):
            return None
        if inner.rpartition(".")[2] in _WRITTEN_AT_INSTALL:
            return None
        file = _find(module)
        if file is None or (file.suffix != ".py" and module != self.start) or (is_beside and not self._covers(file)):
            return None
        return file

    def _covers(self, file: Path) -> bool:
        """Whether a file lies in or below the folder of the recipe's own file, and was not installed there."""
        own = getattr(sys.modules.get(self.start), "__file__", None)
        if own is None:
            return False
        folder, place = Path(own).resolve().parent, file.resolve()
        libraries = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")]
        if not place.is_relative_to(folder) or any(place.is_relative_to(library) for library in libraries):
            return False
        return _INSTALLED.isdisjoint(place.relative_to(folder).parts)


def _find(module: str) -> Path | None:
    """The file that a module is, or would be, imported from; None where there is none."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if isinstance(file, str):
        return Path(file)
    root, *inner = module.split(".")
    parent = sys.modules.get(module.rpartition(".")[0])
    if parent is not None and not hasattr(parent, "__path__"):
        return None
    origin, folders = _lookup(root)
    if not inner:
        return origin
    for folder in folders:
        place = Path(folder, *inner)
        for candidate in (place / "__init__.py", place.with_name(f"{place.name}.py")):
            if candidate.is_file():
                return candidate
    return None


def _lookup(root: str) -> tuple[Path | None, Sequence[str]]:
    """The file of a module that lies in no package, and the folders of its own modules; imports nothing."""
    loaded = sys.modules.get(root)
    if loaded is not None:
        return None, list(getattr(loaded, "__path__", ()))
    try:
        spec = PathFinder.find_spec(root)
    except (ImportError, ValueError):
        return None, ()
    if spec is None:
        return None, ()
    origin = Path(spec.origin) if spec.has_location and spec.origin is not None else None
    return origin, list(spec.submodule_search_locations or ())


@dataclass(frozen=True)
class _Imported:
    """An import statement; for ``import a.b`` there are no names."""

    source: str
    names: tuple[str, ...] = ()
    level: int = 0
    """Dots before the source."""

    def modules(self, module: str, *, is_package: bool) -> Iterator[str]:
        """The modules that it may import where it stands in ``module``; some may turn out to be names in one."""
        above = module.split(".")
        start = above[: len(above) - self.level + (1 if is_package else 0)] if self.level else []
        source = ".".join([*start, *([self.source] if self.source else [])])
        yield from _with_parents(source)
        yield from (f"{source}.{name}" for name in self.names)


@dataclass(frozen=True)
class _Part:
    """What is known of a file."""

    counted: bytes
    """What of it counts."""
    imports: tuple[_Imported, ...] = ()


def _part_of(name: str, file: Path) -> _Part:
    module = sys.modules.get(name)
    # A reload gives a module another spec.
    return _read(file) if module is None else _as_loaded(_Itself(getattr(module, "__spec__", None) or module), file)


@cache
def _as_loaded(_of: _Itself, file: Path) -> _Part:
    """A file as it was when it was first looked at, however it is edited afterwards: what was imported runs on."""
    return _read(file)


def _read(file: Path) -> _Part:
    try:
        content = file.read_bytes()
    except OSError:
        content = b""
    return _analysed(content) if file.suffix == ".py" else _Part(content)


@lru_cache(maxsize=4096)
def _analysed(content: bytes) -> _Part:
    """What counts of a Python file: all its bytes where they cannot be read as Python."""
    text = _decoded(content)
    try:
        with warnings.catch_warnings():
            # Of the file's own author, such as of invalid escapes.
            warnings.simplefilter("ignore")
            tree = ast.parse(content if text is None else text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _Part(content)
    statements = list(_statements(tree))
    imports = tuple(imported for statement in statements for imported in _imports(statement))
    return _Part(content if text is None else _counted(text, statements), imports)


def _decoded(content: bytes) -> str | None:
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        return io.TextIOWrapper(io.BytesIO(content), encoding).read()
    except (SyntaxError, UnicodeError, LookupError):
        return None


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for block in _BLOCKS:
            waiting += getattr(node, block, ())


def _imports(node: ast.AST) -> Iterator[_Imported]:
    if isinstance(node, ast.Import):
        yield from (_Imported(alias.name) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield _Imported(node.module or "", tuple(alias.name for alias in node.names), node.level)


def _counted(text: str, statements: Sequence[ast.AST]) -> bytes:
    """The code without comments, lines with nothing but a string, blank lines and blanks at the end of a line."""
    # As the tokenizer counts them; `splitlines` ends one at a form feed too.
    lines = text.split("\n")
    inside: set[int] = set()
    opened: list[int] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            (row, column), (end, _) = token.start, token.end
            if token.type == tokenize.COMMENT:
                lines[row - 1] = lines[row - 1][:column]
            elif token.type == tokenize.STRING and end > row:
                inside.update(range(row, end))
            elif token.type in _OPENING:
                opened.append(row)
            elif token.type in _CLOSING:
                inside.update(range(opened.pop(), end))
    except (tokenize.TokenError, SyntaxError):
        return _encoded(text)
    bare = {row for node in statements for row in _rows_of_bare_string(node, lines)}
    # Blanks count in a string of several lines.
    kept = (
        line if row in inside else line.rstrip()
        for row, line in enumerate(lines, start=1)
        if row not in bare and (row in inside or line.strip())
    )
    return _encoded("\n".join(kept))


def _rows_of_bare_string(node: ast.AST, lines: Sequence[str]) -> range:
    """The rows of a docstring, or of another string by itself, that hold nothing else; none of other statements."""
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)):
        return range(0)
    last = node.end_lineno or node.lineno
    # Columns are counted in bytes.
    before = _encoded(lines[node.lineno - 1])[: node.col_offset]
    behind = _encoded(lines[last - 1])[node.end_col_offset :]
    return range(0) if before.strip() or behind.strip() else range(node.lineno, last + 1)


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogatepass")
