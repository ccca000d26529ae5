"""One run's plug-in manager: who answers which hook, in recipe order, with blame where one fails."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pluggy
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from incrlearn.errors import PluginError, did_you_mean
from incrlearn.hooks import Hooks, MakeBackbone, Row
from incrlearn.observe import Around, observed
from incrlearn.plugin import Plugin
from incrlearn.types import (
    Backbone,
    Batch,
    HeldOut,
    LossTerm,
    Network,
    Output,
    Passes,
    Phase,
    RunState,
    Samples,
    Task,
    TaskPasses,
)

PROJECT = "incrlearn"


def hook_names() -> tuple[str, ...]:
    """Every hook, in the order of the loop."""
    return tuple(name for name, member in vars(Hooks).items() if inspect.isfunction(member))


class Calls:
    """Calls the hooks of one run.

    Plug-ins answer in the order given; ``core`` holds the defaults, asked last; ``watchers`` (a display) only look
    on, after everybody else. With ``around``, that happens around every implementation of a plug-in's hook.

    Raises:
        PluginError: for an implementation that could not work: a misspelt hook, an unknown argument, a forgotten
            ``@hookimpl``, a default value on an argument, ``tryfirst``, ``hookwrapper``.
    """

    def __init__(
        self,
        plugins: Sequence[Plugin],
        core: Sequence[object] = (),
        watchers: Sequence[object] = (),
        around: Around | None = None,
    ) -> None:
        self.plugins = tuple(plugins)
        self._registered: dict[int, object] = {}
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(Hooks)
        self._labels: dict[int, str] = {}
        self._loss_callers: dict[frozenset[str] | None, Any] = {}
        named: list[tuple[object, str]] = [(plugin, plugin.name) for plugin in plugins]
        named += [(watcher, type(watcher).__name__) for watcher in watchers]
        named += [(default, "core") for default in core]
        # pluggy calls the last registered first.
        for plugin, label in reversed(named):
            check_implementations(plugin, label, is_core=label == "core")
            answering = plugin
            if around is not None and isinstance(plugin, Plugin):
                answering = observed(plugin, label, around, f"{PROJECT}_impl")
            self._registered[id(plugin)] = answering
            self._labels |= {id(plugin): label, id(answering): label}
            try:
                self._manager.register(answering, name=f"{label}#{len(self._registered)}")
            except pluggy.PluginValidationError as error:
                raise PluginError(f"plug-in '{label}': {error}") from error

    def answers(self) -> list[tuple[str, list[str]]]:
        """Each hook in the order of the loop, with who answers it, in call order; the core's defaults as ``core``."""
        table = []
        for name in hook_names():
            callers = reversed(getattr(self._manager.hook, name).get_hookimpls())
            table.append((name, [self._labels[id(caller.plugin)] for caller in callers]))
        return table

    def wants(self, word: str, phase: Phase | None = None) -> bool:
        """Whether a plug-in needs ``word``; with ``phase``, one that takes part in its loss."""
        terms = phase.terms if phase is not None else None
        return any(word in p.needs and (terms is None or bool(terms & p.provides)) for p in self.plugins)

    @contextmanager
    def _blame(self, hook: str, task: Task | None = None) -> Iterator[None]:
        """Note on an error which plug-in was answering which hook, in which task; costs nothing where all goes well."""
        try:
            yield
        except Exception as error:
            frames = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__)]
            culprit = next((self._labels[id(owner)] for owner in frames if id(owner) in self._labels), None)
            who = f"'{culprit}' answered {hook}" if culprit else f"{hook} was called"
            error.add_note(f"while {who}" if task is None else f"while {who}, {task}")
            raise

    # -- before a run

    def explain(self, backbone: Backbone, image_shape: tuple[int, int, int]) -> list[str]:
        """What the plug-ins will do with the backbone, in lines."""
        with self._blame("explain"):
            answers: list[list[str]] = self._manager.hook.explain(backbone=backbone, image_shape=image_shape)
        return [line for answer in answers for line in answer]

    # -- data

    def hold_out(self, state: RunState, new: Samples, quota: int | None) -> HeldOut | None:
        """What of ``new`` no phase is to train on; None where nobody asks for it."""
        with self._blame("hold_out", state.task):
            chosen: HeldOut | None = self._manager.hook.hold_out(state=state, new=new, quota=quota)
        return chosen

    # -- growth

    def expand(self, state: RunState, old: Network | None, make_backbone: MakeBackbone) -> Network:
        """The network of this task."""
        with self._blame("expand", state.task):
            network = self._manager.hook.expand(state=state, old=old, make_backbone=make_backbone)
        if not isinstance(network, Network):
            raise PluginError(f"expand must give an incrlearn Network, not {network!r}")
        return network

    def rebuild(self, task: Task, layout: dict[str, Any], make_backbone: MakeBackbone) -> Network:
        """A network of the shapes told by ``layout``, without a head."""
        with self._blame("rebuild", task):
            network = self._manager.hook.rebuild(layout=layout, make_backbone=make_backbone)
        if not isinstance(network, Network):
            raise PluginError(
                f"nobody rebuilds a network from the layout {layout!r}: its plug-in must answer 'rebuild'"
            )
        return network

    def grow_head(self, state: RunState, old: nn.Module | None, width: int) -> nn.Module:
        """The classifier of this task."""
        with self._blame("grow_head", state.task):
            head = self._manager.hook.grow_head(state=state, old=old, width=width)
        if not isinstance(head, nn.Module):
            raise PluginError(f"grow_head must give a torch module, not {head!r}")
        return head

    def prepare(self, state: RunState, passes: TaskPasses) -> None:
        """Everybody gets ready for the task."""
        with self._blame("prepare", state.task):
            self._manager.hook.prepare(state=state, passes=passes)

    # -- phases

    def phases(self, state: RunState) -> list[Phase]:
        """The phases of this task, in recipe order."""
        with self._blame("phases", state.task):
            phases: list[Phase] = self._manager.hook.phases(state=state)
        return phases

    def select_data(self, state: RunState, phase: Phase, new: Samples, memory: Samples) -> Samples:
        """What ``phase`` trains on."""
        with self._blame("select_data", state.task):
            samples: Samples = self._manager.hook.select_data(state=state, phase=phase, new=new, memory=memory)
        return samples

    def param_groups(self, state: RunState, phase: Phase) -> list[dict[str, Any]]:
        """What the optimizer of ``phase`` holds."""
        with self._blame("param_groups", state.task):
            groups: list[dict[str, Any]] = self._manager.hook.param_groups(state=state, phase=phase)
        return groups

    def make_optimizer(
        self, state: RunState, phase: Phase, groups: list[dict[str, Any]]
    ) -> tuple[Optimizer, LRScheduler]:
        """The optimizer of ``phase`` and its schedule."""
        with self._blame("make_optimizer", state.task):
            made: tuple[Optimizer, LRScheduler] | None = self._manager.hook.make_optimizer(
                state=state, phase=phase, groups=groups
            )
        if made is None:
            raise PluginError(f"nobody makes an optimizer for phase '{phase.name}': its plug-in must")
        return made

    def phase_start(self, state: RunState) -> None:
        """``state.phase`` begins."""
        with self._blame("phase_start", state.task):
            self._manager.hook.phase_start(state=state)

    def epoch_start(self, state: RunState) -> None:
        """``state.epoch`` begins."""
        with self._blame("epoch_start", state.task):
            self._manager.hook.epoch_start(state=state)

    def batch_start(self, state: RunState, position: float) -> None:
        """A batch begins."""
        with self._blame("batch_start", state.task):
            self._manager.hook.batch_start(state=state, position=position)

    def loss_terms(self, state: RunState, batch: Batch, out: Output) -> list[LossTerm]:
        """The summands of the loss that take part in ``state.phase``."""
        terms = state.phase.terms if state.phase is not None else None
        if terms not in self._loss_callers:
            left_out = [p for p in self.plugins if terms is not None and not (terms & p.provides)]
            absent = [self._registered[id(plugin)] for plugin in left_out]
            self._loss_callers[terms] = self._manager.subset_hook_caller("loss_terms", remove_plugins=absent)
        with self._blame("loss_terms", state.task):
            lists: list[list[LossTerm]] = self._loss_callers[terms](state=state, batch=batch, out=out)
        return [term for answer in lists for term in answer]

    def after_backward(self, state: RunState) -> None:
        """Gradients are there."""
        with self._blame("after_backward", state.task):
            self._manager.hook.after_backward(state=state)

    def after_step(self, state: RunState) -> None:
        """The optimizer has stepped."""
        with self._blame("after_step", state.task):
            self._manager.hook.after_step(state=state)

    def epoch_end(self, state: RunState) -> None:
        """``state.epoch`` is over."""
        with self._blame("epoch_end", state.task):
            self._manager.hook.epoch_end(state=state)

    def prune(self, state: RunState, passes: Passes) -> list[dict[str, Any]]:
        """What was removed from the weights."""
        with self._blame("prune", state.task):
            reports: list[dict[str, Any]] = self._manager.hook.prune(state=state, passes=passes)
        return reports

    def phase_end(self, state: RunState) -> None:
        """``state.phase`` is over."""
        with self._blame("phase_end", state.task):
            self._manager.hook.phase_end(state=state)

    # -- after training

    def memory_quota(self, task: Task) -> int | None:
        """Exemplars to keep of each class after ``task``; None where the recipe keeps none."""
        with self._blame("memory_quota", task):
            quota: int | None = self._manager.hook.memory_quota(task=task)
        return quota

    def rank_exemplars(self, state: RunState, label: int, features: Tensor, quota: int) -> Tensor:
        """Positions of the exemplars of one class, best first."""
        with self._blame("rank_exemplars", state.task):
            ranked = self._manager.hook.rank_exemplars(state=state, label=label, features=features, quota=quota)
        wanted = min(quota, len(features))
        positions = ranked.tolist() if isinstance(ranked, Tensor) else None
        if positions is None or len(set(positions)) != wanted or not all(0 <= p < len(features) for p in positions):
            raise PluginError(
                f"rank_exemplars must give {wanted} distinct positions from 0 to {len(features) - 1}, got {ranked!r}"
            )
        return torch.tensor(positions, dtype=torch.int64)

    def task_end(self, state: RunState, passes: TaskPasses) -> None:
        """The task is over."""
        with self._blame("task_end", state.task):
            self._manager.hook.task_end(state=state, passes=passes)

    # -- evaluation and record

    def scores(self, state: RunState, out: Output) -> Tensor:
        """(B, K) scores of a test batch."""
        with self._blame("scores", state.task):
            scores: Tensor = self._manager.hook.scores(state=state, out=out)
        return scores

    def metrics(self, state: RunState, scores: Tensor, labels: Tensor) -> dict[str, float]:
        """Further numbers about the task, by name."""
        with self._blame("metrics", state.task):
            answers: list[dict[str, float]] = self._manager.hook.metrics(state=state, scores=scores, labels=labels)
        numbers: dict[str, float] = {}
        for answer in answers:
            twice = sorted(numbers.keys() & answer.keys())
            if twice:
                raise PluginError(f"two plug-ins give metrics of the same name: {twice}; rename one of them")
            # numpy's and torch's scalars are no plain values, which a checkpoint must hold.
            numbers |= {str(name): float(value) for name, value in answer.items()}
        return numbers

    def record(self, state: RunState, row: Row) -> None:
        """Everybody takes note of ``row``."""
        with self._blame("record", state.task):
            self._manager.hook.record(state=state, row=row)


