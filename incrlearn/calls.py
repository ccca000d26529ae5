"""One run's plug-in manager: who answers which hook, in recipe order, with blame where one fails."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import pluggy
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from incrlearn import answers
from incrlearn.blame import accused, blame, refuse_silence, written_in_place
from incrlearn.errors import PluginError
from incrlearn.hooks import Hooks, MakeBackbone, Row
from incrlearn.implementations import PROJECT, check_implementations, hook_names
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

__all__ = ["Calls", "check_implementations", "hook_names"]

T = TypeVar("T")


class Calls:
    """Calls the hooks of one run.

    Plug-ins answer in the order given; ``core`` holds the defaults, asked last; ``watchers`` (a display) only look
    on, after everybody else. With ``around``, that happens around every implementation of a plug-in's hook.

    Raises:
        PluginError: for an implementation that could not work: a misspelt hook, an unknown argument, a forgotten
            ``@hookimpl``, a forgotten ``self``, a default value on an argument, ``tryfirst``, ``hookwrapper``; for a
            plug-in that answers no hook at all, unless it brings data.
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
        self._plugin_labels: dict[int, str] = {}
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
            if isinstance(plugin, Plugin):
                self._plugin_labels[id(answering)] = label
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
            blame(error, hook, task, self._labels)
            raise

    def _first(self, hook: str, task: Task | None, check: Callable[[Any], T], given: dict[str, Any]) -> T:
        """The answer to a *first* hook, in the form that ``check`` gives it."""
        caller = getattr(self._manager.hook, hook)
        with self._blame(hook, task):
            answer = caller(**given)
        try:
            return check(answer)
        except PluginError as error:
            suspects = {} if isinstance(error, answers.UnansweredError) else self._plugin_labels
            raise accused(error, caller, task, check, given, suspects) from None

    def _list(
        self, caller: pluggy.HookCaller, task: Task | None, check: Callable[[Any], T], given: dict[str, Any]
    ) -> list[T]:
        """The answers to a *list* hook, in the form that ``check`` gives each."""
        with self._blame(caller.name, task):
            collected = caller(**given)
        if not isinstance(collected, list):
            wrappers = [self._labels[id(one.plugin)] for one in caller.get_hookimpls() if one.wrapper]
            who = f"plugins.{wrappers[0]}: its wrapper" if len(wrappers) == 1 else f"a wrapper ({', '.join(wrappers)})"
            told = f"{who} around {caller.name} must give back the list of answers that it yields for; got"
            raise PluginError(f"{told} {answers.described(collected)}; is a return missing?")
        try:
            return [check(answer) for answer in collected]
        except PluginError as error:
            raise accused(error, caller, task, check, given, self._plugin_labels) from None

    # -- before a run

    def explain(self, backbone: Backbone, image_shape: tuple[int, int, int]) -> list[str]:
        """What the plug-ins will do with the backbone, in lines."""
        given = {"backbone": backbone, "image_shape": image_shape}
        return [
            line for lines in self._list(self._manager.hook.explain, None, answers.check_lines, given) for line in lines
        ]

    # -- data

    def hold_out(self, state: RunState, new: Samples, quota: tuple[int, ...] | None) -> HeldOut | None:
        """What of ``new`` no phase is to train on; None where nobody asks for it."""
        given = {"state": state, "new": new, "quota": quota}
        return self._first("hold_out", state.task, lambda answer: answers.check_held_out(answer, new), given)

    # -- growth

    def expand(self, state: RunState, old: Network | None, make_backbone: MakeBackbone) -> Network:
        """The network of this task."""
        given = {"state": state, "old": old, "make_backbone": make_backbone}
        return self._first("expand", state.task, answers.check_network, given)

    def rebuild(self, task: Task, layout: dict[str, Any], make_backbone: MakeBackbone) -> Network:
        """A network of the shapes told by ``layout``, without a head."""
        given = {"layout": layout, "make_backbone": make_backbone}
        return self._first("rebuild", task, lambda answer: answers.check_rebuilt(answer, layout), given)

    def grow_head(self, state: RunState, old: nn.Module | None, width: int) -> nn.Module:
        """The classifier of this task."""
        return self._first("grow_head", state.task, answers.check_head, {"state": state, "old": old, "width": width})

    def prepare(self, state: RunState, passes: TaskPasses) -> None:
        """Everybody gets ready for the task."""
        with self._blame("prepare", state.task):
            self._manager.hook.prepare(state=state, passes=passes)

    # -- phases

    def phases(self, state: RunState) -> list[Phase]:
        """The phases of this task, in recipe order."""
        return self._list(self._manager.hook.phases, state.task, answers.check_phase, {"state": state})

    def select_data(self, state: RunState, phase: Phase, new: Samples, memory: Samples) -> Samples:
        """What ``phase`` trains on."""
        given = {"state": state, "phase": phase, "new": new, "memory": memory}
        return self._first(
            "select_data", state.task, lambda answer: answers.check_samples(answer, state.task.seen), given
        )

    def param_groups(self, state: RunState, phase: Phase) -> list[dict[str, Any]]:
        """What the optimizer of ``phase`` holds."""
        return self._first("param_groups", state.task, answers.check_groups, {"state": state, "phase": phase})

    def make_optimizer(
        self, state: RunState, phase: Phase, groups: list[dict[str, Any]]
    ) -> tuple[Optimizer, LRScheduler]:
        """The optimizer of ``phase`` and its schedule."""
        given = {"state": state, "phase": phase, "groups": groups}
        return self._first(
            "make_optimizer", state.task, lambda answer: answers.check_optimizer(answer, phase.name), given
        )

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

    def loss_terms(self, state: RunState, batch: Batch, out: Output, closely: bool = False) -> list[LossTerm]:
        """The summands of the loss in ``state.phase``; looked at ``closely``, each must be able to change weights."""
        wanted = state.phase.terms if state.phase is not None else None
        if wanted not in self._loss_callers:
            left_out = [p for p in self.plugins if wanted is not None and not (wanted & p.provides)]
            absent = [self._registered[id(plugin)] for plugin in left_out]
            self._loss_callers[wanted] = self._manager.subset_hook_caller("loss_terms", remove_plugins=absent)
        given = {"state": state, "batch": batch, "out": out}
        check = partial(answers.check_learning_terms, out=out) if closely else answers.check_loss_terms
        lists = self._list(self._loss_callers[wanted], state.task, check, given)
        terms = [term for answer in lists for term in answer]
        if closely or not terms:
            kinds = {plugin.name: plugin.kind for plugin in self.plugins}
            losses = tuple(name for name, kind in kinds.items() if kind == "loss")
            # Terms bear their plug-in's key by custom: only where no loss is heard by it are all asked again.
            if not any(term.name.startswith(losses) for term in terms):
                refuse_silence(self._loss_callers[wanted], given, len(lists), self._labels, kinds)
        return terms

    def written_in_place(self, state: RunState, batch: Batch, out: Output) -> PluginError:
        """What to tell where gradients cannot be computed, since what they need was changed in place."""
        caller = self._loss_callers[state.phase.terms if state.phase is not None else None]
        given = {"state": state, "batch": batch, "out": out}
        tensors = [*state.network.parameters(), out.logits, *out.parts, *out.maps]
        return written_in_place(caller, state.task, given, tensors, self._plugin_labels)

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
        return self._list(
            self._manager.hook.prune, state.task, answers.check_pruned, {"state": state, "passes": passes}
        )

    def phase_end(self, state: RunState) -> None:
        """``state.phase`` is over."""
        with self._blame("phase_end", state.task):
            self._manager.hook.phase_end(state=state)

    # -- after training

    def memory_quota(self, task: Task, arrived: tuple[int, ...], seed: int) -> tuple[int, ...] | None:
        """Exemplars to keep of each class seen after ``task``, one number a class; None where the recipe keeps none."""
        given = {"task": task, "arrived": arrived, "seed": seed}
        return self._first("memory_quota", task, lambda answer: answers.check_quota(answer, task.seen), given)

    def rank_exemplars(self, state: RunState, label: int, features: Tensor, quota: int) -> Tensor:
        """Positions of the exemplars of one class, best first."""
        given = {"state": state, "label": label, "features": features, "quota": quota}
        return self._first(
            "rank_exemplars", state.task, lambda one: answers.check_ranking(one, quota, len(features)), given
        )

    def task_end(self, state: RunState, passes: TaskPasses) -> None:
        """The task is over."""
        with self._blame("task_end", state.task):
            self._manager.hook.task_end(state=state, passes=passes)

    # -- evaluation and record

    def scores(self, state: RunState, out: Output) -> Tensor:
        """(B, K) scores of a test batch."""
        given = {"state": state, "out": out}
        return self._first("scores", state.task, lambda answer: answers.check_scores(answer, out.logits), given)

    def metrics(self, state: RunState, scores: Tensor, labels: Tensor, taken: Collection[str]) -> dict[str, float]:
        """Further numbers about the task, by name; none of a name that is ``taken``."""
        given = {"state": state, "scores": scores, "labels": labels}
        numbers: dict[str, float] = {}
        check = partial(answers.check_metrics, taken=taken)
        for answer in self._list(self._manager.hook.metrics, state.task, check, given):
            twice = sorted(numbers.keys() & answer.keys())
            if twice:
                raise PluginError(f"two plug-ins give metrics of the same name: {twice}; rename one of them")
            numbers |= answer
        return numbers

    def record(self, state: RunState, row: Row) -> None:
        """Everybody takes note of ``row``."""
        with self._blame("record", state.task):
            self._manager.hook.record(state=state, row=row)
