"""From a file, or from plain values, to a `Recipe`; every problem is found before any is told."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from incrlearn.errors import Deprecation, PluginError, did_you_mean
from incrlearn.plugin import Plugin
from incrlearn.recipe.earlier import newer_format, use_names_of_today
from incrlearn.recipe.fit import Row, check_fit
from incrlearn.recipe.model import DataChoice, PluginChoice, Recipe
from incrlearn.recipe.nodes import Node, Place, Problems, from_plain, places_of
from incrlearn.recipe.options import BackboneOptions, Expected, RunOptions, ScenarioOptions
from incrlearn.recipe.overrides import ROOT_KEYS, Edit, apply_edits, read_overrides
from incrlearn.recipe.shipped import recipe_name
from incrlearn.recipe.tree import read_tree, write_out_shorthand
from incrlearn.recipe.validate import ModelT, validate
from incrlearn.recipe.wording import show
from incrlearn.registry import Registry, absolute_use


def load_recipe(path: Path, registry: Registry, overrides: Sequence[str] = (), seed: int | None = None) -> Recipe:
    """Read, merge, override and validate a recipe file.

    Args:
        path: the file; see `find_recipe` for names.
        registry: the plug-ins there are.
        overrides: ``path=value`` texts as after ``--set``.
        seed: another seed, at least 0; None keeps the recipe's.

    Raises:
        RecipeError: with everything that is wrong, each problem with its line.
    """
    problems = Problems(str(path), path)
    if seed is not None:
        overrides = (*overrides, f"seed={seed}")
    return load_edited(path, registry, read_overrides(overrides, problems), problems)


def load_edited(path: Path, registry: Registry, edits: Sequence[Edit], problems: Problems) -> Recipe:
    """Read, merge, edit and validate a recipe file.

    Args:
        path: the file.
        registry: the plug-ins there are.
        edits: changes, in this order.
        problems: takes what is wrong; may hold problems already.

    Raises:
        RecipeError: with all of ``problems``.
    """
    root = read_tree(path, problems)
    if root is None:
        raise problems.error()
    if root.get("variants") is not None and root.get("plugins") is None:
        problems.add(root.place, "this is an ablation, no recipe; make its table with incrlearn ablate")
        raise problems.error()
    root = apply_edits(root, edits, registry, path.parent, problems)
    return _build(root, recipe_name(path), path, _Reading(registry, path.parent, problems))


def load_written(path: Path, registry: Registry) -> Recipe:
    """Read a recipe that a run wrote; earlier names of options in it are nothing to be told of.

    Args:
        path: the file.
        registry: the plug-ins there are.

    Raises:
        RecipeError: with everything that is wrong, each problem with its line.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Deprecation)
        return load_recipe(path, registry)


def recipe_from_dict(data: dict[str, Any], registry: Registry, name: str) -> Recipe:
    """Validate plain values, such as `Recipe.resolved` gave; ``extends`` is for files only.

    Args:
        data: the recipe; relative ``./file.py:Class`` are meant from the current folder.
        registry: the plug-ins there are.
        name: what to call it.

    Raises:
        RecipeError: with everything that is wrong.
    """
    problems = Problems(name)
    root = write_out_shorthand(from_plain(data, Place(), problems))
    return _build(root, name, None, _Reading(registry, Path.cwd(), problems))


@dataclass(frozen=True, eq=False)
class _Reading:
    """What validating a recipe needs beside its tree."""

    registry: Registry
    base: Path
    """Where relative files are meant from, unless the tree says otherwise."""
    problems: Problems


def _build(root: Node, name: str, path: Path | None, reading: _Reading) -> Recipe:
    problems = reading.problems
    rows = {key: node for key, node in _rows(root).items() if node.value is not None}
    if (newer := newer_format(rows.get("format"))) is not None:
        # Whatever else seems wrong may be right in that format.
        later = Problems(str(path) if path is not None else name, path)
        later.add(rows["format"].place, newer)
        raise later.error()
    for key, node in rows.items():
        if key not in ROOT_KEYS:
            problems.add(node.place, f"{key}: no such part of a recipe{did_you_mean(key, ROOT_KEYS)}")
    run_rows = {key: node for key, node in rows.items() if key in RunOptions.model_fields}
    run = validate(RunOptions, Node(run_rows, root.place), "", problems)
    data = _read_data(rows.get("data"), root.place, reading)
    backbone = _read_section(BackboneOptions, "backbone", "{name: resnet18, stem: cifar}", rows, root.place, problems)
    expected = validate(Expected, rows["expected"], "expected", problems) if "expected" in rows else None
    plugins = _read_plugins(rows.get("plugins"), root.place, reading)
    if problems or run is None or data is None or backbone is None:
        raise problems.error()
    return Recipe(
        name=name,
        path=path,
        seed=run.seed,
        data=data,
        backbone=backbone,
        plugins=plugins,
        precision=run.precision,
        eval_batch=run.eval_batch,
        expected=expected,
        places=places_of(root),
    )


