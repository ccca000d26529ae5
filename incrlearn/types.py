"""The words of the house as types: what passes between the engine and the plug-ins.

Shapes: B images in a batch, C channels, H x W pixels, K classes seen so far, D feature width, d_i width of
extractor i (D = sum of d_i). Labels are positions in the class order: the classes of task 1 come first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from incrlearn.rng import derive_seed, make_generator


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
        return len(self.indices)

    def __add__(self, other: Samples) -> Samples:
        return Samples(torch.cat([self.indices, other.indices]), torch.cat([self.labels, other.labels]))

    def take(self, positions: Tensor) -> Samples:
        """The samples at ``positions`` (int64 positions or a mask of length n)."""
        return Samples(self.indices[positions], self.labels[positions])

    def of_class(self, label: int) -> Samples:
        """The samples of one class, in order."""
        return self.take(self.labels == label)


@dataclass(frozen=True, eq=False)
class Batch:
    """What one step sees, on the device."""

    images: Tensor
    """(B, C, H, W) float32, normalised, channels last in memory."""
    labels: Tensor
    """(B,) int64."""

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Output:
    """What a network says of a batch, in float32 whatever the precision of the run."""

    parts: tuple[Tensor, ...]
    """One (B, d_i) per extractor, oldest first."""
    features: Tensor
    """(B, D), the parts side by side: DER's super-feature (Eq. 1)."""
    logits: Tensor
    """(B, K); in a phase with a temperature, already divided by it."""


@dataclass(frozen=True, eq=False)
class LossTerm:
    """One summand of the loss: the step minimises the sum of ``weight * value``."""

    name: str
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
    batch: int
    """Images a step at most; an epoch is cut into batches as even as can be."""
    trains: Literal["network", "head"] = "network"
    """``head``: everything else is in eval mode and without gradients."""
    terms: frozenset[str] | None = None
    """Only loss plug-ins that provide one of these words take part; None: all."""
    temperature: float = 1.0
    """Logits are divided by it before any loss sees them."""


@dataclass(frozen=True)
class Removal:
    """Channels that were taken out of a backbone's weights: enough to do the same to a fresh one."""

    images: tuple[int, int, int]
    """(C, H, W) of the images it reads."""
    channels: dict[str, list[int]]
    """Per root layer (a path in the backbone) the channels removed; what hung on them went too."""
    width: int
    """Width of the features afterwards."""
    parameters: int
    """How many parameters are left."""


class Backbone(nn.Module):
    """One extractor: images (B, C, H, W) -> pooled features (B, width).

    Attributes:
        width: width of the features.
        removed: what was taken out of its weights so far, oldest first.
        dormant: full-size weights and buffers by name, from before the removals, for an extractor that starts from this
            one; None: what was removed starts from a new draw. No part of the network: not saved with it, not counted.
    """

    def __init__(self, model: nn.Module, width: int) -> None:
        super().__init__()
        self.model = model
        self.width = width
        self.removed: tuple[Removal, ...] = ()
        self.dormant: dict[str, Tensor] | None = None

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, width)."""
        features: Tensor = self.model(images)
        return features


class Network(nn.Module, ABC):
    """What the engine and the plug-ins may ask of a network; `incrlearn.network.BranchedNetwork` is the built-in one.

    Attributes:
        head: the classifier, (B, D) -> (B, K); the engine assigns what ``grow_head`` returns.
        attachments: modules that only training needs, such as an auxiliary head; see :meth:`attach`. The engine drops
            them at the end of the task, so they count in no parameter report and no checkpoint.
    """

    def __init__(self) -> None:
        super().__init__()
        self.head: nn.Module = nn.Identity()
        self.attachments = nn.ModuleDict()

    @property
    @abstractmethod
    def widths(self) -> tuple[int, ...]:
        """The width d_i of each extractor, oldest first."""

    @abstractmethod
    def extract(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, C, H, W) -> one (B, d_i) per extractor, oldest first."""

    @abstractmethod
    def layout(self) -> dict[str, Any]:
        """Plain values from which the ``rebuild`` hook makes the same shapes again, without the head."""

    @property
    def width(self) -> int:
        """D, the width of the features."""
        return sum(self.widths)

    def classify(self, parts: tuple[Tensor, ...], temperature: float = 1.0) -> Output:
        """The parts, put side by side and through the head, in float32; logits are divided by ``temperature``.

        Called outside of autocast: logits rounded to bfloat16 would tie.
        """
        floats = tuple(part.float() for part in parts)
        features = torch.cat(floats, dim=1)
        logits: Tensor = self.head(features)
        return Output(floats, features, logits / temperature)

    def attach(self, key: str, module: nn.Module) -> None:
        """Attach a module for training under the recipe key of its plug-in.

        Where features are removed in the middle of the task, a module that reads them must follow. A
        ``torch.nn.Linear`` does by itself; any other needs ``in_features`` and ``narrow(kept)``, see
        `incrlearn.network.Narrowable`. A module that reads no features is left alone.
        """
        # Bare keys may not bear the names of ModuleDict's own methods, such as "update".
        self.attachments[f"for {key}"] = module

    def detach(self, key: str) -> None:
        """Drop what was attached under ``key`` before its time, the end of the task."""
        del self.attachments[f"for {key}"]

    def attached(self, key: str) -> nn.Module:
        """What was attached under ``key``."""
        return self.attachments[f"for {key}"]

    def forward(self, images: Tensor) -> Output:
        """``classify(extract(images))``."""
        return self.classify(self.extract(images))


