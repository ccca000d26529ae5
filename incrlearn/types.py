"""The words of the house as types: what passes between the engine and the plug-ins.

Shapes: B images in a batch, C channels, H x W pixels, K classes seen so far, D feature width, d_i width of
extractor i (D = sum of d_i). Labels are positions in the class order: the classes of task 1 come first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from incrlearn.modules import Backbone, Network, Output, Removal, Stage
from incrlearn.rng import derive_seed, make_generator

__all__ = [
    "Backbone",
    "Batch",
    "HeldOut",
    "LossTerm",
    "Network",
    "Output",
    "Passes",
    "Phase",
    "Removal",
    "RunState",
    "Samples",
    "Stage",
    "Task",
    "TaskPasses",
    "Teacher",
]


@dataclass(frozen=True)
class Task:
    """One increment of classes: labels ``known <= k < seen`` are new."""

    number: int
    """From 1."""
    total: int
    """How many tasks the run has."""
    known: int
    """Classes seen before this task."""
    seen: int
    """Classes seen with this task, its own included (K)."""

    @property
    def new(self) -> int:
        """How many classes this task brings."""
        return self.seen - self.known

    def __str__(self) -> str:
        """Such as ``task 3``: what belongs into the purpose of ``make_backbone``."""
        return f"task {self.number}"


@dataclass(frozen=True, eq=False)
class Samples:
    """Images by reference: positions in one split of the data set, and their labels."""

    indices: Tensor
    """(n,) int64, positions in the split."""
    labels: Tensor
    """(n,) int64, labels in class order."""

    @classmethod
    def empty(cls) -> Samples:
        """No samples at all."""
        return cls(torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64))

    def __len__(self) -> int:
        """n, how many there are."""
        return len(self.indices)

    def __add__(self, other: Samples) -> Samples:
        """These and, behind them, the others."""
        return Samples(torch.cat([self.indices, other.indices]), torch.cat([self.labels, other.labels]))

    def take(self, positions: Tensor) -> Samples:
        """The samples at ``positions`` (int64 positions or a mask of length n)."""
        return Samples(self.indices[positions], self.labels[positions])

    def of_class(self, label: int) -> Samples:
        """The samples of one class, in order."""
        return self.take(self.labels == label)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What a plug-in wants to keep from training, for validation."""

    positions: Tensor
    """int64, among the samples it was asked about."""
    share: float = 0.0
    """Of the exemplars of their classes, the share that is to be held-out ones too, from 0 to below 1."""


@dataclass(frozen=True, eq=False)
class Batch:
    """What one step sees, on the device."""

    images: Tensor
    """(B, C, H, W) float32, normalised, channels last in memory."""
    labels: Tensor
    """(B,) int64."""

    def __len__(self) -> int:
        """B, how many images there are."""
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class LossTerm:
    """One summand of the loss: the step minimises the sum of ``weight * value``."""

    name: str
    """By custom the plug-in's key, ``self.name``; an epoch's row has its mean ``value`` by this name."""
    value: Tensor
    """Scalar with a gradient."""
    weight: float | Tensor = 1.0
    """A number, or a scalar on the device without a gradient."""


@dataclass(frozen=True)
class Phase:
    """One training phase within a task, as data; every phase runs through the same loop."""

    name: str
    """The recipe key of the plug-in that asked for it."""
    epochs: int
    """How often it goes through its samples."""
    batch: int
    """Images a step at most; an epoch is cut into batches as even as can be."""
    trains: Literal["network", "head"] = "network"
    """``head``: everything else is in eval mode and without gradients."""
    terms: frozenset[str] | None = None
    """Only loss plug-ins that provide one of these words take part; None: all."""
    temperature: float = 1.0
    """Logits are divided by it before any loss sees them."""
    augment: bool = True
    """False: images come as they do in evaluation."""


class TaskPasses(Protocol):
    """Passes over the data that the engine makes for a plug-in that asks; nothing is trained by them."""

    def accuracy(self) -> float:
        """Top-1 in percent of the network as it stands, on the test images of all classes seen, by its logits.

        The network is in eval mode afterwards, until the next epoch begins.
        """
        ...

    def features(self, samples: Samples) -> Tensor:
        """(n, D) float32, on the CPU: features of training images, in the order of ``samples``, one at least.

        Without augmentation or a gradient. The network is in eval mode for it and stays so until the next epoch begins.
        """
        ...

    def batches(self, samples: Samples, batch: int) -> Iterator[Batch]:
        """The training images themselves, on the device, in the order of ``samples``, without augmentation.

        ``batch`` at a time, in the last one what is left. What you do with them is yours: the mode of the network,
        and whether there are gradients. One pass at a time: end it before the next one, and before ``features``.
        """
        ...


