"""From a file, or from plain values, to a `Recipe`; every problem is found before any is told."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from incrlearn.errors import Deprecation, PluginError, RecipeNotice
from incrlearn.plugin import Plugin
from incrlearn.recipe.earlier import newer_format, use_names_of_today
from incrlearn.recipe.fit import Row, check_fit
from incrlearn.recipe.misplaced import hint_at_root, no_plugin, rows_alone, tell_inherited_form
from incrlearn.recipe.model import DataChoice, PluginChoice, Recipe
from incrlearn.recipe.nodes import Node, Place, Problems, from_plain, places_of
from incrlearn.recipe.notices import tell_at
from incrlearn.recipe.options import BackboneOptions, Expected, RunOptions, ScenarioOptions
from incrlearn.recipe.overrides import ROOT_KEYS, Edit, apply_edits, read_overrides
from incrlearn.recipe.shipped import recipe_name
from incrlearn.recipe.tree import read_tree, write_out_shorthand
from incrlearn.recipe.validate import ModelT, validate
from incrlearn.recipe.wording import show, space_hint
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
        reading = _Reading(registry, path.parent, problems, of_a_run=True)
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
    return _build(root, name, None, _Reading(registry, Path.cwd(), problems, of_a_run))


@dataclass(frozen=True, eq=False)
class _Reading:
    """What validating a recipe needs beside its tree."""

    registry: Registry
    base: Path
    """Where relative files are meant from, unless the tree says otherwise."""
    problems: Problems
    of_a_run: bool = False
    """The recipe tells what was trained, so that its code is what it says and not what is here."""
    code: Node | None = None
    """What it says of code, by path."""

    def base_of(self, use: Node) -> Path:
        """The folder that a relative file is meant from."""
        return use.place.folder(self.base)

    def plugin_of(self, row: Node) -> type[Plugin] | None:
        """The plug-in that a row names; None where it names none that can be loaded."""
        use = row.get("use")
        try:
            if use is not None and isinstance(use.value, str):
                return self.registry.load(use.value, self.base_of(use))
        except PluginError:
            pass
        return None


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
            hint = hint_at_root(key, node, ROOT_KEYS, _rows(rows.get("plugins")), reading.plugin_of)
            problems.add(node.place, f"{key}: no such part of a recipe{hint}")
    run_rows = {key: node for key, node in rows.items() if key in RunOptions.model_fields}
    run = validate(RunOptions, Node(run_rows, root.place), "", problems)
    backbone = _read_section(BackboneOptions, "backbone", "{name: resnet18, stem: cifar}", rows, root.place, problems)
    expected = validate(Expected, rows["expected"], "expected", problems) if "expected" in rows else None
    if (code := rows.get("code")) is not None and not _is_code(code):
        problems.add(code.place, "code: must map paths such as plugins.loss to digests, as runs write it; leave it out")
        code = None
    reading = replace(reading, code=code)
    data = _read_data(rows.get("data"), root.place, reading)
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


def _rows(node: Node | None) -> dict[str, Node]:
    return node.value if node is not None and isinstance(node.value, dict) else {}


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
    config = _read_config(found, Node(options, node.place), "data", reading.problems, scenario_keys)
    if scenario is None or config is None:
        return None
    return DataChoice(use, plugin, config, scenario, _code_of("data", node, use, plugin, reading))


def _read_plugins(node: Node | None, place: Place, reading: _Reading) -> tuple[PluginChoice, ...]:
    if node is None:
        reading.problems.add(place, "plugins: missing; a recipe needs at least a network, a head, a loss and a phase")
        return ()
    if not isinstance(node.value, dict):
        hint = space_hint(node.value) or "; write a row a line, such as loss: {use: cross_entropy}"
        told = f"must be a mapping of rows, not {show(node.plain())}{hint}"
        reading.problems.add(node.place, f"plugins: {told}")
        return ()
    choices: list[PluginChoice] = []
    known: dict[str, Row] = {}
    rows = {key: row for key, row in node.value.items() if row.value is not None}
    for key, row in rows_alone(rows, reading.plugin_of, reading.problems).items():
        if not key.isidentifier():
            reading.problems.add(row.place, f"plugins: '{key}' must be a word of letters, digits and underscores")
            continue
        found = _find_plugin(row, f"plugins.{key}", reading, [other for other in rows if other != key])
        if found is None:
            continue
        use, plugin = found
        if plugin.kind == "data":
            reading.problems.add(row.place, f"plugins.{key}: '{use}' is a data set; name it as data: {{use: {use}}}")
            continue
        config = _read_config(found, row, f"plugins.{key}", reading.problems)
        known[key] = Row(plugin, config, row.place)
        if config is not None:
            code = _code_of(f"plugins.{key}", row, use, plugin, reading) if plugin.affects_result else None
            choices.append(PluginChoice(key, use, plugin, config, code))
    # A misspelt row may be the very one that is missing: ask for it only when all are known.
    if len(known) == len(rows):
        check_fit(known, node.place, reading.registry, reading.problems)
    return tuple(choices)


def _find_plugin(
    row: Node, path: str, reading: _Reading, others: Sequence[str] = ()
) -> tuple[str, type[Plugin]] | None:
    use = row.get("use")
    if use is None:
        reading.problems.add(row.place, f"{path}: {no_plugin(path.rpartition('.')[2], row, others)}")
        return None
    if not isinstance(use.value, str):
        reading.problems.add(use.place, f"{path}.use: must be the name of a plug-in, not {show(use.plain())}")
        return None
    base = reading.base_of(use)
    try:
        return absolute_use(use.value, base), reading.registry.load(use.value, base, "data" if path == "data" else None)
    except PluginError as error:
        hint = "; write null to take the row out" if use.value.lower() == "none" else space_hint(use.value)
        reading.problems.add(use.place, f"{path}.use: {error}{hint}")
        return None


def _is_code(node: Node) -> bool:
    return isinstance(node.value, dict) and all(isinstance(digest.value, str) for digest in node.value.values())


def _code_of(path: str, row: Node, use: str, plugin: type[Plugin], reading: _Reading) -> str | None:
    """The digest of a plug-in's code: of a run's recipe that of then, else that of now."""
    then = reading.code.get(path) if reading.code is not None else None
    if reading.of_a_run:
        return str(then.value) if then is not None else None
    now = reading.registry.code_of(use, plugin)
    named = row.get("use")
    # Of another plug-in, named by an override or an ablation's edit, it says nothing.
    places = {(node.place.file, node.place.override) for node in (named, then) if node is not None}
    if then is not None and len(places) == 1 and then.value != now:
        message = f"the code of {path} ({use}) has changed since this recipe was written; what runs is that of now"
        tell_at(then.place, message, RecipeNotice)
    return now


def _read_config(
    owner: tuple[str, type[Plugin]], row: Node, path: str, problems: Problems, also_known: Sequence[str] | set[str] = ()
) -> Plugin.Config | None:
    plugin = owner[1]
    options = Node({key: node for key, node in _rows(row).items() if key != "use"}, row.place)
    options = use_names_of_today(options, plugin.Config, path, problems)
    try:
        return validate(plugin.Config, options, path, problems, also_known, owner)
    except PluginError as error:
        problems.add(row.place, f"{path}: {error}")
        return None
