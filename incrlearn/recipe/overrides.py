"""Edits of a recipe: dotted paths into it, which must be there already, as in ``--set path=value``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel

from incrlearn.errors import PluginError, did_you_mean
from incrlearn.recipe.earlier import earlier_names
from incrlearn.recipe.misplaced import tell_of_misspelling
from incrlearn.recipe.nodes import Node, Place, Problems, read_yaml
from incrlearn.recipe.options import BackboneOptions, Expected, RunOptions, ScenarioOptions
from incrlearn.recipe.tree import in_place_of, write_out_shorthand
from incrlearn.recipe.validate import is_free_mapping, nested_model
from incrlearn.recipe.wording import value_text
from incrlearn.registry import Registry

ROOT_KEYS = ("format", "seed", "data", "backbone", "plugins", "precision", "eval_batch", "expected", "code")


@dataclass(frozen=True)
class Edit:
    """One change of a recipe."""

    path: str
    """Dotted, such as ``plugins.train.lr``."""
    value: Node
    """What to put there; ``null`` takes a row of ``plugins`` out."""
    place: Place
    """Where the edit was written."""


def read_overrides(overrides: Sequence[str], problems: Problems) -> list[Edit]:
    """Texts ``path=value`` as after ``--set``; values are YAML. What cannot be read is a problem."""
    edits = []
    for override in overrides:
        place = Place(override=override)
        path, equals, text = override.partition("=")
        if not equals or not all(path.strip().split(".")):
            problems.add(place, "must be path=value, such as plugins.train.lr=0.05 or plugins.auxiliary=null")
            continue
        if not text.strip():
            problems.add(place, "nothing stands behind the '='; write null to take out what is there")
            continue
        value = read_yaml(text, place, problems)
        if value is not None:
            edits.append(Edit(path.strip(), value, place))
    return edits


def apply_edits(root: Node, edits: Sequence[Edit], registry: Registry, base: Path, problems: Problems) -> Node:
    """The tree with each edit in its place, one after the other.

    A path that is neither written nor a known option is a problem, but for a whole new row, such as
    ``plugins.extra={use: name}``: it comes behind the others. A mapping that gives some options of what is there
    is one too: it would lose the others.

    Args:
        root: the recipe.
        edits: what to change.
        registry: for the options that a plug-in knows.
        base: the folder that ``./file.py:Class`` is meant from.
        problems: takes what is wrong.
    """
    for layer, edit in enumerate(edits, start=1):
        keys = edit.path.split(".")
        if (instead := _dotted_instead(root, edit)) is not None:
            told = f"this mapping would stand in place of all that is there; write dotted paths: {instead}"
            problems.add(edit.place, f"{edit.path}: {told}")
            continue
        adds_row = len(keys) == 2 and keys[0] == "plugins" and edit.value.get("use") is not None
        if adds_row and (rows := root.get("plugins")) is not None:
            tell_of_misspelling(keys[1], rows, Node({keys[1]: edit.value}, edit.place))
        if adds_row or _is_known(root, keys, registry, base, edit.place, problems):
            root = write_out_shorthand(_assign(root, keys, _in_layer(edit.value, layer)))
    return root


def _dotted_instead(root: Node, edit: Edit) -> str | None:
    """The first edit, as it is to be written, of a mapping that gives parts of what is there and not all of it."""
    keys, new, there = edit.path.split("."), edit.value, _at(root, edit.path.split("."))
    if not isinstance(new.value, dict) or not new.value or there is None:
        return None
    if keys != ["plugins"] and not _is_part(keys, new, there, nested=edit.place.override is None):
        return None
    path, old = edit.path, there
    while isinstance(new.value, dict) and new.value and not (path.startswith("plugins.") and _is_other(new, old)):
        changed = (key for key, child in new.value.items() if _plain(old, key) != child.plain())
        key = next(changed, next(iter(new.value)))
        path, new, old = f"{path}.{key}", new.value[key], old.get(key) or Node(None, old.place)
    text = value_text(new.plain())
    return f"{path}: {text}" if edit.place.override is None else f"{path}={text}"


def _is_part(keys: Sequence[str], new: Node, there: Node, *, nested: bool) -> bool:
    """Whether a mapping lacks what makes it whole or, in an ablation's file, would lose what was not meant to go."""
    is_row = len(keys) == 2 and keys[0] == "plugins"
    if not is_row and keys not in (["data"], ["backbone"]):
        return False
    word = "name" if keys == ["backbone"] else "use"
    if there.get(word) is None or new.get(word) is None:
        return there.get(word) is not None
    # Another data set brings its own options; those of another backbone are of the same kind.
    loses = any(new.get(key) is None for key in _written_below(there, ()))
    return nested and loses and not is_row and not _is_other(new, there)


def _is_other(new: Node, old: Node) -> bool:
    return new.get("use") is not None and _plain(new, "use") != _plain(old, "use")


def _plain(node: Node, key: str) -> object:
    child = node.get(key)
    return child.plain() if child is not None else None


