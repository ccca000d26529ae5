"""The built-in network: one or several extractors side by side, the old ones frozen, and a head over all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from incrlearn.errors import OutputError
from incrlearn.hooks import MakeBackbone
from incrlearn.types import Backbone, Network


class BranchedNetwork(Network):
    """Extractors whose features are concatenated (DER, Eq. 1); the first ``frozen`` of them never change.

    Frozen extractors stay in eval mode whatever mode the network is put in, so their batch-norm statistics stand
    still, and they run without gradients.
    """

    def __init__(self, extractors: Sequence[Backbone], frozen: int = 0) -> None:
        super().__init__()
        self.extractors = nn.ModuleList(extractors)
        self.frozen = 0
        self.freeze(frozen)

    @property
    def backbones(self) -> tuple[Backbone, ...]:
        """The extractors, oldest first."""
        return tuple(extractor for extractor in self.extractors if isinstance(extractor, Backbone))

    @property
    def widths(self) -> tuple[int, ...]:
        """The width d_i of each extractor, oldest first."""
        return tuple(backbone.width for backbone in self.backbones)

    def freeze(self, count: int) -> None:
        """Freeze the ``count`` oldest extractors: no gradients, eval mode for good."""
        self.frozen = count
        for extractor in self.extractors[:count]:
            extractor.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> BranchedNetwork:
        """Set the mode of everything but the frozen extractors."""
        super().train(mode)
        for extractor in self.extractors[: self.frozen]:
            extractor.eval()
        return self

    def extract(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, C, H, W) -> one (B, d_i) per extractor, oldest first."""
        with torch.no_grad():
            old = [extractor(images) for extractor in self.extractors[: self.frozen]]
        return (*old, *(extractor(images) for extractor in self.extractors[self.frozen :]))

    def layout(self) -> dict[str, Any]:
        """``{"network": "branched", "extractors": n, "frozen": k}``."""
        return {"network": "branched", "extractors": len(self.extractors), "frozen": self.frozen}

    @classmethod
    def from_layout(cls, layout: dict[str, Any], make_backbone: MakeBackbone) -> BranchedNetwork:
        """The shapes that :meth:`layout` told, with fresh weights.

        Raises:
            OutputError: the layout lacks a number.
        """
        try:
            count, frozen = int(layout["extractors"]), int(layout["frozen"])
        except (KeyError, TypeError, ValueError) as error:
            raise OutputError(f"not the layout of a branched network: {layout!r}") from error
        extractors = [make_backbone(f"rebuild {number}") for number in range(1, count + 1)]
        return cls(extractors, frozen)
