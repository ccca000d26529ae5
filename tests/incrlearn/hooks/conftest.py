"""What the tests of the hooks share: a plug-in that listens to all of them, and quick runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from torch import Tensor

from incrlearn import Plugin, Registry, Result, RunState, Task, hookimpl, run_recipe
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe

QUICK: dict[str, Any] = {
    "network": "single",
    "auxiliary": None,
    "balance": None,
    "train": {"use": "sgd", "lr": 0.05, "batch": 20, "epochs": 1, "milestones": [], "warmup": 0},
}


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a hook, and how things stood then."""

    hook: str
    given: dict[str, Any]
    task: int | None = None
    phase: str | None = None
    epoch: int | None = None
    training: bool | None = None
    """Whether the network was in training mode; None where there was none yet."""
    head: Tensor | None = None
    """A copy of the head's weights."""
    gradient: bool = False
    """Whether the head had a gradient."""
    attached: tuple[str, ...] = ()


class Listens(Plugin):
    """Answers nothing and notes every call of every hook."""

    kind = "other"
    calls: list[Call]

    def _note(self, hook: str, state: RunState | None = None, **given: Any) -> None:
        if state is None or state.current is None or not state.network.head.state_dict():
            task = state.task if state is not None else given.get("task")
            self.calls.append(Call(hook, given, task.number if isinstance(task, Task) else None))
            return
        network, phase = state.network, state.phase
        weight = network.head.weight
        assert isinstance(weight, Tensor)
        self.calls.append(
            Call(
                hook,
                given,
                state.task.number,
                phase.name if phase is not None else None,
                state.epoch if phase is not None else None,
                network.training,
                weight.detach().clone(),
                weight.grad is not None,
                tuple(network.attachments),
            )
        )

    @hookimpl
    def explain(self, backbone: Any, image_shape: Any) -> None:
        self._note("explain", backbone=backbone, image_shape=image_shape)

    @hookimpl
    def hold_out(self, state: RunState, new: Any, quota: Any) -> None:
        self._note("hold_out", state, new=new, quota=quota, network=state.current)

    @hookimpl
    def expand(self, state: RunState, old: Any, make_backbone: Any) -> None:
        self._note("expand", state, old=old, make_backbone=make_backbone)

    @hookimpl
    def rebuild(self, layout: Any, make_backbone: Any) -> None:
        self._note("rebuild", layout=layout, make_backbone=make_backbone)

    @hookimpl
    def grow_head(self, state: RunState, old: Any, width: Any) -> None:
        self._note("grow_head", state, old=old, width=width, network=state.current)

    @hookimpl
    def prepare(self, state: RunState, passes: Any) -> None:
        features = passes.features(state.new)
        self._note("prepare", state, features=features, new=state.new, network=state.current)

    @hookimpl
    def phases(self, state: RunState) -> None:
        self._note("phases", state)

    @hookimpl
    def select_data(self, state: RunState, phase: Any, new: Any, memory: Any) -> None:
        self._note("select_data", state, phase=phase, new=new, memory=memory)

    @hookimpl
    def param_groups(self, state: RunState, phase: Any) -> None:
        self._note("param_groups", state, phase=phase)

    @hookimpl
    def make_optimizer(self, state: RunState, phase: Any, groups: Any) -> None:
        self._note("make_optimizer", state, phase=phase, groups=groups)

    @hookimpl
    def phase_start(self, state: RunState) -> None:
        self._note("phase_start", state)

    @hookimpl
    def epoch_start(self, state: RunState) -> None:
        self._note("epoch_start", state)

    @hookimpl
    def batch_start(self, state: RunState, position: float) -> None:
        self._note("batch_start", state, position=position)

    @hookimpl
    def loss_terms(self, state: RunState, batch: Any, out: Any) -> None:
        self._note("loss_terms", state, batch=batch, out=out)

    @hookimpl
    def after_backward(self, state: RunState) -> None:
        self._note("after_backward", state)

    @hookimpl
    def after_step(self, state: RunState) -> None:
        self._note("after_step", state)

    @hookimpl
    def epoch_end(self, state: RunState) -> None:
        self._note("epoch_end", state)

    @hookimpl
    def prune(self, state: RunState, passes: Any) -> None:
        self._note("prune", state, accuracy=passes.accuracy())

    @hookimpl
    def phase_end(self, state: RunState) -> None:
        self._note("phase_end", state)

    @hookimpl
    def memory_quota(self, task: Task, arrived: Any, seed: int) -> None:
        self._note("memory_quota", task=task, arrived=arrived, seed=seed)

    @hookimpl
    def rank_exemplars(self, state: RunState, label: int, features: Tensor, quota: int) -> None:
        self._note("rank_exemplars", state, label=label, features=features, quota=quota)

    @hookimpl
    def task_end(self, state: RunState, passes: Any) -> None:
        self._note("task_end", state, memory=state.memory, accuracy=passes.accuracy())

    @hookimpl
    def scores(self, state: RunState, out: Any) -> None:
        self._note("scores", state, logits=out.logits)

    @hookimpl
    def metrics(self, state: RunState, scores: Tensor, labels: Tensor) -> None:
        self._note("metrics", state, scores=scores, labels=labels)

    @hookimpl
    def record(self, state: RunState, row: Any) -> None:
        self._note("record", state, row=row)


@dataclass(frozen=True, eq=False)
class Heard:
    """A run and all that its plug-ins were asked, in order."""

    result: Result
    calls: list[Call]

    def of(self, *hooks: str, task: int | None = None, phase: str | None = None) -> list[Call]:
        """The calls of some hooks; of one task and phase alone where these are told."""
        found = [call for call in self.calls if call.hook in hooks]
        return [c for c in found if task in (None, c.task) and phase in (None, c.phase)]

    def names(self, *hooks: str, task: int | None = None, phase: str | None = None) -> list[str]:
        """The names of these calls."""
        return [call.hook for call in self.of(*hooks, task=task, phase=phase)]


@pytest.fixture(scope="session")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Heard:
    """DER's two phases over three tasks of two classes with 20 images, with a plug-in that listens."""
    calls: list[Call] = []
    listens = type("Listening", (Listens,), {"calls": calls})
    registry = Registry.of({"synthetic": SyntheticData, "listens": listens})
    plain = tiny_recipe()
    plain["plugins"] = {"listens": "listens", **plain["plugins"]}
    plain["data"] = {"use": "synthetic", "tasks": 3, "order": "natural"}
    recipe = recipe_from_dict(plain, registry, "tiny")
    return Heard(run_recipe(recipe, tmp_path_factory.mktemp("heard") / "run", device="cpu"), calls)


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Result]:
    """Runs a quick recipe over three tasks: one extractor, an epoch of two to three steps a task.

    Its arguments are rows of the recipe; a class stands for a plug-in of the test, and those are asked first.
    """

    def run(**rows: Any) -> Result:
        classes = {key: row for key, row in rows.items() if isinstance(row, type)}
        plain = tiny_recipe(**{**QUICK, **rows, **{key: f"{key}_of_test" for key in classes}})
        plugins = plain["plugins"]
        plain["plugins"] = {key: plugins[key] for key in [*classes, *(key for key in plugins if key not in classes)]}
        plain["data"] = {"use": "synthetic", "tasks": 3, "order": "natural"}
        known = {f"{key}_of_test": plugin for key, plugin in classes.items()}
        recipe = recipe_from_dict(plain, Registry.of({"synthetic": SyntheticData, **known}), "tiny")
        return run_recipe(recipe, tmp_path_factory.mktemp("quick") / "run", device="cpu")

    return run
