"""From a recipe file to one tree: shorthand written out, ``extends`` merged in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from incrlearn.errors import RecipeError, did_you_mean
from incrlearn.recipe.earlier import newer_format
from incrlearn.recipe.misplaced import tell_of_misspelling
from incrlearn.recipe.nodes import Node, Place, Problems, read_yaml
from incrlearn.recipe.shipped import find_recipe
from incrlearn.recipe.wording import show, space_hint

_NOT_INHERITED = frozenset({"expected", "code"})


def read_tree(path: Path, problems: Problems) -> Node | None:
    """A recipe file with what it extends; None where a file cannot be read (the problem is told)."""
    return _read(path, problems, Place(path), ())


def write_out_shorthand(root: Node) -> Node:
    """``loss: cross_entropy`` as ``loss: {use: cross_entropy}``; the same for ``data``, and ``backbone`` by name."""
    if not isinstance(root.value, dict):
        return root
    rows = dict(root.value)
    for key, word in (("data", "use"), ("backbone", "name")):
        if key in rows:
            rows[key] = spelled_out(rows[key], word)
    plugins = rows.get("plugins")
    if plugins is not None and isinstance(plugins.value, dict):
        written = {key: spelled_out(node, "use") for key, node in plugins.value.items()}
        rows["plugins"] = Node(written, plugins.place)
    return Node(rows, root.place)


def spelled_out(node: Node, word: str) -> Node:
    """A bare text as a mapping ``{word: text}``; anything else as it is."""
    return Node({word: node}, node.place, node.replaces) if isinstance(node.value, str) else node


def _read(path: Path, problems: Problems, asked: Place, chain: tuple[Path, ...]) -> Node | None:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        problems.add(asked, f"{path} cannot be read: {error.strerror}")
        return None
    except UnicodeDecodeError as error:
        problems.add(asked, f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8")
        return None
    root = read_yaml(text, Place(path, layer=-len(chain)), problems)
    if root is None:
        return None
    if not isinstance(root.value, dict):
        found = show(root.plain()) if root.value is not None else "nothing"
        hint = space_hint(root.value)
        problems.add(root.place, f"a recipe is a mapping with data, backbone and plugins, not {found}{hint}")
        return None
    if (newer := newer_format(root.get("format"))) is not None:
        problems.add(root.value["format"].place, newer)
        return None
    root = write_out_shorthand(root)
    asked_for = root.get("extends")
    if asked_for is None or not isinstance(root.value, dict):
        return root
    own = Node({key: node for key, node in root.value.items() if key != "extends"}, root.place)
    base_path = _find_base(asked_for, path, problems)
    if base_path is None:
        return None
    chain = (*chain, path.resolve())
    if base_path.resolve() in chain:
        circle = " -> ".join(link.name for link in (*chain, base_path))
        problems.add(asked_for.place, f"extends: goes round in a circle: {circle}")
        return None
    base = _read(base_path, problems, asked_for.place, chain)
    return _merge_root(base, own, base_path, problems) if base is not None else None


def _find_base(node: Node, path: Path, problems: Problems) -> Path | None:
    text = node.value
    if not isinstance(text, str):
        problems.add(node.place, f"extends: must be the path of one recipe, not {show(node.plain())}")
        return None
    try:
        return find_recipe(text, path.parent)
    except RecipeError as error:
        problems.add(node.place, f"extends: '{text}': {error.problems[0].message}")
        return None


def _merge_root(base: Node, own: Node, base_path: Path, problems: Problems) -> Node:
    if isinstance(base.value, dict):
        # What the source reports for the base, and the code that a run of it had, are not the variant's.
        base = Node({key: node for key, node in base.value.items() if key not in _NOT_INHERITED}, base.place)
    base_plugins, own_plugins = base.get("plugins"), own.get("plugins")
    if base_plugins is not None and own_plugins is not None and isinstance(own_plugins.value, dict):
        for key, node in own_plugins.value.items():
            if node.value is None and base_plugins.get(key) is None:
                known = list(base_plugins.value) if isinstance(base_plugins.value, dict) else []
                hint = did_you_mean(key, known)
                problems.add(node.place, f"plugins.{key}: there is none to take out of {base_path.name}{hint}")
            else:
                tell_of_misspelling(key, base_plugins, own_plugins)
    return _merge(base, own)


def _merge(base: Node, own: Node) -> Node:
    """``own`` over ``base``, key by key; a row that uses another plug-in replaces the old one with its options."""
    if not (isinstance(base.value, dict) and isinstance(own.value, dict)):
        return own
    merged = dict(base.value)
    for key, node in own.value.items():
        old = merged.get(key)
        merged[key] = node if old is None else _replace(key, old, node)
    return Node(merged, own.place)


def _replace(key: str, old: Node, new: Node) -> Node:
    if new.value is None:
        return in_place_of(old, new)
    if isinstance(new.value, dict) and _is_another_plugin(key, old, new):
        # Its options are its own; a null there may still name an option of the old one.
        options = {key: _taking_out(old.get(key), node) for key, node in new.value.items()}
        return in_place_of(old, Node(options, new.place))
    return _merge(old, new)


def in_place_of(old: Node, new: Node) -> Node:
    """``new``, which knows that ``old`` was there; a null is nothing that was, but for what it took out itself."""
    return replace(new, replaces=old if old.value is not None else old.replaces)


def _taking_out(old: Node | None, node: Node) -> Node:
    """A null that takes out what the base has; anything else as it is."""
    return in_place_of(old, node) if old is not None and node.value is None else node


def _is_another_plugin(key: str, old: Node, new: Node) -> bool:
    old_use, new_use = old.get("use"), new.get("use")
    # The scenario stays when a recipe is moved to another data set.
    return key != "data" and old_use is not None and new_use is not None and old_use.value != new_use.value
