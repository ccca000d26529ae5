"""Every hook, and the whole loop in which the engine calls them.

::

    for task in tasks:
        state.task, state.new, state.memory = task, its data, exemplars of the classes known before
        held_out     = hold_out(state, new, quota)               first; none: all data trains
        state.new, state.held_out = what is left of it, held_out and the exemplars held out before
        state.teacher = a copy of the network                    from task 2 on, where a plug-in needs it
        network      = expand(state, old, make_backbone)         first
        network.head = grow_head(state, old, width)              first
        prepare(state, passes)                                   each
        for phase in phases(state):                              list, recipe order
            state.phase, state.epoch = phase, 0
            samples   = select_data(state, phase, new, memory)   first; default: new + memory
            groups    = param_groups(state, phase)               first; default: what requires a gradient
            optimizer = make_optimizer(state, phase, groups)     first
            phase_start(state)                                   each
            for state.epoch in range(phase.epochs):
                epoch_start(state)                               each
                for batch in samples:
                    batch_start(state, position)                 each, hot
                    out   = network(batch.images)
                    terms = loss_terms(state, batch, out)        list, hot
                    sum(term.weight * term.value).backward()
                    after_backward(state)                        each, hot
                    optimizer.step()
                    after_step(state)                            each, hot
                epoch_end(state)                                 each
                prune(state, passes)                             list; not where the phase trains the head alone
                record(state, row)                               each; row["kind"] == "epoch"
            phase_end(state)                                     each
            state.phase = None
        quota = memory_quota(task, arrived, seed)                first; none: no exemplars
        for each new class:
            rank_exemplars(state, label, features, quota)        first; the class's own quota
        state.memory, state.held_out = all exemplars kept, those of them that are held out
        task_end(state, passes)                                  each
        state.teacher = None, and what is attached to the network is dropped
        for each test batch:
            scores(state, out)                                   first; default: logits
        metrics(state, scores, labels)                           list
        record(state, row)                                       each; row["kind"] == "task"
    record(state, row)                                           each; row["kind"] == "result"

``state.network`` is the network from its ``expand`` to that of the next task. What each attribute of the state holds,
and when it is None, stands with it: see ``RunState``.

Outside of the loop, ``explain(backbone, image_shape)`` is called before a run, and ``rebuild(layout, make_backbone)``
where a network is made again from a checkpoint.

*First* hooks stop at the first answer that is not None; *each* hooks return nothing; *list* hooks collect every
answer that is not None. Plug-ins answer in the order of the recipe. *Hot* hooks run every batch: nothing in them may
wait for the device.

Below each hook stands what it may do to weights. Hooks that *make weights* give a module, a new one or the old one that
they are given, changed in place. Hooks that *may change weights* do so in place: from ``phase_start`` on no parameter
and no head is replaced by a new object, for the optimizer has the old one. Only ``prune`` may make parameters anew:
``param_groups`` is asked again after it. All other hooks leave weights as they are; if they give something, they give
the same again when they are asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pluggy import HookimplMarker, HookspecMarker
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

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

hookspec = HookspecMarker("incrlearn")
hookimpl = HookimplMarker("incrlearn")
"""Marks a method as an answer to the hook whose name it bears, or with ``wrapper=True`` as one around all others'."""

MakeBackbone = Callable[[str], Backbone]
"""``make_backbone(purpose)`` gives a new extractor as the recipe's ``backbone`` says, in train mode and on the CPU: the
engine takes the network to the device when it has its head. Its weights follow from the recipe's seed and the purpose,
the same from the same purpose in every task: name the task in it, as in ``f"backbone of {state.task}"``."""
Row = dict[str, Any]
"""One line of the record: plain values, with ``kind`` epoch, task or result."""

HOT = frozenset({"batch_start", "loss_terms", "after_backward", "after_step"})
"""Hooks that run every batch: nothing in them may wait for the device (no ``.item()``, no ``print(tensor)``)."""
MAKE_WEIGHTS = frozenset({"expand", "rebuild", "grow_head"})
"""Hooks that make a module; those that are given an old one may change it in place, or give it back."""
CHANGE_WEIGHTS = frozenset(
    {
        *("prepare", "phase_start", "phase_end", "epoch_start", "epoch_end"),
        *("after_backward", "after_step", "prune", "task_end"),
    }
)
"""Hooks that may change weights, in place. All others leave them as they are."""


