"""What every plug-in has to keep to, as checks that tell all they find."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from incrlearn.calls import check_implementations
from incrlearn.errors import IncrlearnError
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing.trial import KEY, Need, Trial, tell

Find = Callable[[Trial], list[str]]


@dataclass(frozen=True)
class Check:
    """One rule."""

    name: str
    """In an identifier's letters."""
    rule: str
    """What holds, in words."""
    find: Find
    """What breaks it; empty where it holds."""
    needs: frozenset[Need] = frozenset({"run"})
    """Without which it says nothing of a plug-in."""


def all_checks() -> tuple[Check, ...]:
    """Every rule, the ones that others rest on first."""
    elsewhere: frozenset[Need] = frozenset({"run", "second device"})
    on_a_gpu: frozenset[Need] = frozenset({"run", "gpu"})
    return (
        Check("options", "its options survive YAML", options_survive_yaml, frozenset()),
        Check("hooks", "its hooks are known and can be called", hooks_are_known, frozenset()),
        Check("trains", "three tasks are trained with it", three_tasks_are_trained, frozenset()),
        Check("left_out", "the recipe is valid without it", recipe_is_valid_without, frozenset()),
        Check("terms", "its loss terms are finite scalars with a gradient", _faults("terms")),
        Check("weights", "hooks that give something change no weight", _faults("weights")),
        Check("frozen", "what is frozen stays as it is, to the bit", _faults("frozen")),
        Check("generators", "it draws from no global generator", _faults("generators")),
        Check("device", "its tensors lie on the run's device, and are drawn on the CPU", _faults("device"), elsewhere),
        Check("waits", "its hot hooks do not wait for the device", _faults("waits")),
        Check("resume", "stopped and resumed, it comes to the same bits", resumed_run_is_the_same),
        Check("gpu", "it runs on a GPU without waiting for it in hot hooks", runs_on_a_gpu, on_a_gpu),
    )


def options_survive_yaml(trial: Trial) -> list[str]:
    """Written to YAML and read back, a recipe with it has the same options and the same fingerprint."""
    try:
        recipe = trial.subject.recipe()
        again = recipe_from_dict(yaml.safe_load(recipe.to_yaml()), trial.subject.registry, recipe.name)
    except IncrlearnError as error:
        return [tell(error)]
    before, after = (_options(one.resolved()) for one in (recipe, again))
    changed = [f"{path} was {before.get(path)!r} and came back as {after.get(path)!r}" for path in before | after]
    return [words for path, words in zip(before | after, changed, strict=True) if before.get(path) != after.get(path)]


def hooks_are_known(trial: Trial) -> list[str]:
    """No hook is misspelt, unmarked, has defaults, or takes what it is not given."""
    plugin, key = trial.subject.plugin, trial.subject.key
    try:
        # The methods are looked up in the class: without options, since those of the recipe may be wrong.
        check_implementations(plugin.__new__(plugin), key)
    except IncrlearnError as error:
        return [tell(error)]
    return []


def three_tasks_are_trained(trial: Trial) -> list[str]:
    """The tiny recipe goes through, and its numbers are finite."""
    if trial.failure is not None:
        return [trial.failure]
    result, _ = trial.through
    tops = [row["top1"] for row in result.summary["tasks"]]
    return [] if len(tops) == 3 and all(map(math.isfinite, tops)) else [f"top-1 after the tasks is {tops}"]


def recipe_is_valid_without(trial: Trial) -> list[str]:
    """Whoever takes its row out has a recipe still, for ablations."""
    subject = trial.subject
    if not subject.can_be_left_out:
        return []
    plain: dict[str, Any] = subject.plain
    rows = {key: row for key, row in plain["plugins"].items() if key != KEY}
    try:
        recipe_from_dict({**plain, "plugins": rows}, subject.registry, "trial")
    except IncrlearnError as error:
        return [tell(error)]
    return []


def resumed_run_is_the_same(trial: Trial) -> list[str]:
    """The interrupted run ends with the weights and accuracies of the one that went through."""
    through, _ = trial.through
    try:
        resumed = trial.resumed
    except Exception as error:
        return [f"it does not go on: {tell(error)}"]
    for number in range(1, 4):
        if _weights(through.run_dir, number) != _weights(resumed.run_dir, number):
            if number == 1:
                return ["the same seed gave other weights in task 1, before anything was stopped"]
            return [
                f"the weights differ after task {number}, having been stopped in task 2: what it keeps from task to "
                "task must go through state_dict and load_state_dict"
            ]
    same = through.summary["accuracy_matrix"] == resumed.summary["accuracy_matrix"]
    return [] if same else ["the weights are the same, the accuracies are not: see what scores keep from task to task"]


def runs_on_a_gpu(trial: Trial) -> list[str]:
    """The tiny recipe goes through on a GPU with torch's sync debug mode set to ``error`` in hot hooks."""
    try:
        trial.on_gpu()
    except Exception as error:
        return [tell(error)]
    return []


def _faults(rule: str) -> Find:
    return lambda trial: [fault.message for fault in trial.through[1].faults if fault.rule == rule]


def _options(plain: dict[str, Any]) -> dict[str, Any]:
    rows = {f"plugins.{key}.{option}": value for key, row in plain["plugins"].items() for option, value in row.items()}
    return rows | {f"data.{option}": value for option, value in plain["data"].items()}


def _weights(run_dir: Path, task: int) -> bytes:
    return (run_dir / "checkpoints" / f"task_{task:02d}" / "network.safetensors").read_bytes()