def _rows(node: Node) -> dict[str, Node]:
    return node.value if isinstance(node.value, dict) else {}


def _read_section(
    model: type[ModelT], key: str, example: str, rows: dict[str, Node], place: Place, problems: Problems
) -> ModelT | None:
    if key not in rows:
        problems.add(place, f"{key}: missing; write, for example, {key}: {example}")
        return None
    return validate(model, rows[key], key, problems)


def _read_data(node: Node | None, place: Place, reading: _Reading) -> DataChoice | None:
    if node is None:
        reading.problems.add(place, "data: missing; write, for example, data: {use: cifar100, tasks: 10}")
        return None
    found = _find_plugin(node, "data", reading)
    if not isinstance(node.value, dict):
        return None
    scenario_keys = set(ScenarioOptions.model_fields)
    scenario_rows = {key: child for key, child in node.value.items() if key in scenario_keys}
    scenario = validate(ScenarioOptions, Node(scenario_rows, node.place), "data", reading.problems)
    if found is None:
        return None
    use, plugin = found
    use_place = node.value["use"].place
    if plugin.kind != "data":
        reading.problems.add(use_place, f"data.use: '{use}' is of kind '{plugin.kind}'; name it under plugins")
        return None
    both = scenario_keys & set(plugin.Config.model_fields)
    if both:
        words = f"its options {sorted(both)} bear names of the scenario's"
        reading.problems.add(use_place, f"data.use: '{use}' cannot be used: {words}")
        return None
    options = {key: child for key, child in node.value.items() if key not in scenario_keys}
    config = _read_config(plugin, Node(options, node.place), "data", reading.problems, scenario_keys)
    if scenario is None or config is None:
        return None
    return DataChoice(use, plugin, config, scenario)


def _read_plugins(node: Node | None, place: Place, reading: _Reading) -> tuple[PluginChoice, ...]:
    if node is None:
        reading.problems.add(place, "plugins: missing; a recipe needs at least a network, a head, a loss and a phase")
        return ()
    if not isinstance(node.value, dict):
        reading.problems.add(node.place, f"plugins: must be a mapping of rows, not {show(node.plain())}")
        return ()
    choices: list[PluginChoice] = []
    known: dict[str, Row] = {}
    rows = {key: row for key, row in node.value.items() if row.value is not None}
    for key, row in rows.items():
        if not key.isidentifier():
            reading.problems.add(row.place, f"plugins: '{key}' must be a word of letters, digits and underscores")
            continue
        found = _find_plugin(row, f"plugins.{key}", reading)
        if found is None:
            continue
        use, plugin = found
        if plugin.kind == "data":
            reading.problems.add(row.place, f"plugins.{key}: '{use}' is a data set; name it as data: {{use: {use}}}")
            continue
        config = _read_config(plugin, row, f"plugins.{key}", reading.problems)
        known[key] = Row(plugin, config, row.place)
        if config is not None:
            choices.append(PluginChoice(key, use, plugin, config))
    # A misspelt row may be the very one that is missing: ask for it only when all are known.
    if len(known) == len(rows):
        check_fit(known, node.place, reading.registry, reading.problems)
    return tuple(choices)


def _find_plugin(row: Node, path: str, reading: _Reading) -> tuple[str, type[Plugin]] | None:
    if not isinstance(row.value, dict):
        reading.problems.add(
            row.place, f"{path}: must be a plug-in's name or {{use: name, ...}}, not {show(row.plain())}"
        )
        return None
    use = row.value.get("use")
    if use is None:
        reading.problems.add(
            row.place, f"{path}: 'use' is missing; write {path.rpartition('.')[2]}: {{use: name, ...}}"
        )
        return None
    if not isinstance(use.value, str):
        reading.problems.add(use.place, f"{path}.use: must be the name of a plug-in, not {show(use.plain())}")
        return None
    base = use.place.file.parent if use.place.file is not None else reading.base
    try:
        return absolute_use(use.value, base), reading.registry.load(use.value, base)
    except PluginError as error:
        reading.problems.add(use.place, f"{path}.use: {error}")
        return None


def _read_config(
    plugin: type[Plugin], row: Node, path: str, problems: Problems, also_known: Sequence[str] | set[str] = ()
) -> Plugin.Config | None:
    options = Node({key: node for key, node in _rows(row).items() if key != "use"}, row.place)
    options = use_names_of_today(options, plugin.Config, path, problems)
    try:
        return validate(plugin.Config, options, path, problems, also_known)
    except PluginError as error:
        problems.add(row.place, f"{path}: {error}")
        return None
