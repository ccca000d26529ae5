"""Ablation files: a base recipe, seeds, named variants as dotted edits, and the columns of the table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from incrlearn.ablation.grid import BASE, Grid, Sketch, build_variants, edit_text, leave_one_out
from incrlearn.ablation.table import column_names
from incrlearn.errors import RecipeError, did_you_mean
from incrlearn.recipe import (
    Edit,
    Node,
    Place,
    Problems,
    Recipe,
    describe,
    find_recipe,
    find_shipped,
    load_recipe,
    read_overrides,
    read_yaml,
    shipped_ablations,
    shipped_recipes,
)
from incrlearn.recipe.shipped import recipe_name
from incrlearn.recipe.wording import show
from incrlearn.registry import Registry

_KEYS = ("base", "seeds", "variants", "columns")


def read_grid(text: str, overrides: Sequence[str], seeds: Sequence[int], registry: Registry) -> Grid:
    """The grid of an ablation file, or of a recipe with one plug-in left out at a time.

    Args:
        text: a file, or the name of a shipped ablation or recipe. A file with a row ``base`` is an ablation.
        overrides: ``path=value`` texts for the base.
        seeds: instead of the file's; none: those.
        registry: the plug-ins there are.

    Raises:
        RecipeError: with everything that is wrong.
    """
    path = find_shipped(text, (*shipped_ablations(), *shipped_recipes()), "ablation or recipe")
    problems = Problems(str(path), path)
    root = _read_root(path, problems)
    if root is None or (root.get("base") is None and root.get("variants") is None):
        return leave_one_out(path, overrides, seeds, registry)
    return _read_ablation(path, root, overrides, seeds, registry, problems)


def _read_root(path: Path, problems: Problems) -> Node | None:
    """The file as a tree; None where it is for a recipe's reader to tell what is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None
    root = read_yaml(text, Place(path), problems)
    return root if root is not None and isinstance(root.value, dict) else None


def _read_ablation(
    path: Path, root: Node, overrides: Sequence[str], seeds: Sequence[int], registry: Registry, problems: Problems
) -> Grid:
    assert isinstance(root.value, dict)
    for key, node in root.value.items():
        if key not in _KEYS:
            problems.add(node.place, f"{key}: no such part of an ablation{_hint(key, root)}")
    base = _read_base(path, root, overrides, registry, problems)
    own_seeds = _read_seeds(root.get("seeds"), problems)
    columns = _read_columns(root.get("columns"), problems)
    sketches = _read_variants(root.get("variants"), root.place, problems)
    if base is None:
        raise problems.error()
    base_edits = read_overrides(overrides, problems)
    variants = build_variants(base, base_edits, sketches, registry, problems)
    if problems:
        raise problems.error()
    own_name = next((variant.name for variant in variants if not variant.edits), BASE)
    chosen = tuple(seeds) or own_seeds or (base.seed,)
    name, title, changes = recipe_name(path), describe(path) or path.stem, tuple(map(edit_text, base_edits))
    return Grid(name, path, title, own_name, tuple(variants), chosen, columns, changes)


def _hint(key: str, root: Node) -> str:
    if key != "extends":
        return did_you_mean(key, _KEYS)
    if root.get("base") is not None:
        return "; an ablation names its recipe as base, which is given too; leave this out"
    named = root.get(key)
    example = named.value if named is not None and isinstance(named.value, str) else "der_digits"
    return f"; an ablation names its recipe as base; write base: {example}"


def _read_base(
    path: Path, root: Node, overrides: Sequence[str], registry: Registry, problems: Problems
) -> Recipe | None:
    # With what was meant known, the variants can be read too.
    node = root.get("base") or root.get("extends")
    if node is None:
        problems.add(root.place, "base: missing; write, for example, base: der_digits")
        return None
    if not isinstance(node.value, str):
        problems.add(node.place, f"base: must be a recipe's path from this file, or its name, not {show(node.plain())}")
        return None
    try:
        found = find_recipe(node.value, path.parent)
    except RecipeError as error:
        problems.add(node.place, f"base: '{node.value}': {error.problems[0].message}")
        return None
    try:
        return load_recipe(found, registry, overrides)
    except RecipeError as error:
        for problem in error.problems:
            problems.add(Place(found, problem.line), problem.message)
        return None


def _read_seeds(node: Node | None, problems: Problems) -> tuple[int, ...]:
    if node is None:
        return ()
    seeds = node.plain()
    if not isinstance(seeds, list) or not seeds or not all(type(seed) is int and seed >= 0 for seed in seeds):
        problems.add(
            node.place, f"seeds: must be a list such as [1, 2, 3], of whole numbers of at least 0, not {show(seeds)}"
        )
        return ()
    twice = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if twice:
        problems.add(node.place, f"seeds: given twice: {', '.join(map(str, twice))}")
    return tuple(seeds)


def _read_columns(node: Node | None, problems: Problems) -> tuple[str, ...]:
    if node is None:
        return ()
    columns = node.plain()
    if not isinstance(columns, list) or not columns or not all(isinstance(name, str) for name in columns):
        problems.add(node.place, f"columns: must be a list of metrics, such as [average, last], not {show(columns)}")
        return ()
    for name in columns:
        if name not in column_names():
            problems.add(node.place, f"columns: no metric is called '{name}'{did_you_mean(name, column_names())}")
        if columns.count(name) > 1:
            problems.add(node.place, f"columns: '{name}' is given twice")
    return tuple(columns)


def _read_variants(node: Node | None, place: Place, problems: Problems) -> list[Sketch]:
    example = "variants: {without auxiliary: {plugins.auxiliary: null}}"
    if node is None or node.value is None or node.value == {}:
        where = node.place if node is not None else place
        problems.add(where, f"variants: there are none; write, for example, {example}")
        return []
    if not isinstance(node.value, dict):
        problems.add(node.place, f"variants: must be a mapping of names to edits, such as {example}")
        return []
    sketches = []
    for name, edits in node.value.items():
        if not name.strip():
            problems.add(edits.place, "variants: a name is blank; say what the variant is")
        if not isinstance(edits.value, dict):
            example = "{plugins.train.lr: 0.05}"
            told = f"must be a mapping of dotted paths, such as {example}, not {show(edits.plain())}"
            problems.add(edits.place, f"variant '{name}': {told}")
            continue
        read = [Edit(path, value, value.place) for path, value in edits.value.items()]
        sound = [edit for edit in read if not _is_no_edit(name, edit, problems)]
        # What is told once need not be told again of the recipe that it would make.
        if sound == read:
            sketches.append(Sketch(name, tuple(read), edits.place))
    bases = [sketch for sketch in sketches if not sketch.edits]
    for sketch in bases[1:]:
        problems.add(sketch.place, f"variant '{sketch.name}': '{bases[0].name}' stands for the base already; edit it")
    return [sketch for sketch in sketches if sketch not in bases[1:]]


def _is_no_edit(variant: str, edit: Edit, problems: Problems) -> bool:
    if not all(edit.path.split(".")):
        problems.add(edit.place, f"variant '{variant}': '{edit.path}' is no dotted path such as plugins.train.lr")
        return True
    if edit.path == "seed":
        problems.add(edit.place, f"variant '{variant}': seeds are those of the whole ablation; leave seed out")
        return True
    return False
