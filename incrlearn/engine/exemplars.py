"""Which samples train and which are held out, and which are kept for later tasks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from incrlearn.calls import Calls
from incrlearn.memory import ClassExemplars, ExemplarMemory, held_out_part
from incrlearn.types import RunState, Samples

Features = Callable[[Samples], Tensor]
"""(n, D) float32 features of training images, on the CPU; see `incrlearn.types.TaskPasses.features`."""


def lay_out_samples(
    state: RunState, calls: Calls, memory: ExemplarMemory, new: Samples, quota: tuple[int, ...] | None
) -> float:
    """Set the samples of a task: ``state.new`` and ``state.memory`` to train on, ``state.held_out`` beside them.

    Args:
        state: its task begins.
        calls: the plug-ins; ``hold_out`` is asked.
        memory: the exemplars of the tasks before.
        new: all training samples of the task's data.
        quota: exemplars of each class known, one number a class; in the first task, those that its classes will have;
            None: no memory.

    Returns:
        The share of its classes' exemplars that is to be held out, for `choose_exemplars`.

    Raises:
        PluginError: what was chosen cannot be held out.
    """
    state.new, state.memory, state.held_out = new, memory.samples(), memory.held_out()
    chosen = calls.hold_out(state, new, quota)
    if chosen is None:
        return 0.0
    held = torch.zeros(len(new), dtype=torch.bool)
    held[chosen.positions] = True
    state.new, state.held_out = new.take(~held), new.take(held) + state.held_out
    return chosen.share


def choose_exemplars(
    state: RunState,
    calls: Calls,
    memory: ExemplarMemory,
    features: Features,
    quota: tuple[int, ...] | None,
    share: float,
) -> None:
    """Shrink the exemplars of old classes to the quota and rank those of the new ones, held-out ones by themselves.

    Afterwards ``state.memory`` is all that is kept, ``state.held_out`` what of it is held out.

    Args:
        state: its task is trained.
        calls: the plug-ins; ``rank_exemplars`` is asked.
        memory: takes the exemplars.
        features: gives the features that they are ranked by.
        quota: exemplars of each class seen, one number a class; None: none are kept.
        share: of the new classes' exemplars, how many are to be held-out ones.
    """
    if quota is not None:
        memory.truncate(quota)
        for label in range(state.task.known, state.task.seen):
            held_out = state.held_out.of_class(label)
            part = min(held_out_part(quota[label], share), len(held_out))
            training = _best(state, calls, label, state.new.of_class(label), features, quota[label] - part)
            kept = _best(state, calls, label, held_out, features, part)
            memory.put(label, ClassExemplars(training, kept, share if part else 0.0))
    state.memory, state.held_out = memory.samples() + memory.held_out(), memory.held_out()


def _best(state: RunState, calls: Calls, label: int, samples: Samples, features: Features, quota: int) -> Tensor:
    """Positions in the training split of the exemplars among ``samples``, best first."""
    if quota == 0:
        return samples.indices[:0]
    return samples.indices[calls.rank_exemplars(state, label, features(samples), quota)]