class Hooks:
    """The hook specifications, in the order of the loop."""

    # -- before a run ------------------------------------------------------------------------------------------

    @hookspec
    def explain(self, backbone: Backbone, image_shape: tuple[int, int, int]) -> list[str] | None:
        """Tell in lines what you will do with the recipe's backbone; ``incrlearn explain`` prints them.

        ``backbone`` is fresh and reads images of ``image_shape``, (C, H, W); leave it as it is. Raise a `PluginError`
        if you cannot work with it: the recipe is then refused before anything is trained.
        """

    # -- data --------------------------------------------------------------------------------------------------

    @hookspec(firstresult=True)
    def hold_out(self, state: RunState, new: Samples, quota: tuple[int, ...] | None) -> HeldOut | None:
        """Keep some of the task's samples ``new`` from training; they, and no others of them, are ``state.held_out``.

        The engine takes them out of ``state.new``, keeps some of them as exemplars, as many as ``share`` tells, ranks
        these by themselves, and in later tasks takes them out of ``state.memory`` too. ``state.held_out`` has those of
        old classes already; there is no network of this task yet. Some of each class must be left. ``quota`` is how
        many exemplars each known class has, in the order of arrival; in the first task, how many each of its classes
        will have; None without a memory.
        """

    # -- growth ------------------------------------------------------------------------------------------------

    @hookspec(firstresult=True)
    def expand(self, state: RunState, old: Network | None, make_backbone: MakeBackbone) -> Network | None:
        """Give this task's network; ``old`` is that of the task before (None in the first) and may be grown in place.

        The engine assigns the result, then asks ``grow_head``.
        """

    @hookspec(firstresult=True)
    def rebuild(self, layout: dict[str, Any], make_backbone: MakeBackbone) -> Network | None:
        """Make a network of the shapes ``layout`` tells (what ``Network.layout`` gave), without a head.

        Weights are loaded afterwards. The core's answer makes a `BranchedNetwork`.
        """

    @hookspec(firstresult=True)
    def grow_head(self, state: RunState, old: nn.Module | None, width: int) -> nn.Module | None:
        """Give the classifier (B, width) -> (B, K), K = ``state.task.seen``; ``old`` is that of the task before.

        Called again where a checkpoint is loaded, with the widths that the tasks ended with: its shape must depend on
        nothing else.
        """

    @hookspec
    def prepare(self, state: RunState, passes: TaskPasses) -> None:
        """Get ready for the task, network and head being there: attach an auxiliary head, take a snapshot.

        ``passes`` gives features of training images under the network as the task finds it, to start weights from.
        """

    # -- phases ------------------------------------------------------------------------------------------------

    @hookspec
    def phases(self, state: RunState) -> Phase | None:
        """The phase this plug-in wants in this task, or None; they run in recipe order."""

    @hookspec(firstresult=True)
    def select_data(self, state: RunState, phase: Phase, new: Samples, memory: Samples) -> Samples | None:
        """The samples to train on in ``phase``. The core's answer is all: ``new + memory``."""

    @hookspec(firstresult=True)
    def param_groups(self, state: RunState, phase: Phase) -> list[dict[str, Any]] | None:
        """Parameter groups for the optimizer; asked again after a pruning, for as many groups or fewer.

        The core's answer is one group: what requires a gradient, or the head alone where ``phase.trains`` is "head".
        """

    @hookspec(firstresult=True)
    def make_optimizer(
        self, state: RunState, phase: Phase, groups: list[dict[str, Any]]
    ) -> tuple[Optimizer, LRScheduler] | None:
        """The optimizer of ``phase`` and its schedule, stepped once after each epoch; None if it is not your phase."""

    @hookspec
    def phase_start(self, state: RunState) -> None:
        """``state.phase`` begins; its optimizer exists."""

    @hookspec
    def epoch_start(self, state: RunState) -> None:
        """``state.epoch`` begins; the network is in train or eval mode already."""

    @hookspec
    def batch_start(self, state: RunState, position: float) -> None:
        """A batch begins. ``position`` is (b - 1) / (B - 1) in [0, 1] for batch b of B; 1 where there is one."""

    @hookspec
    def loss_terms(self, state: RunState, batch: Batch, out: Output) -> list[LossTerm] | None:
        """Summands of the loss for this batch. Pure: no weight changes, no draw from a global generator."""

    @hookspec
    def after_backward(self, state: RunState) -> None:
        """Gradients are there, the step is not taken."""

    @hookspec
    def after_step(self, state: RunState) -> None:
        """The optimizer has stepped."""

    @hookspec
    def epoch_end(self, state: RunState) -> None:
        """``state.epoch`` is over."""

    @hookspec
    def prune(self, state: RunState, passes: Passes) -> dict[str, Any] | None:
        """Remove what the network does not need from the weights, in place; say what went (plain values).

        Called after every epoch of a phase that trains the network; ``state.epoch`` is the one just over. Where
        somebody answers, ``param_groups`` is asked again and the optimizer goes on with the parameters it names; those
        that are new to it start without momentum. The answer becomes part of the epoch's row and of the task's.
        """

    @hookspec
    def phase_end(self, state: RunState) -> None:
        """``state.phase`` is over."""

    # -- after training ----------------------------------------------------------------------------------------

    @hookspec(firstresult=True)
    def memory_quota(self, task: Task, arrived: tuple[int, ...], seed: int) -> int | Sequence[int] | None:
        """How many exemplars to keep of each class after ``task``: one number for all, or K of them, one a class.

        ``arrived`` tells how many training images of each class seen have come (K numbers, in the order of arrival),
        ``seed`` is the recipe's. Also asked before a run, to check its recipe, so the answer must follow from these
        alone. What a class has may shrink from task to task and never grows: what is gone does not come back.
        """

    @hookspec(firstresult=True)
    def rank_exemplars(self, state: RunState, label: int, features: Tensor, quota: int) -> Tensor | None:
        """Choose exemplars of one class: ``quota`` distinct positions (int64) in ``features`` (n, D), best first.

        ``features`` are in eval mode, float32, on the CPU; n may be smaller than ``quota``: then give all n.
        Later tasks keep a prefix.
        """

    @hookspec
    def task_end(self, state: RunState, passes: TaskPasses) -> None:
        """The task is trained and its exemplars are chosen; attachments are dropped after this."""

    # -- evaluation and record ---------------------------------------------------------------------------------

    @hookspec(firstresult=True)
    def scores(self, state: RunState, out: Output) -> Tensor | None:
        """(B, K) scores of a test batch, the largest wins. The core's answer is ``out.logits``."""

    @hookspec
    def metrics(self, state: RunState, scores: Tensor, labels: Tensor) -> dict[str, float] | None:
        """Further numbers about the task: ``scores`` (N, K), ``labels`` (N,) of all test images seen, on the CPU."""

    @hookspec
    def record(self, state: RunState, row: Row) -> None:
        """Take note of a row: ``row["kind"]`` is epoch, task or result."""
