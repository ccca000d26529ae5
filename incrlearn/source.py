"""The Python code that a class comes from, as a digest: what tells one state of a plug-in from another."""

from __future__ import annotations

import ast
import hashlib
import io
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

_DIGITS = 12


def code_digest(target: type) -> str | None:
    """A digest of the file of a class and of what that file imports from its own package, and so on.

    Comments, blank lines and blanks at the end of a line do not count, nor does where the files lie. What is imported
    from other packages does not count, nor what is only named while the program runs (``importlib.import_module``).

    Args:
        target: a class whose module was imported.

    Returns:
        12 hexadecimal digits; None where the class has no file, as in a notebook.
    """
    module = target.__module__
    root = module.partition(".")[0]
    # Importing a module imports the packages that it lies in.
    waiting = list(_with_parents(module))
    found: dict[str, str] = {}
    while waiting:
        name = waiting.pop()
        file = _file_of(name, root)
        if name in found or file is None:
            continue
        text = _read(file)
        if text is None:
            continue
        found[name] = _counted(text)
        waiting += _imported(text, name, root, is_package=file.name == "__init__.py")
    if module not in found:
        return None
    # Without the root's own name: a file of a recipe is imported under one that is made up.
    parts = [f"{name.removeprefix(root)}\0{found[name]}\0" for name in sorted(found)]
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:_DIGITS]


def _with_parents(module: str) -> Iterator[str]:
    parts = module.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def _file_of(module: str, root: str) -> Path | None:
    """The file that a module of the package ``root`` is imported from; None where there is none."""
    owner = sys.modules.get(root)
    folders = getattr(owner, "__path__", None)
    if folders is None:
        file = getattr(owner, "__file__", None)
        return Path(file) if module == root and file is not None else None
    inner = module.split(".")[1:]
    for folder in folders:
        place = Path(folder, *inner)
        candidates = (place / "__init__.py", place.with_name(f"{place.name}.py")) if inner else (place / "__init__.py",)
        for file in candidates:
            if file.is_file():
                return file
    return None


def _read(file: Path) -> str | None:
    try:
        with tokenize.open(file) as stream:
            return stream.read()
    except (OSError, SyntaxError, UnicodeDecodeError):
        return None


def _imported(text: str, module: str, root: str, *, is_package: bool) -> Iterator[str]:
    """The modules of the package ``root`` that a file may import; some may turn out to be names in one."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")
            kept = len(above) - node.level + (1 if is_package else 0)
            start = [".".join(above[:kept])] if node.level else []
            source = ".".join([*start, *([node.module] if node.module else [])])
            names = [source, *(f"{source}.{alias.name}" for alias in node.names)]
        for name in names:
            if name.partition(".")[0] == root:
                yield from _with_parents(name)


def _counted(text: str) -> str:
    """The code without comments, blank lines and blanks at the end of a line."""
    # As the tokenizer counts them; `splitlines` ends one at a form feed too.
    lines = text.split("\n")
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                row, column = token.start
                lines[row - 1] = lines[row - 1][:column]
    except (tokenize.TokenError, SyntaxError):
        lines = text.split("\n")
    return "\n".join(line.rstrip() for line in lines if line.strip())
