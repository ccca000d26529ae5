"""What a run's protocol is, topic by topic, in words or as options that can be compared; pure functions of a record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from itertools import groupby, pairwise
from typing import Any

from incrlearn.data import Augment
from incrlearn.engine.record import RunRecord
from incrlearn.recipe import ScenarioOptions
from incrlearn.report.groups import flatten, show_value

SPEED_ONLY = frozenset({"workers"})
"""Options of data sets that say how images are read and not which."""
SCHEDULE = ("batch", "lr", "shape", "milestones", "gamma", "warmup", "momentum", "weight_decay")
"""Options of a phase that say how it optimises; which methods tune and which part of a difference may come from."""
_SHOWN_OF_ORDER = 6
_AUGMENT = {field.name: field.default for field in fields(Augment)}


def rows_of_kind(record: RunRecord, kind: str) -> dict[str, dict[str, Any]]:
    """The rows of the recipe's plug-ins that are of a kind, by key, in order."""
    kinds = record.summary["kinds"]
    return {key: row for key, row in record.recipe["plugins"].items() if kinds.get(key) == kind}


def main_phase(record: RunRecord) -> tuple[str, dict[str, Any]] | None:
    """The phase that every method has, as key and row: the first one; None without any.

    A run does not record what its phases train. The network trains first whatever comes after it, and stages after that
    (a balanced head, a finetuning of everything) are what a method adds.
    """
    return next(iter(rows_of_kind(record, "phase").items()), None)


def data_set(record: RunRecord) -> dict[str, Any]:
    """Which images there are: the data set and its options, those of the augmentation and the scenario aside."""
    aside = {*_AUGMENT, *ScenarioOptions.model_fields, *SPEED_ONLY}
    return {key: value for key, value in record.recipe["data"].items() if key not in aside}


def data_set_words(options: dict[str, Any]) -> str:
    """Some of what `data_set` gave, in words."""
    words = [options["use"]] if "use" in options else []
    for key, value in options.items():
        # Beside another data set's name, an option that is null may be one that it does not have.
        if key == "use" or ("use" in options and value is None):
            continue
        if key == "train_per_class":
            words.append("all training images" if value is None else f"{value} training images of each class")
        else:
            words.append(f"{key} {show_value(value)}")
    return ", ".join(words)


def augmentation(record: RunRecord) -> dict[str, Any]:
    """What is done to training images; an option that the data set does not have is one that does nothing."""
    data = record.recipe["data"]
    return {key: data.get(key, default) for key, default in _AUGMENT.items()}


def increments(record: RunRecord) -> str:
    """The classes that each task brings, as the run had them, however the recipe writes it; and whose data it gets."""
    seen = [0, *(row["classes"] for row in record.summary["tasks"])]
    runs = [(size, len(list(same))) for size, same in groupby(after - before for before, after in pairwise(seen))]
    words = ", then ".join(f"{tasks} tasks of {size}" if tasks > 1 else str(size) for size, tasks in runs)
    joint = ", each with the data of all classes seen" if record.recipe["data"]["cumulative"] else ""
    return f"{words} {'class' if runs[-1][0] == 1 else 'classes'}{joint}"


def class_order(record: RunRecord) -> tuple[str, ...]:
    """The classes by name, in the order in which they came."""
    return tuple(record.summary["classes"])


def order_words(runs: Sequence[RunRecord]) -> str:
    """The class order as the recipe of some runs has it; the seeds where they decide."""
    order = runs[0].recipe["data"]["order"]
    if order == "seed" or isinstance(order, int):
        seeds = sorted({run.seed for run in runs}) if order == "seed" else [order]
        return f"shuffled by seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    return f"listed, {first_of(order)}" if isinstance(order, list) else str(order)


def first_of(classes: list[Any] | tuple[Any, ...]) -> str:
    """The first few of an order."""
    shown = ", ".join(str(one) for one in classes[:_SHOWN_OF_ORDER])
    return f"{shown}, ..." if len(classes) > _SHOWN_OF_ORDER else shown


def budget(record: RunRecord) -> str:
    """How many exemplars may be kept; who chooses them does not matter, nor what the row is called."""
    return " and ".join(_row_budget(row) for row in rows_of_kind(record, "memory").values()) or "none"


def budget_options(row: dict[str, Any]) -> set[str]:
    """The options of a memory that are its budget: ``total`` and ``per_class``, or all where it has neither."""
    # What an unknown memory calls its budget cannot be guessed from its options (megabytes? buffers a task?). A warning
    # too many costs a look at two recipes; one too few passes unequal memories off as equal.
    known = {key for key in ("total", "per_class") if row.get(key) is not None}
    return known or set(row) - {"use"}


def _row_budget(row: dict[str, Any]) -> str:
    options = budget_options(row)
    words = {"total": "{} in all", "per_class": "{} per class"}
    if options <= set(words):
        return ", ".join(words[key].format(_thousands(row[key])) for key in words if key in options) or _unknown(row)
    return _unknown(row)


def epochs(record: RunRecord) -> str:
    """How long the network trains in each task."""
    phase = main_phase(record)
    if phase is None:
        return "no row of kind phase"
    row = phase[1]
    if row.get("epochs") is None:
        return _unknown(row)
    first = _first(row).get("epochs")
    later = str(row["epochs"])
    return later if first in (None, row["epochs"]) else f"{first} in the first task, then {later}"


def epoch_options(row: dict[str, Any]) -> set[str]:
    """The options of a phase that `epochs` tells."""
    return {"epochs"} if row.get("epochs") is not None else set(row) - {"use"}


def training(record: RunRecord) -> dict[str, Any]:
    """How the main phase optimises; ``first.*`` only where the first task is other than the rest."""
    phase = main_phase(record)
    row = phase[1] if phase is not None else {}
    first = _first(row)
    later = {key: row[key] for key in SCHEDULE if key in row}
    other = {f"first.{key}": first[key] for key in SCHEDULE if first.get(key) not in (None, row.get(key))}
    return later | other


def backbone(record: RunRecord) -> dict[str, Any]:
    """The feature extractor's options, flat."""
    return flatten(record.recipe["backbone"])


def backbone_words(options: dict[str, Any]) -> str:
    """Some of what `backbone` gave, in words."""
    words = [
        str(value) if key == "name" else f"{key.removeprefix('options.')} {show_value(value)}"
        for key, value in options.items()
    ]
    return ", ".join(words)


def option_words(options: dict[str, Any]) -> str:
    """Options with their values, in words."""
    return ", ".join(f"{key} {show_value(value)}" for key, value in options.items())


def _first(row: dict[str, Any]) -> dict[str, Any]:
    """What is different in the first task; nothing where a third party means something else by the word."""
    first = row.get("first")
    return first if isinstance(first, dict) else {}


def _unknown(row: dict[str, Any]) -> str:
    options = option_words({key: value for key, value in flatten(row).items() if key != "use"})
    return f"{row['use']} ({options})" if options else f"as {row['use']} has it"


def _thousands(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else show_value(value)