def _in_layer(node: Node, layer: int) -> Node:
    """The same, written in another layer of the recipe."""
    value = node.value
    if isinstance(value, dict):
        value = {key: _in_layer(child, layer) for key, child in value.items()}
    elif isinstance(value, tuple):
        value = tuple(_in_layer(child, layer) for child in value)
    return Node(value, replace(node.place, layer=layer), node.replaces)


@dataclass(frozen=True)
class _Known:
    """What may stand below a path."""

    keys: frozenset[str]
    is_free: bool = False
    """Any key may."""


def _is_known(
    root: Node, keys: Sequence[str], registry: Registry, base: Path, place: Place, problems: Problems
) -> bool:
    for depth, key in enumerate(keys):
        known = _known_below(root, keys[:depth], registry, base)
        if key in known.keys or known.is_free:
            continue
        path, parent = ".".join(keys), ".".join(keys[:depth])
        if not known.keys:
            problems.add(place, f"{path}: '{parent}' is a single value, nothing is below it")
            return False
        below = f" below '{parent}'" if parent else ""
        hint = _full_path(root, keys, registry, base) if not parent else ""
        hint = hint or did_you_mean(key, _without_nulls(root, parent, known.keys))
        if parent == "plugins":
            hint += "; a new row is given whole: plugins.name={use: name}"
        problems.add(place, f"{path}: this recipe has no '{key}'{below}{hint}")
        return False
    return True


def _without_nulls(root: Node, parent: str, keys: frozenset[str]) -> set[str]:
    """Of the rows of ``plugins`` those that are there; other keys as they are."""
    rows = root.get("plugins")
    if parent != "plugins" or rows is None:
        return set(keys)
    return {key for key in keys if (row := rows.get(key)) is not None and row.value is not None}


def _full_path(root: Node, keys: Sequence[str], registry: Registry, base: Path) -> str:
    """The end of a message about a path that lacks its beginning: a row of ``plugins``, or an option of one."""
    rows = root.get("plugins")
    written = rows.value if rows is not None and isinstance(rows.value, dict) else {}
    if keys[0] in written:
        return f"; did you mean plugins.{'.'.join(keys)}?"
    owners = [
        key
        for key, row in written.items()
        if row.value is not None
        and any(keys[0] in model.model_fields for model in _config_of(rows, key, registry, base))
    ]
    paths = [f"plugins.{owner}.{'.'.join(keys)}" for owner in owners]
    return f"; did you mean {' or '.join(paths)}?" if paths else ""


def _known_below(root: Node, path: Sequence[str], registry: Registry, base: Path) -> _Known:
    written = _written_below(root, path)
    if not path:
        return _Known(frozenset({*ROOT_KEYS, *written}))
    top = path[0]
    if top == "plugins" and len(path) == 1:
        return _Known(written)
    models: list[type[BaseModel]] = []
    inner = path[1:]
    if top == "plugins":
        models, inner = _config_of(root.get("plugins"), path[1], registry, base), path[2:]
    elif top == "data":
        models = [ScenarioOptions, *_config_of(root, "data", registry, base)]
    elif top in ("backbone", "expected"):
        models = [BackboneOptions if top == "backbone" else Expected]
    elif top in RunOptions.model_fields:
        return _Known(written)
    below = _fields_below(models, inner)
    with_use = {"use"} if top in ("plugins", "data") and not inner else set()
    return _Known(below.keys | written | with_use, below.is_free)


def _fields_below(models: Sequence[type[BaseModel]], path: Sequence[str]) -> _Known:
    if not path:
        return _Known(frozenset(name for model in models for name in (*model.model_fields, *earlier_names(model))))
    for model in models:
        field = model.model_fields.get(path[0])
        if field is None:
            continue
        if is_free_mapping(field.annotation):
            return _Known(frozenset(), is_free=len(path) == 1)
        nested = nested_model(field.annotation)
        return _fields_below([nested], path[1:]) if nested is not None else _Known(frozenset())
    return _Known(frozenset())


def _written_below(root: Node, path: Sequence[str]) -> frozenset[str]:
    node = _at(root, path)
    return frozenset(node.value) if node is not None and isinstance(node.value, dict) else frozenset()


def _at(root: Node, path: Sequence[str]) -> Node | None:
    node: Node | None = root
    for key in path:
        node = node.get(key) if node is not None else None
    return node


def _config_of(parent: Node | None, key: str, registry: Registry, base: Path) -> list[type[BaseModel]]:
    row = parent.get(key) if parent is not None else None
    use = row.get("use") if row is not None else None
    if use is None or not isinstance(use.value, str):
        return []
    folder = use.place.folder(base)
    try:
        return [registry.load(use.value, folder).Config]
    except PluginError:
        # It is told when the recipe itself is read; until then its options are those that are written.
        return []


def _assign(node: Node, keys: Sequence[str], value: Node) -> Node:
    if not keys:
        return in_place_of(node, value)
    children = dict(node.value) if isinstance(node.value, dict) else {}
    old = children.get(keys[0], Node({}, value.place))
    children[keys[0]] = _assign(old, keys[1:], value)
    return Node(children, node.place)
