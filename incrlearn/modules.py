"""What a network is to the engine and to the plug-ins: extractors, what is read off them, and a head on top.

Shapes are those of `incrlearn.types`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Output:
    """What a network says of a batch, in float32 whatever the precision of the run."""

    parts: tuple[Tensor, ...]
    """One (B, d_i) per extractor, oldest first."""
    features: Tensor
    """(B, D), the parts side by side: DER's super-feature (Eq. 1)."""
    logits: Tensor
    """(B, K); in a phase with a temperature, already divided by it."""
    maps: tuple[Tensor, ...] = ()
    """One (B, C_s, H_s, W_s) per stage of the newest extractor, in the order of a pass, see `Network.stages`;
    only in training, where a plug-in that takes part in the phase's loss needs ``maps``."""


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


@dataclass(frozen=True, eq=False)
class Stage:
    """A place in a network where a map (B, C, H, W) is read off."""

    name: str
    """Path of the stage in its extractor."""
    module: nn.Module
    side: Literal["input", "output"]
    """Whether the map is what ``module`` is given or what it gives."""


class Network(nn.Module, ABC):
    """What the engine and the plug-ins may ask of a network; `incrlearn.network.BranchedNetwork` is the built-in one.

    Attributes:
        head: the classifier, (B, D) -> (B, K); the engine assigns what ``grow_head`` returns.
        attachments: modules that only training needs, such as an auxiliary head; see `attach`. The engine drops
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

    def stages(self) -> tuple[Stage, ...]:
        """Where the maps of the newest extractor are read off, in the order of a pass; none where that is not known."""
        return ()

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
