"""YAML as a tree in which every value knows its place; and plain values back into YAML."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import yaml
from yaml.composer import Composer
from yaml.events import AliasEvent
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from incrlearn.errors import Problem, RecipeError
from incrlearn.recipe.scalars import Scalar, parse_scalar
from incrlearn.recipe.syntax import syntax_problem
from incrlearn.recipe.wording import space_hint, spaced_out

_TEXT_TAG = "tag:yaml.org,2002:str"
_PLAIN_TAG = "plain"


@dataclass(frozen=True)
class Place:
    """Where a value was written: a line of a file, or an override."""

    file: Path | None = None
    line: int | None = None
    override: str | None = None
    """``path=value`` as on the command line."""
    layer: int = field(default=0, compare=False)
    """What was written later lies over what was before: 0 is the recipe itself, less what it extends, more edits."""

    def folder(self, base: Path) -> Path:
        """What a relative path written here is meant from: its file's folder, the current one on the command line.

        Args:
            base: for what was written in neither.
        """
        if self.override is not None:
            return Path.cwd()
        return self.file.parent if self.file is not None else base


@dataclass(frozen=True)
class Node:
    """A value with its place; in a mapping, the place is that of its key."""

    value: Scalar | tuple[Node, ...] | dict[str, Node]
    place: Place
    replaces: Node | None = None
    """What was there before, of an extended recipe or before an edit, and is not merged with it."""

    def get(self, key: str) -> Node | None:
        """The value under ``key``; None where there is none or this is no mapping."""
        return self.value.get(key) if isinstance(self.value, dict) else None

    def plain(self) -> Any:  # noqa: ANN401 (what YAML can say)
        """The value without places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, tuple):
            return [node.plain() for node in self.value]
        return self.value


def places_of(node: Node, path: str = "") -> dict[str, Place]:
    """The place of every mapping key below ``node``, by dotted path."""
    if not isinstance(node.value, dict):
        return {}
    places: dict[str, Place] = {}
    for key, child in node.value.items():
        below = f"{path}.{key}" if path else key
        places |= {below: child.place, **places_of(child, below)}
    return places


class Problems:
    """Collects what is wrong with one recipe."""

    def __init__(self, source: str, file: Path | None = None) -> None:
        """Start with nothing wrong.

        Args:
            source: what the recipe is called in the error.
            file: its own file; places in others are told with their name.
        """
        self._source = source
        self._file = file
        self._found: list[Problem] = []

    def add(self, place: Place, message: str) -> None:
        """Take note of a problem; the same one is told once."""
        line = place.line
        if place.override is not None:
            path = place.override.partition("=")[0]
            message, line = f"--set {place.override}: {message.removeprefix(f'{path}: ')}", None
        elif place.file is not None and place.file != self._file:
            where = f"{place.file.name}, line {line}" if line is not None else place.file.name
            message, line = f"{where}: {message}", None
        problem = Problem(message, line)
        if problem not in self._found:
            self._found.append(problem)

    def __bool__(self) -> bool:
        return bool(self._found)

    def error(self) -> RecipeError:
        """All of them, to be raised."""
        return RecipeError(self._source, self._found)


def read_yaml(text: str, place: Place, problems: Problems) -> Node | None:
    """Parse one YAML document; None where it cannot be parsed (the problem is told), a null node where it is empty.

    Args:
        text: the document.
        place: its file or override; lines are filled in unless it is an override.
        problems: takes what is wrong, such as a key written twice.
    """
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problems.add(_at(place, line), f"not valid YAML: the character {chr(error.character)!r} is not allowed")
        return None
    except yaml.MarkedYAMLError as error:
        broken, message = syntax_problem(error, text)
        problems.add(_at(place, broken), message)
        return None
    except (ValueError, OverflowError):
        # PyYAML lets chr() fail on escapes such as "\UFFFFFFFF".
        problems.add(
            _at(place, loader.line + 1 if loader is not None else None),
            "not valid YAML: an escape in quotes that stands for no character",
        )
        return None
    except RecursionError:
        problems.add(place, "not read: nested too deeply")
        return None
    if root is None:
        return Node(None, place)
    return _convert(root, _at(place, root.start_mark.line + 1), problems)


def from_plain(value: object, place: Place, problems: Problems, path: str = "") -> Node:
    """A tree from plain Python values, all at one place."""
    if isinstance(value, dict):
        children: dict[str, Node] = {}
        for key, child in value.items():
            if not isinstance(key, str):
                problems.add(place, f"{path or 'recipe'}: the key {key!r} must be text")
                continue
            children[key] = from_plain(child, place, problems, f"{path}.{key}" if path else key)
        return Node(children, place)
    if isinstance(value, (list, tuple)):
        return Node(tuple(from_plain(child, place, problems, path) for child in value), place)
    if value is None or isinstance(value, (bool, int, float, str)):
        if isinstance(value, float) and not _is_finite(value):
            problems.add(place, f"{path}: {value} is not a finite number")
            return Node(None, place)
        return Node(value, place)
    problems.add(place, f"{path}: {value!r} is no plain value")
    return Node(None, place)


