"""From a file, or from plain values, to a `Recipe`; every problem is found before any is told."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from incrlearn.errors import Deprecation
from incrlearn.recipe.earlier import newer_format
from incrlearn.recipe.fit import Row, check_fit
from incrlearn.recipe.latest import latest_in
from incrlearn.recipe.misplaced import hint_at_root, rows_alone, tell_inherited_form
from incrlearn.recipe.model import DataChoice, PluginChoice, Recipe
from incrlearn.recipe.nodes import Node, Place, Problems, from_plain, places_of
from incrlearn.recipe.options import BackboneOptions, Expected, RunOptions, ScenarioOptions
from incrlearn.recipe.overrides import ROOT_KEYS, Edit, apply_edits, read_overrides
from incrlearn.recipe.rows import Reading, code_of, find_plugin, is_code, read_options
from incrlearn.recipe.shipped import recipe_name
from incrlearn.recipe.tree import read_tree, write_out_shorthand
from incrlearn.recipe.validate import validate
from incrlearn.recipe.wording import show, space_hint
from incrlearn.registry import Registry


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
    return _build(root, recipe_name(path), path, Reading(registry, path.parent, problems))


def load_written(path: Path, registry: Registry) -> Recipe:
    """Read a recipe that a run wrote: with the code of then; earlier names of options are nothing to be told of.

    Args:
        path: the file.
        registry: the plug-ins there are.

    Raises:
        RecipeError: with everything that is wrong, each problem with its line.
    """
    problems = Problems(str(path), path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Deprecation)
        root = read_tree(path, problems)
        if root is None:
            raise problems.error()
        reading = Reading(registry, path.parent, problems, of_a_run=True)
        return _build(root, recipe_name(path), path, reading)


def written_from_dict(data: dict[str, Any], registry: Registry, name: str) -> Recipe:
    """`recipe_from_dict` of what a run wrote: with the code of then."""
    return _from_dict(data, name, registry, of_a_run=True)


def recipe_from_dict(data: dict[str, Any], registry: Registry, name: str) -> Recipe:
    """Validate plain values, such as `Recipe.resolved` gave; ``extends`` is for files only.

    Args:
        data: the recipe; relative ``./file.py:Class`` are meant from the current folder.
        registry: the plug-ins there are.
        name: what to call it.

    Raises:
        RecipeError: with everything that is wrong.
    """
    return _from_dict(data, name, registry, of_a_run=False)


def _from_dict(data: dict[str, Any], name: str, registry: Registry, *, of_a_run: bool) -> Recipe:
    problems = Problems(name)
    root = write_out_shorthand(from_plain(data, Place(), problems))
    return _build(root, name, None, Reading(registry, Path.cwd(), problems, of_a_run))


def _build(root: Node, name: str, path: Path | None, reading: Reading) -> Recipe:
    problems = reading.problems
    rows = {key: node for key, node in _rows(root).items() if node.value is not None}
    if (newer := newer_format(rows.get("format"))) is not None:
        # Whatever else seems wrong may be right in that format.
        later = Problems(str(path) if path is not None else name, path)
        later.add(rows["format"].place, newer)
        raise later.error()
    for key, node in rows.items():
        if key not in ROOT_KEYS:
            hint = hint_at_root(key, node, ROOT_KEYS, _rows(rows.get("plugins")), reading.plugin_of)
            problems.add(node.place, f"{key}: no such part of a recipe{hint}")
    run_rows = {key: node for key, node in rows.items() if key in RunOptions.model_fields}
    run = validate(RunOptions, Node(run_rows, root.place), "", problems)
    backbone = None
    if _is_there("backbone", "write, for example, backbone: {name: resnet18, stem: cifar}", root, problems):
        backbone = validate(BackboneOptions, rows["backbone"], "backbone", problems)
    expected = validate(Expected, rows["expected"], "expected", problems) if "expected" in rows else None
    if (code := rows.get("code")) is not None and not is_code(code):
        problems.add(code.place, "code: must map paths such as plugins.loss to digests, as runs write it; leave it out")
        code = None
    reading = replace(reading, code=code)
    data = _read_data(root, reading)
    plugins = _read_plugins(root, reading)
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


def _rows(node: Node | None) -> dict[str, Node]:
    return node.value if node is not None and isinstance(node.value, dict) else {}


def _is_there(key: str, remedy: str, root: Node, problems: Problems) -> bool:
    """Whether a recipe has a part that it must have; if not, it is told."""
    node = root.get(key)
    if node is None:
        problems.add(root.place, f"{key}: missing; {remedy}")
    elif node.value is None:
        leave = "; leave it out to keep what the extended recipe has" if node.replaces is not None else ""
        problems.add(node.place, f"{key}: is empty; {remedy}{leave}")
    return node is not None and node.value is not None


def _read_data(root: Node, reading: Reading) -> DataChoice | None:
    if not _is_there("data", "write, for example, data: {use: cifar100, tasks: 10}", root, reading.problems):
        return None
    node = _rows(root)["data"]
    found = find_plugin(node, "data", reading)
    if not isinstance(node.value, dict):
        return None
    scenario_keys = set(ScenarioOptions.model_fields)
    scenario_rows = {key: child for key, child in node.value.items() if key in scenario_keys}
    scenario = None
    if not tell_inherited_form(scenario_rows, reading.problems):
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
    config = read_options(found, Node(options, node.place), "data", reading.problems, scenario_keys)
    if scenario is None or config is None:
        return None
    return DataChoice(use, plugin, config, scenario, code_of("data", node, use, plugin, reading))


def _read_plugins(root: Node, reading: Reading) -> tuple[PluginChoice, ...]:
    remedy = "a recipe needs at least a network, a head, a loss and a phase"
    if not _is_there("plugins", remedy, root, reading.problems):
        return ()
    node = _rows(root)["plugins"]
    if not isinstance(node.value, dict):
        hint = space_hint(node.value) or "; write a row a line, such as loss: {use: cross_entropy}"
        told = f"must be a mapping of rows, not {show(node.plain())}{hint}"
        reading.problems.add(node.place, f"plugins: {told}")
        return ()
    choices: list[PluginChoice] = []
    known: dict[str, Row] = {}
    rows = {key: row for key, row in node.value.items() if row.value is not None}
    for key, row in rows_alone(node.value, reading.plugin_of, reading.problems).items():
        if not key.isidentifier():
            reading.problems.add(row.place, f"plugins: '{key}' must be a word of letters, digits and underscores")
            continue
        found = find_plugin(row, f"plugins.{key}", reading, [other for other in rows if other != key])
        if found is None:
            continue
        use, plugin = found
        if plugin.kind == "data":
            reading.problems.add(row.place, f"plugins.{key}: '{use}' is a data set; name it as data: {{use: {use}}}")
            continue
        config = read_options(found, row, f"plugins.{key}", reading.problems)
        known[key] = Row(plugin, config, row.place, latest_in(row))
        if config is not None:
            code = code_of(f"plugins.{key}", row, use, plugin, reading) if plugin.affects_result else None
            choices.append(PluginChoice(key, use, plugin, config, code))
    # A misspelt row may be the very one that is missing: ask for it only when all are known.
    if len(known) == len(rows):
        check_fit(known, node.place, partial(reading.gone, node), reading.registry, reading.problems)
    return tuple(choices)
