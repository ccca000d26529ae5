"""What figures show, as plain numbers: curves, matrices, costs and kept channels of groups; pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from statistics import fmean

from incrlearn.engine.record import RunRecord
from incrlearn.report.groups import Group


@dataclass(frozen=True)
class Band:
    """A number over several measurements, usually one a seed."""

    mean: float
    low: float
    """The smallest."""
    high: float
    """The largest."""


@dataclass(frozen=True)
class CurvePoint:
    """Top-1 in percent on all classes seen after a task."""

    classes: int
    """How many classes had been seen."""
    top1: Band | None
    """Over the seeds; None where one of them has no finite number."""


@dataclass(frozen=True)
class CostPoint:
    """What a group costs and what it brings."""

    parameters: Band
    """Of the model at inference, mean over tasks."""
    top1: Band
    """Average top-1 in percent."""


@dataclass(frozen=True)
class KeptLayer:
    """How much of a layer pruning left, over all tasks and seeds."""

    name: str
    channels: Band
    """Output channels kept."""
    share: Band
    """The same in percent of those there were."""
    full: tuple[int, ...]
    """How many there were; several numbers where extractors of several tasks began with other sizes."""


@dataclass(frozen=True)
class Expectation:
    """What a source reports for a recipe, and for which groups."""

    source: str
    average: float | None
    """Top-1 in percent, mean over tasks."""
    last: float | None
    """Top-1 in percent after the last task."""
    parameters: float | None
    """At inference, mean over tasks; parameters, not millions."""
    classes: int
    """How many classes there are after the last task."""
    groups: tuple[int, ...]
    """Positions of the groups whose recipes have it."""


Matrix = tuple[tuple[float | None, ...], ...]
"""Row t: percent after task t + 1 on the classes of each task learned so far; None where it is not defined."""


def band(values: Sequence[float | None]) -> Band | None:
    """Mean, smallest and largest; None where there is no value, or one that is None or not finite."""
    known = [value for value in values if value is not None and isfinite(value)]
    if not known or len(known) < len(values):
        return None
    return Band(fmean(known), min(known), max(known))


def accuracy_curve(group: Group) -> tuple[CurvePoint, ...]:
    """Top-1 on all classes seen, task by task."""
    # Runs of one group have the same recipe and data, so the same tasks.
    tasks = zip(*(run.summary["tasks"] for run in group.runs), strict=True)
    return tuple(CurvePoint(rows[0]["classes"], band([row["top1"] for row in rows])) for rows in tasks)


def mean_matrix(group: Group) -> Matrix:
    """The accuracy matrix, each entry the mean over seeds."""
    tasks = zip(*(run.summary["accuracy_matrix"] for run in group.runs), strict=True)
    return tuple(tuple(_mean(entries) for entries in zip(*rows, strict=True)) for rows in tasks)


def cost_point(group: Group) -> CostPoint | None:
    """Parameters (mean over tasks) and average top-1; None where a run lacks one of them."""
    parameters = band([run.metric("parameters_average") for run in group.runs])
    top1 = band([run.metric("average") for run in group.runs])
    return CostPoint(parameters, top1) if parameters is not None and top1 is not None else None


def kept_layers(group: Group) -> tuple[KeptLayer, ...]:
    """What pruning kept of each layer, in the order of the network; nothing where no report tells.

    Plug-ins that prune may report ``channels``: by layer, how many are kept and of how many.
    """
    sizes: dict[str, list[tuple[int, int]]] = {}
    for channels in _channel_reports(group):
        for layer, (kept, full) in channels.items():
            sizes.setdefault(layer, []).append((kept, full))
    found = []
    for layer, pairs in sizes.items():
        channels_kept = band([kept for kept, _ in pairs])
        share = band([100.0 * kept / full if full else None for kept, full in pairs])
        if channels_kept is not None and share is not None:
            full_sizes = tuple(sorted({full for _, full in pairs}))
            found.append(KeptLayer(layer.removeprefix("model."), channels_kept, share, full_sizes))
    return tuple(found)


def expectations(groups: Sequence[Group]) -> tuple[Expectation, ...]:
    """What is expected of the groups; the same numbers from the same source are told once."""
    found: dict[Expectation, list[int]] = {}
    for position, group in enumerate(groups):
        for expected in {one: None for run in group.runs if (one := _expected_of(run)) is not None}:
            found.setdefault(expected, []).append(position)
    return tuple(replace(expected, groups=tuple(positions)) for expected, positions in found.items())


def _expected_of(run: RunRecord) -> Expectation | None:
    expected = run.summary.get("expected")
    if not expected:
        return None
    millions = expected.get("parameters_average")
    return Expectation(
        source=str(expected["source"]),
        average=expected.get("average"),
        last=expected.get("last"),
        parameters=None if millions is None else 1e6 * millions,
        # Two recipes may expect the same after other numbers of classes.
        classes=run.summary["tasks"][-1]["classes"],
        groups=(),
    )


def _channel_reports(group: Group) -> Iterator[dict[str, list[int]]]:
    for run in group.runs:
        for row in run.summary["tasks"]:
            for report in row.get("pruned", []):
                yield report.get("channels", {})


def _mean(values: Sequence[float]) -> float | None:
    found = band(values)
    return found.mean if found is not None else None
