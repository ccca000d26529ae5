"""Tables of what a class has, attributes and calls, read from its source, for tools/reference.py. Pure functions."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Collection, Iterator
from itertools import pairwise
from textwrap import dedent
from types import ModuleType
from typing import TypeGuard

_Function = ast.FunctionDef
_CALLS = ("__call__", "forward")
"""Methods that are called by calling the object."""
_SECTION = re.compile(r"^(Args|Attributes|Raises|Returns):\n((?:[ ]{4}.*\n?|\n)+)", flags=re.MULTILINE)


def class_section(kind: type, called: str, others: Collection[type] = ()) -> Iterator[str]:
    """The docstring of a class and its tables, in Markdown.

    Args:
        kind: the class.
        called: what an object of it is called.
        others: classes that have a section too; what ``kind`` inherits from them is not told again.
    """
    yield markdown(_SECTION.sub("", (inspect.getdoc(kind) or "") + "\n"))
    parents = [base for base in kind.__mro__[1:] if base in others]
    yield from (f"It has all that [{base.__name__}](#{base.__name__.lower()}) has, and:" for base in parents)
    yield from _table("attribute | type | what it holds", attributes_of(kind, parents))
    yield from _table("call | gives | what it does", calls_of(kind, called, parents))


def attributes_of(kind: type, parents: Collection[type] = ()) -> Iterator[tuple[str, str, str]]:
    """Name, type and docstring of each attribute of a class, in the order of the source; methods are none.

    Those that its docstring tells below ``Attributes:`` come first, with the types that they have in ``__init__``.
    """
    body = _body(kind)
    told = dict(_SECTION.findall((inspect.getdoc(kind) or "") + "\n")).get("Attributes", "")
    types = _types_in_init(body)
    for name, about in re.findall(r"^(\w+): (.+(?:\n .+)*)", dedent(told), flags=re.MULTILINE):
        yield name, types[name], _sentence(about[0].upper() + about[1:])
    for node, below in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            words = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else ""
            yield node.target.id, ast.unparse(node.annotation), _words(str(words), without="Raises")
        elif _is_public(node, parents) and _has_decorator(node, "property"):
            yield node.name, _returned(node), _words(ast.get_docstring(node) or "", without="Raises")


def calls_of(kind: type, called: str, parents: Collection[type] = ()) -> Iterator[tuple[str, str, str]]:
    """How each method of a class is called, what it gives and its docstring, in the order of the source.

    Of those with two underscores on each side only such as bear a docstring are told, and how an object is made.
    """
    for node in _body(kind):
        if isinstance(node, _Function) and node.name == "__init__" and node.args.args[1:]:
            yield f"{kind.__name__}({_arguments(node)})", kind.__name__, "Makes one."
        if not _is_public(node, parents) or _has_decorator(node, "property"):
            continue
        yield _call(node, kind, called), _returned(node), _words(ast.get_docstring(node) or "")


def alias_docstring(module: ModuleType, name: str) -> str:
    """What stands below the assignment of a name in a module."""
    body = ast.parse(inspect.getsource(module)).body
    for node, below in pairwise(body):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name and isinstance(below, ast.Expr):
            return _sentence(str(ast.literal_eval(below.value)))
    raise ValueError(f"{module.__name__} tells nothing of {name}")


def markdown(docstring: str) -> str:
    """A docstring of this house as Markdown: code in single backticks."""
    return docstring.replace("``", "`")


def table_row(*cells: str) -> str:
    """A row of a table of Markdown."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _table(heading: str, rows: Iterator[tuple[str, str, str]]) -> Iterator[str]:
    lines = [table_row(f"`{name}`", gives, markdown(about)) for name, gives, about in rows]
    if lines:
        yield "\n".join([f"| {heading} |", "|---|---|---|", *lines])


def _body(kind: type) -> list[ast.stmt]:
    (definition,) = ast.parse(dedent(inspect.getsource(kind))).body
    return definition.body if isinstance(definition, ast.ClassDef) else []


def _types_in_init(body: list[ast.stmt]) -> dict[str, str]:
    """The types of what ``__init__`` assigns: as annotated there, of an argument, or what is made there."""
    types: dict[str, str] = {}
    for init in (node for node in body if isinstance(node, _Function) and node.name == "__init__"):
        of_arguments = {one.arg: ast.unparse(one.annotation) for one in init.args.args if one.annotation is not None}
        for node in init.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Attribute):
                types[node.target.attr] = ast.unparse(node.annotation)
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
                made = ast.unparse(node.value.func if isinstance(node.value, ast.Call) else node.value)
                types[node.targets[0].attr] = of_arguments.get(made, made)
    return types


def _is_public(node: ast.stmt | None, parents: Collection[type]) -> TypeGuard[_Function]:
    if not isinstance(node, _Function) or any(node.name in vars(parent) for parent in parents):
        return False
    is_special = node.name.startswith("__") and node.name not in ("__init__", "__setattr__")
    return not node.name.startswith("_") or (is_special and ast.get_docstring(node) is not None)


def _has_decorator(node: ast.stmt, name: str) -> bool:
    return isinstance(node, _Function) and any(ast.unparse(one) == name for one in node.decorator_list)


def _returned(node: _Function) -> str:
    return ast.unparse(node.returns) if node.returns is not None else ""


def _call(node: _Function, kind: type, called: str) -> str:
    if node.name == "__add__":
        return f"{called} + {node.args.args[1].arg}"
    if node.name in ("__len__", "__str__"):
        return f"{node.name.strip('_')}({called})"
    if node.name in _CALLS:
        return f"{called}({_arguments(node)})"
    return f"{kind.__name__ if _has_decorator(node, 'classmethod') else called}.{node.name}({_arguments(node)})"


def _arguments(node: _Function) -> str:
    """Those behind ``self`` or ``cls``, with types and defaults."""
    names = [ast.unparse(one) for one in node.args.args[1:]]
    defaults = [f" = {ast.unparse(one)}" for one in node.args.defaults]
    defaults = [""] * (len(names) - len(defaults)) + defaults
    return ", ".join(name + default for name, default in zip(names, defaults, strict=True))


def _words(docstring: str, without: str = "") -> str:
    """A docstring on one line, its sections as sentences behind it; the section ``without`` is left out."""

    def as_sentences(found: re.Match[str]) -> str:
        if found[1] == without:
            return ""
        items = re.findall(r"^(\w+): (.+(?:\n .+)*)", dedent(found[2]), flags=re.MULTILINE)
        lead = "Raises " if found[1] == "Raises" else ""
        return " ".join(["", *(f"{lead}`{name}`: {about}" for name, about in items)]) if items else found[2]

    return _sentence(_SECTION.sub(as_sentences, docstring + "\n"))


def _sentence(text: str) -> str:
    return " ".join(text.split())