class Passes(TaskPasses, Protocol):
    """Those that can be made in the middle of a phase, over its data too."""

    def settle_norms(self, module: nn.Module) -> None:
        """Estimate the running statistics of batch norm in ``module``, a part of the network, anew.

        They become means over one pass through the phase's training data, augmented where the phase's training is.
        """
        ...


class Teacher(Protocol):
    """The network as it was at the end of the task before: a copy in eval mode, without gradients."""

    @property
    def network(self) -> Network:
        """The copy."""
        ...

    def __call__(self, batch: Batch) -> Output:
        """What it says of a batch, over the classes known then: logits (B, known), divided by no temperature.

        Computed once a batch: all plug-ins get the same, which none of them changes in place. With maps where anybody
        needs them.
        """
        ...


@dataclass
class RunState:
    """Where a run stands. The engine assigns; plug-ins read, and change weights only in the hooks made for it.

    What a plug-in keeps for itself stands on its instance: an attribute that is not below cannot be set here.

    It is the same object in all tasks. Where a checkpoint is read, ``grow_head`` gets one in which ``task`` and what
    no task changes are set, and nothing else.
    """

    seed: int
    """The recipe's."""
    device: torch.device
    """Where network and batches are."""
    task: Task
    """The task under way; when the result is recorded, the last one."""
    image_shape: tuple[int, int, int]
    """(C, H, W) of the images the network gets."""
    run_dir: Path | None = None
    """Where the run is written; None where a network is loaded without its run."""
    phase: Phase | None = None
    """The phase under way, from ``select_data`` to ``phase_end``; None outside of phases, in ``phases`` itself too."""
    epoch: int = 0
    """Epoch of the phase, from 0; in ``phase_end`` its last one. It says nothing where ``phase`` is None."""
    new: Samples = field(default_factory=Samples.empty)
    """Training samples of this task's data: in ``hold_out`` all of them, afterwards those that are not held out."""
    memory: Samples = field(default_factory=Samples.empty)
    """Exemplars of the classes known before this task, without those held out: none in the first task. Best first
    within a class. From ``task_end`` on all that are kept, those of its own classes and those held out too: nothing is
    trained there."""
    held_out: Samples = field(default_factory=Samples.empty)
    """What no phase trains on unless its plug-in selects it: in ``hold_out`` the exemplars of old classes that are held
    out, afterwards what is held out of this task's data too. From ``task_end`` on the exemplars among ``memory`` that
    are held out."""
    teacher: Teacher | None = None
    """The network of the task before, from ``expand`` to ``task_end``; None in the first task, in ``hold_out`` and
    behind ``task_end``, and in all tasks where no plug-in of the recipe has the word ``teacher`` in its ``needs``."""
    current: Network | None = None
    """The network, or None before the first ``expand``; ask for ``network`` where there is one."""

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse what is not the state's: it would be lost where a run is resumed."""
        if name not in type(self).__dataclass_fields__:
            raise AttributeError(f"state.{name}: nothing of a plug-in's own goes on state; keep it on self.{name}")
        object.__setattr__(self, name, value)

    @property
    def network(self) -> Network:
        """The network, from ``prepare`` on with this task's head.

        In ``hold_out`` and ``expand`` it is still the old one, and in the first task there is none. What is attached to
        it is dropped behind ``task_end``.

        Raises:
            RuntimeError: there is none yet, as in ``hold_out`` and ``expand`` of the first task.
        """
        if self.current is None:
            raise RuntimeError("there is no network yet: 'expand' has not been answered in this run")
        return self.current

    def generator(self, purpose: str) -> torch.Generator:
        """A fresh CPU generator seeded by (seed, task, purpose): name the purpose with all that should vary it."""
        return make_generator(self.seed, self.task.number, purpose)

    def seed_for(self, purpose: str) -> int:
        """The seed behind `generator`, for code that takes a number."""
        return derive_seed(self.seed, self.task.number, purpose)
