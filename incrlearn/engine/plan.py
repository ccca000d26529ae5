"""What a recipe will do, known before any training: tasks, sizes, exemplars, and what does not fit the data."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from incrlearn.answers import described
from incrlearn.blame import opened
from incrlearn.calls import Calls
from incrlearn.data import DataPlugin, Scenario, Source, data_root, make_scenario
from incrlearn.engine.assemble import backbone_maker, make_calls
from incrlearn.errors import PluginError, Problem, RecipeError
from incrlearn.metrics import parameter_count
from incrlearn.network import check_backbone, map_shapes
from incrlearn.recipe import Recipe
from incrlearn.types import Task


@dataclass(frozen=True)
class PlanRow:
    """One task of the plan."""

    task: int
    new: int
    """Classes it brings."""
    seen: int
    train_images: int
    """Images of its own data, exemplars not counted."""
    exemplars_per_class: tuple[int, ...] | None
    """Kept of each class seen after the task, one number a class; None where the recipe has no memory."""
    exemplars: int
    """Kept in all after the task; fewer than the quotas where a class has fewer images."""
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
        raise PluginError(f"data: '{recipe.data.use}' must inherit from incrlearn.data.DataPlugin and have open(root)")
    source = opened(plugin.open, recipe.data.use, data_root(data))
    if not isinstance(source, Source):
        raise PluginError(
            f"data: open of {recipe.data.use} must give an incrlearn.data.Source; got {described(source)}"
        )
    problems: list[Problem] = []
    scenario, rows, parameters, notes = None, [], 0, []
    try:
        scenario = make_scenario(recipe.data.scenario, source, recipe.seed)
        rows = [_plan_task(scenario, calls, task, recipe.seed) for task in scenario.tasks]
        problems += _memory_problems(recipe, rows, scenario) + _size_problems(rows)
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


def _plan_task(scenario: Scenario, calls: Calls, task: Task, seed: int) -> PlanRow:
    arrived = scenario.arrived(task)
    quota = calls.memory_quota(task, arrived, seed)
    return PlanRow(
        task=task.number,
        new=task.new,
        seen=task.seen,
        train_images=len(scenario.training_samples(task)),
        exemplars_per_class=quota,
        exemplars=sum(map(min, quota, arrived)) if quota is not None else 0,
        test_images=len(scenario.test_samples(task)),
    )


def _size_problems(rows: list[PlanRow]) -> list[Problem]:
    return [
        Problem(f"data: task {row.task} has {row.train_images} training image; batch norm needs two at least")
        for row in rows
        if row.train_images < 2
    ]


def _memory_problems(recipe: Recipe, rows: list[PlanRow], scenario: Scenario) -> list[Problem]:
    quotas = [(row, row.exemplars_per_class) for row in rows if row.exemplars_per_class is not None]
    if quotas and recipe.data.scenario.cumulative:
        return [
            Problem("data.cumulative: every task has all data already; take the memory out or write cumulative: false")
        ]
    key = next((choice.key for choice in recipe.plugins if choice.plugin.kind == "memory"), "memory")
    found = _classes_without_exemplars(quotas, scenario.class_names, recipe.seed)
    found = found or _growing_quotas(quotas, scenario)
    return [Problem(f"plugins.{key}: {problem}") for problem in found]


def _classes_without_exemplars(
    quotas: list[tuple[PlanRow, tuple[int, ...]]], class_names: tuple[str, ...], seed: int
) -> list[str]:
    """The first task after which a class would have none, in words; empty where there is none."""
    short = next(((row, quota) for row, quota in quotas if min(quota) < 1), None)
    if short is None:
        return []
    row, quota = short
    if max(quota) < 1:
        return [
            f"too few exemplars: none would be left of each of the {row.seen} classes seen in task {row.task}; "
            f"give at least {quotas[-1][0].seen} in all"
        ]
    names = ", ".join(f"'{name}'" for name, number in zip(class_names, quota, strict=False) if number < 1)
    return [
        f"too few exemplars: with seed {seed} none of the {row.exemplars} kept after task {row.task} would be of "
        f"{names}; give more in all, or a memory that keeps the same number of each class"
    ]


def _growing_quotas(quotas: list[tuple[PlanRow, tuple[int, ...]]], scenario: Scenario) -> list[str]:
    """The first class of which more would be kept than a task before, in words; empty where there is none."""
    arrived = scenario.arrived(scenario.tasks[-1])
    for (before, earlier), (row, later) in pairwise(quotas):
        for label, (had, has) in enumerate(zip(earlier, later, strict=False)):
            if min(has, arrived[label]) > min(had, arrived[label]):
                return [
                    f"{has} exemplars of '{scenario.class_names[label]}' are to be kept after task {row.task}, and "
                    f"after task {before.task} only {had}: what is gone does not come back; memory_quota must not grow"
                ]
    return []
