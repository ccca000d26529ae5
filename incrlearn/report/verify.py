"""A recipe's runs held against what is expected of it, and against the whole of its protocol."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from incrlearn.engine.record import RunRecord
from incrlearn.errors import OutputError
from incrlearn.recipe import Problems, Recipe, load_recipe, shipped_recipes
from incrlearn.recipe.shipped import recipe_name
from incrlearn.recipe.tree import read_tree
from incrlearn.registry import Registry
from incrlearn.report.deviations import ORDER, Deviation, find_deviations
from incrlearn.report.groups import is_log
from incrlearn.statistics import Spread, spread

PARAMETER_TOLERANCE = 10.0
"""Percent of the expected number of parameters; papers round it."""

Verdict = Literal["within", "above", "below"]


@dataclass(frozen=True)
class Check:
    """One expected number beside what the runs have."""

    metric: str
    """As in ``result.json``: average, last or parameters_average."""
    expected: float
    """Top-1 in percent, or parameters in millions."""
    got: Spread
    """In the same unit."""
    verdict: Verdict

    @property
    def difference(self) -> float:
        """Got minus expected."""
        return self.got.mean - self.expected

    @property
    def good(self) -> bool:
        """More accuracy than expected is none the worse, nor are fewer parameters."""
        return self.verdict == "within" or self.verdict == ("below" if is_size(self.metric) else "above")


@dataclass(frozen=True)
class Verification:
    """What is to be said of some runs of one recipe."""

    runs: tuple[RunRecord, ...]
    """One at least; they differ in seed and class order at most."""
    source: str
    """Who reports what is expected, and of what."""
    shipped: bool
    """Whether there is a shipped recipe of that name to compare with."""
    deviations: tuple[Deviation, ...]
    """None where the runs followed the whole protocol, or where the recipe is not shipped."""
    other_orders: tuple[str, ...]
    """Named class orders of the runs that are not the shipped recipe's: no deviation, but to be told."""
    checks: tuple[Check, ...]

    @property
    def name(self) -> str:
        """The recipe's."""
        return self.runs[0].name

    @property
    def good(self) -> bool:
        """Nothing falls short, and the protocol, where it is known, was the whole one."""
        return not self.deviations and all(check.good for check in self.checks)


def verify_runs(runs: Sequence[RunRecord], tolerance: float) -> Verification:
    """Hold runs of one recipe, which may differ in seed and class order, against it.

    Args:
        runs: at least one.
        tolerance: points of accuracy that count as within.

    Raises:
        OutputError: the runs are of several recipes, or nothing is expected of their recipe.
        RecipeError: the shipped recipe cannot be read, as where one of its plug-ins is not installed.
    """
    _must_be_one_recipe(runs)
    first = runs[0]
    expected = first.summary["expected"]
    if expected is None:
        raise OutputError(
            f"{first.run_dir}: the recipe of this run, {first.name}, has no expected block to hold it against; "
            f"shipped recipes that have one: {', '.join(recipes_with_expected())}"
        )
    recipe = shipped_recipe(first.name)
    deviations, orders = _against_shipped(runs, recipe) if recipe is not None else ((), ())
    checks = check_numbers(runs, expected, tolerance)
    return Verification(tuple(runs), expected["source"], recipe is not None, deviations, orders, tuple(checks))


def check_numbers(runs: Sequence[RunRecord], expected: Mapping[str, Any], tolerance: float) -> list[Check]:
    """Each number that is expected beside the mean of the runs.

    Args:
        runs: at least one.
        expected: as in a recipe; null where nothing is reported.
        tolerance: points of accuracy that count as within; of parameters it is ``PARAMETER_TOLERANCE`` percent.
    """
    checks = []
    for metric in ("average", "last", "parameters_average"):
        target = expected.get(metric)
        if target is None:
            continue
        unit, margin = (1e6, target * PARAMETER_TOLERANCE / 100) if is_size(metric) else (1.0, tolerance)
        got = spread([value / unit for run in runs if (value := run.metric(metric)) is not None])
        if got is None:
            continue
        checks.append(Check(metric, target, got, judge(got.mean - target, margin)))
    return checks


def judge(difference: float, margin: float) -> Verdict:
    """Where a difference lies; the margin itself is within."""
    # In binary, 72.45 - 71.45 is a little more than 1.
    if abs(difference) <= margin + 1e-9:
        return "within"
    return "above" if difference > 0 else "below"


def is_size(metric: str) -> bool:
    """Whether a number is one of parameters, of which more is worse."""
    return metric.startswith("parameters")


def shipped_recipe(name: str) -> Recipe | None:
    """The shipped recipe of a name; files in the current folder are not looked at.

    Raises:
        RecipeError: it is there and cannot be read.
    """
    paths = {recipe_name(path): path for path in shipped_recipes()}
    return load_recipe(paths[name], Registry.discover()) if name in paths else None


def recipes_with_expected() -> list[str]:
    """The names of the shipped recipes with an ``expected`` block."""
    return [recipe_name(path) for path in shipped_recipes() if _expects(path)]


def runs_of_source(source: str) -> str | None:
    """How many runs a source says that it reports the mean of, in its word (``three``); None where it does not say."""
    found = re.search(r"\bmean of (\w+)", source)
    return found.group(1) if found is not None else None


def _expects(path: Path) -> bool:
    root = read_tree(path, Problems(str(path), path))
    return root is not None and root.get("expected") is not None


def _must_be_one_recipe(runs: Sequence[RunRecord]) -> None:
    first = runs[0]
    names = list(dict.fromkeys(run.name for run in runs))
    if len(names) > 1:
        raise OutputError(f"these are runs of {len(names)} recipes: {', '.join(names)}; verify one recipe at a time")
    problems = []
    for run in runs[1:]:
        paths = [one.path for one in find_deviations(first.recipe, run.recipe, _logs(first, run)) if one.path != ORDER]
        if first.summary["data"] != run.summary["data"] and not paths:
            paths = ["the images they were made with"]
        if paths:
            problems.append(f"{run.run_dir} has other settings than {first.run_dir}: {', '.join(paths)}")
    if problems:
        advice = f"runs of {first.name} that are verified together may differ in seed and data.order alone"
        raise OutputError("\n".join([*problems, advice]))


def _against_shipped(runs: Sequence[RunRecord], recipe: Recipe) -> tuple[tuple[Deviation, ...], tuple[str, ...]]:
    """What the runs have other than the recipe, each once, and beside it their named class orders.

    Papers report the mean over several orders, each with a name, of which a recipe has one.
    """
    shipped_logs = [choice.key for choice in recipe.plugins if not choice.plugin.affects_result]
    found: dict[Deviation, None] = {}
    for run in runs:
        found |= dict.fromkeys(find_deviations(recipe.resolved(), run.recipe, [*shipped_logs, *_logs(run)]))
    named = {one: one.got for one in found if one.path == ORDER and _is_named(one.wanted) and _is_named(one.got)}
    return tuple(one for one in found if one not in named), tuple(order for order in named.values() if order)


def _is_named(order: str | None) -> bool:
    """Whether an order, in words, is one that a data set gives a name."""
    return (
        order is not None and order not in ("natural", "seed") and not order.startswith("[") and not order.isdecimal()
    )


def _logs(*runs: RunRecord) -> list[str]:
    return [key for run in runs for key in run.recipe["plugins"] if is_log(run, key)]
