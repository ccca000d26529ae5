"""What a recipe will do, known before any training: tasks, sizes, exemplars, and what does not fit the data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from incrlearn.calls import Calls
from incrlearn.data import DataPlugin, Scenario, Source, data_root, make_scenario
from incrlearn.engine.assemble import backbone_maker, make_calls
from incrlearn.errors import PluginError, Problem, RecipeError
from incrlearn.metrics import parameter_count
from incrlearn.network import check_backbone, map_shapes
from incrlearn.recipe import Recipe


@dataclass(frozen=True)
class PlanRow:
    """One task of the plan."""

    task: int
    new: int
    """Classes it brings."""
    seen: int
    train_images: int
    """Images of its own data, exemplars not counted."""
    exemplars_per_class: int | None
    """Kept of each class after the task; None where the recipe has no memory."""
    exemplars: int
    """Kept in all after the task; fewer than the quota where a class has fewer images."""
    test_images: int


@dataclass(frozen=True, eq=False)
class Plan:
    """A recipe with its data opened and its tasks laid out."""

    recipe: Recipe
    source: Source
    scenario: Scenario
    rows: list[PlanRow]
    backbone_parameters: int
    notes: list[str]
    """What the plug-ins will do with the backbone, in lines."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of arrival."""
        return self.scenario.class_names


def make_plan(recipe: Recipe, data: Path | None = None) -> Plan:
    """Open the data, lay out the tasks, build one backbone and send a blank image through it.

    Args:
        recipe: a valid recipe.
        data: where the data sets lie; by default INCRLEARN_DATA, then ./data.

    Raises:
        RecipeError: the recipe does not fit its data: classes, increments, order, exemplars, backbone.
        DataError: the data is missing or broken.
        PluginError: a plug-in is implemented in a way that could not work.
    """
    calls = make_calls(recipe)
    plugin = recipe.data.plugin(recipe.data.use, recipe.data.config)
    if not isinstance(plugin, DataPlugin):
        raise PluginError(f"data: '{recipe.data.use}' is no DataPlugin: it has no open(root)")
    source = plugin.open(data_root(data))
    problems: list[Problem] = []
    scenario, rows, parameters, notes = None, [], 0, []
    try:
        scenario = make_scenario(recipe.data.scenario, source, recipe.seed)
        rows = [_plan_task(scenario, calls, number) for number in range(len(scenario.tasks))]
        problems += _memory_problems(recipe, rows) + _size_problems(rows)
    except RecipeError as error:
        problems += error.problems
    except PluginError as error:
        problems.append(Problem(str(error)))
    try:
        backbone = backbone_maker(recipe, source.channels)("check")
        check_backbone(backbone, recipe.backbone, source.channels, source.size)
        if calls.wants("maps"):
            map_shapes(backbone, source.image_shape)
        parameters = parameter_count(backbone)
        notes = calls.explain(backbone, source.image_shape)
    except RecipeError as error:
        problems += error.problems
    except PluginError as error:
        problems.append(Problem(str(error)))
    if problems or scenario is None:
        raise recipe.error([problem.message for problem in problems])
    return Plan(recipe, source, scenario, rows, parameters, notes)


def _plan_task(scenario: Scenario, calls: Calls, position: int) -> PlanRow:
    task = scenario.tasks[position]
    quota = calls.memory_quota(task)
    exemplars = 0
    if quota is not None:
        seen = [scenario.training_samples(earlier) for earlier in scenario.tasks[: position + 1]]
        exemplars = sum(int(torch.bincount(samples.labels).clamp(max=quota).sum()) for samples in seen)
    return PlanRow(
        task=task.number,
        new=task.new,
        seen=task.seen,
        train_images=len(scenario.training_samples(task)),
        exemplars_per_class=quota,
        exemplars=exemplars,
        test_images=len(scenario.test_samples(task)),
    )


def _size_problems(rows: list[PlanRow]) -> list[Problem]:
    return [
        Problem(f"data: task {row.task} has {row.train_images} training image; batch norm needs two at least")
        for row in rows
        if row.train_images < 2
    ]


def _memory_problems(recipe: Recipe, rows: list[PlanRow]) -> list[Problem]:
    quotas = [(row, row.exemplars_per_class) for row in rows if row.exemplars_per_class is not None]
    if quotas and recipe.data.scenario.cumulative:
        return [
            Problem("data.cumulative: every task has all data already; take the memory out or write cumulative: false")
        ]
    short = next((row for row, quota in quotas if quota < 1), None)
    if short is None:
        return []
    key = next((choice.key for choice in recipe.plugins if choice.plugin.kind == "memory"), "memory")
    return [
        Problem(
            f"plugins.{key}: too few exemplars: none would be left of each of the {short.seen} classes seen in task "
            f"{short.task}; give at least {rows[-1].seen} in all"
        )
    ]