def check_implementations(plugin: object, label: str, is_core: bool = False) -> None:
    """Refuse hook implementations that pluggy would take in silence or misread.

    Raises:
        PluginError: naming plug-in, method and what to write instead.
    """
    hooks = hook_names()
    for name in dir(type(plugin)):
        member = inspect.getattr_static(type(plugin), name)
        marks = getattr(member, f"{PROJECT}_impl", None)
        where = f"plug-in '{label}': {type(plugin).__name__}.{name}"
        if marks is None:
            if name in hooks and callable(member):
                raise PluginError(f"{where} bears the name of a hook but is not marked: write @hookimpl above it")
            continue
        if (marks.get("specname") or name) not in hooks:
            raise PluginError(f"{where}: no hook of that name{did_you_mean(name, hooks)}")
        if marks["tryfirst"] or (marks["trylast"] and not is_core):
            raise PluginError(f"{where}: tryfirst and trylast are refused; calls go in the order of the recipe")
        if marks["hookwrapper"]:
            raise PluginError(f"{where}: hookwrapper is refused; write @hookimpl(wrapper=True)")
        defaults = [p.name for p in inspect.signature(member).parameters.values() if p.default is not p.empty]
        if defaults:
            raise PluginError(
                f"{where}: argument '{defaults[0]}' has a default value; hooks are called by name without"
            )