class TaskPasses(Protocol):
    """Passes over the data that the engine makes for a plug-in that asks; nothing is trained by them."""

    def accuracy(self) -> float:
        """Top-1 in percent of the network as it stands, on the test images of all classes seen."""
        ...

    def features(self, samples: Samples) -> Tensor:
        """(n, D) float32, on the CPU: features of training images in eval mode, without augmentation."""
        ...


class Passes(TaskPasses, Protocol):
    """Those that can be made in the middle of a phase, over its data too."""

    def settle_norms(self, module: nn.Module) -> None:
        """Estimate the running statistics of batch norm in ``module``, a part of the network, anew.

        They become means over one pass through the phase's training data, augmented as in training.
        """
        ...


class Teacher(Protocol):
    """The network as it was at the end of the task before: a copy in eval mode, without gradients."""

    @property
    def network(self) -> Network:
        """The copy."""
        ...

    def __call__(self, batch: Batch) -> Output:
        """What it says of a batch, over the classes known then; computed once, however many ask."""
        ...


@dataclass
class RunState:
    """Where a run stands. The engine assigns; plug-ins read, and change weights only in the hooks made for it."""

    seed: int
    device: torch.device
    task: Task
    image_shape: tuple[int, int, int]
    """(C, H, W) of the images the network gets."""
    run_dir: Path | None = None
    phase: Phase | None = None
    epoch: int = 0
    """Epoch of the phase, from 0."""
    new: Samples = field(default_factory=Samples.empty)
    """Training samples of this task's data."""
    memory: Samples = field(default_factory=Samples.empty)
    """Exemplars of the classes known before this task; in ``task_end`` of its own too. Best first within a class."""
    teacher: Teacher | None = None
    """The network of the task before; None in the first task, and where no plug-in needs ``teacher``."""
    current: Network | None = None
    """The network; None only before the first ``expand``."""

    @property
    def network(self) -> Network:
        """The network of this task."""
        if self.current is None:
            raise RuntimeError("there is no network yet: 'expand' has not been answered in this run")
        return self.current

    def generator(self, purpose: str) -> torch.Generator:
        """A fresh CPU generator seeded by (seed, task, purpose): name the purpose with all that should vary it."""
        return make_generator(self.seed, self.task.number, purpose)

    def seed_for(self, purpose: str) -> int:
        """The seed behind :meth:`generator`, for code that takes a number."""
        return derive_seed(self.seed, self.task.number, purpose)
