"""The scenario: which classes come when, and which samples belong to a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
import torch

from incrlearn.data.sources import Source, Split
from incrlearn.errors import Problem, RecipeError, did_you_mean
from incrlearn.recipe import ScenarioOptions
from incrlearn.rng import make_generator
from incrlearn.types import Samples, Task


@dataclass(frozen=True, eq=False)
class Scenario:
    """Classes in order, cut into tasks, over one data set."""

    order: tuple[int, ...]
    """The data set's class ids, in the order in which they come: label k stands for ``order[k]``."""
    tasks: tuple[Task, ...]
    cumulative: bool
    """Each task trains on the data of all classes seen, not only of the new ones."""
    source: Source

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, by label."""
        return tuple(self.source.classes[class_id] for class_id in self.order)

    def training_samples(self, task: Task) -> Samples:
        """Training samples of the classes new in ``task``; of all classes seen where the scenario is cumulative."""
        return self._samples(self.source.train, 0 if self.cumulative else task.known, task.seen)

    def arrived(self, task: Task) -> tuple[int, ...]:
        """How many training images of each class seen have come with ``task``, by label."""
        labels = self._samples(self.source.train, 0, task.seen).labels
        counts: list[int] = torch.bincount(labels, minlength=task.seen).tolist()
        return tuple(counts)

    def test_samples(self, task: Task) -> Samples:
        """Test samples of all classes seen with ``task``."""
        return self._samples(self.source.test, 0, task.seen)

    def _samples(self, split: Split, first: int, end: int) -> Samples:
        label_of = np.full(len(self.source.classes), -1, dtype=np.int64)
        label_of[list(self.order)] = np.arange(len(self.order))
        labels = label_of[split.labels]
        indices = np.flatnonzero((labels >= first) & (labels < end))
        return Samples(torch.from_numpy(indices), torch.from_numpy(labels[indices]))


def make_scenario(options: ScenarioOptions, source: Source, seed: int) -> Scenario:
    """Lay out the tasks that ``options`` ask for.

    Raises:
        RecipeError: more classes than the data has, increments that do not add up, an unknown or broken order; all
            of these problems at once.
    """
    problems: list[Problem] = []
    order = class_order(options, len(source.classes), source.orders, seed, problems)
    count = options.classes if options.classes is not None else len(order)
    if count > len(order):
        problems.append(Problem(f"data.classes: {count} classes asked for, but {source.name} has {len(order)}"))
    sizes = increments(options, min(count, len(order)), problems)
    if problems:
        raise RecipeError("data", problems)
    bounds = [0, *accumulate(sizes)]
    tasks = [Task(number, len(sizes), known, seen) for number, (known, seen) in enumerate(pairwise(bounds), start=1)]
    return Scenario(tuple(order[: bounds[-1]]), tuple(tasks), options.cumulative, source)


def class_order(
    options: ScenarioOptions, classes: int, named: Mapping[str, Sequence[int]], seed: int, problems: list[Problem]
) -> Sequence[int]:
    """The class ids in order of arrival; what is wrong with the option is added to ``problems``."""
    order = options.order
    if order == "natural":
        return range(classes)
    if order == "seed" or isinstance(order, int):
        shuffle = order if isinstance(order, int) else seed
        return [int(i) for i in torch.randperm(classes, generator=make_generator(shuffle, 0, "class order"))]
    if isinstance(order, str):
        if order not in named:
            known = ["natural", "seed", *named]
            problems.append(Problem(f"data.order: no class order named '{order}'{did_you_mean(order, known)}"))
            return range(classes)
        return named[order]
    wrong = sorted({i for i in order if not 0 <= i < classes})
    twice = sorted({i for i in order if list(order).count(i) > 1})
    if wrong:
        problems.append(Problem(f"data.order: class ids run from 0 to {classes - 1}, not {wrong}"))
    if twice:
        problems.append(Problem(f"data.order: class ids given twice: {twice}"))
    return order


def increments(options: ScenarioOptions, classes: int, problems: list[Problem]) -> list[int]:
    """How many classes each task brings; what does not add up is added to ``problems``."""
    if options.increments is not None:
        if sum(options.increments) != classes:
            problems.append(
                Problem(
                    f"data.increments: {list(options.increments)} add up to {sum(options.increments)}, "
                    f"but there are {classes} classes"
                )
            )
        return list(options.increments)
    if options.tasks is not None:
        if classes % options.tasks:
            problems.append(
                Problem(
                    f"data.tasks: {classes} classes do not split into {options.tasks} equal tasks; write increments"
                )
            )
        return [max(1, classes // options.tasks)] * options.tasks
    step = options.increment or classes
    base = options.base if options.base is not None else step
    if base > classes or (classes - base) % step:
        problems.append(
            Problem(
                f"data.increment: {base} classes and then tasks of {step} do not add up to {classes} classes; "
                "change base, increment or classes, or write increments: [...]"
            )
        )
        return [classes]
    return [base] + [step] * ((classes - base) // step)