def dump_yaml(value: object) -> str:
    """YAML that `read_yaml` reads back to the same plain values: text that looks like a number is quoted."""
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120))


class _Loader(Reader, Scanner, Parser, Composer, BaseResolver):
    """PyYAML's composer that leaves plain scalars to `parse_scalar` and refuses aliases."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:  # noqa: ANN401 (PyYAML's signature)
        """The tag of a node without one: plain scalars get their own."""
        if kind is yaml.ScalarNode and implicit[0]:
            return _PLAIN_TAG
        return str(super().resolve(kind, value, implicit))  # type: ignore[no-untyped-call]

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose a node unless it is an alias."""
        if self.check_event(AliasEvent):
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(
                problem=f"aliases such as *{event.anchor} are not read: write the value out, or use 'extends'",
                problem_mark=event.start_mark,
            )
        return super().compose_node(parent, index)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    try:
        is_text = isinstance(parse_scalar(text), str)
    except ValueError:
        is_text = False
    # Unquoted and in single quotes, YAML folds line breaks, and U+0085 is one.
    is_safe = is_text and text.isprintable() and spaced_out(text) is None
    return dumper.represent_scalar(_TEXT_TAG, text, style=None if is_safe else '"')


class _Dumper(yaml.SafeDumper):
    """Quotes text that our scalars would take for a number, a boolean or null; writes no anchors."""

    yaml_representers: ClassVar[dict[Any, Any]] = {**yaml.SafeDumper.yaml_representers, str: _represent_text}

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002 (PyYAML's signature)
        """Write equal objects out each time: `read_yaml` takes no aliases."""
        return True


def _convert(node: yaml.Node, place: Place, problems: Problems) -> Node:
    if isinstance(node, yaml.MappingNode):
        _refuse_tag(node, "tag:yaml.org,2002:map", place, problems)
        return Node(_convert_pairs(node.value, place, problems), place)
    if isinstance(node, yaml.SequenceNode):
        _refuse_tag(node, "tag:yaml.org,2002:seq", place, problems)
        items = (_convert(item, _at(place, item.start_mark.line + 1), problems) for item in node.value)
        return Node(tuple(items), place)
    text = str(node.value)
    if any("\ud800" <= character <= "\udfff" for character in text):
        problems.add(place, "half a surrogate pair is not a character")
        return Node(None, place)
    if node.tag != _PLAIN_TAG:
        _refuse_tag(node, _TEXT_TAG, place, problems)
        return Node(text, place)
    try:
        return Node(parse_scalar(text), place)
    except ValueError as error:
        problems.add(place, str(error))
        return Node(None, place)


def _convert_pairs(pairs: Iterable[tuple[yaml.Node, yaml.Node]], place: Place, problems: Problems) -> dict[str, Node]:
    children: dict[str, Node] = {}
    lines: dict[str, int] = {}
    for key_node, value_node in pairs:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            problems.add(_at(place, line), "a key must be a word, not a list or a mapping")
            continue
        key = str(key_node.value)
        has_value = value_node.start_mark != value_node.end_mark
        # With a value behind it, such as in `lr:0.1: {...}`, it is a name, unless a bracket says that it is none.
        may_be_pair = key_node.tag == _PLAIN_TAG and (not has_value or bool(set(key) & set("{}[]")))
        pair = spaced_out(key) if may_be_pair else None
        if pair is not None:
            problems.add(_at(place, line), f"'{key}' is one word to YAML{space_hint(key)}")
            if has_value:
                continue
            # What was meant is known, and goes on to be read.
            key, value_node = pair[0], yaml.ScalarNode(_PLAIN_TAG, pair[1], value_node.start_mark, value_node.end_mark)
        if key in children:
            problems.add(_at(place, line), f"'{key}' is written twice (first on line {lines[key]})")
            continue
        lines[key] = line
        children[key] = _convert(value_node, _at(place, line), problems)
    return children


def _refuse_tag(node: yaml.Node, usual: str, place: Place, problems: Problems) -> None:
    if node.tag != usual:
        tag = str(node.tag).replace("tag:yaml.org,2002:", "!!")
        problems.add(place, f"the tag {tag} is not read; write the value without it")


def _at(place: Place, line: int | None) -> Place:
    return place if place.override is not None else replace(place, line=line)


def _is_finite(number: float) -> bool:
    return number - number == 0
