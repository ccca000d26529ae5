"""The built-in network: one or several extractors side by side, the old ones frozen, and a head over all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from incrlearn.errors import OutputError, PluginError
from incrlearn.hooks import MakeBackbone
from incrlearn.network.heads import Narrowable, can_narrow, narrow_linear, obstacle_to_narrowing
from incrlearn.network.pruning import replay
from incrlearn.network.stages import find_stages
from incrlearn.types import Backbone, Network, Removal, Stage


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

    def stages(self) -> tuple[Stage, ...]:
        """Those of the newest extractor, see `incrlearn.network.find_stages`."""
        return find_stages(self.backbones[-1])

    def narrow_newest(self, kept: Tensor) -> None:
        """Let the head and the attachments that read features read only those at ``kept`` of the newest extractor.

        To be called right before its other features are removed. An attachment follows if it is `Narrowable` or a
        ``torch.nn.Linear`` and its ``in_features`` is the width of the newest extractor or that of all; it gets
        positions in the features that it reads. Other attachments are left as they are.

        Args:
            kept: positions (int64) in the newest extractor's features.

        Raises:
            PluginError: somebody cannot follow, see `obstacles_to_narrowing`; nothing is changed then.
        """
        newest, width = self.widths[-1], self.width
        if len(kept) == newest:
            return
        obstacles = self.obstacles_to_narrowing()
        if obstacles or not isinstance(self.head, Narrowable):
            raise PluginError("; ".join(obstacles))
        of_all = torch.cat([torch.arange(width - newest), width - newest + kept.cpu()])
        self.head.narrow(of_all)
        for module in self.attachments.values():
            if can_narrow(module, (newest, width)):
                positions = kept if module.in_features == newest else of_all
                if isinstance(module, Narrowable):
                    module.narrow(positions)
                elif isinstance(module, nn.Linear):
                    narrow_linear(module, positions)

    def obstacles_to_narrowing(self) -> list[str]:
        """Who reads features of the newest extractor and could not do with fewer, and what to give it; all of them.

        An attachment of which nobody can tell whether it reads features, such as one that is called with more than
        them, is not among these.
        """
        obstacles = []
        if not isinstance(self.head, Narrowable):
            obstacles.append(f"the head {type(self.head).__name__} cannot follow: give it narrow(kept)")
        for key, module in self.attachments.items():
            obstacle = obstacle_to_narrowing(module, (self.widths[-1], self.width))
            if obstacle is not None:
                obstacles.append(f"what is attached {key} ({type(module).__name__}) reads features: {obstacle}")
        return obstacles

    def layout(self) -> dict[str, Any]:
        """Plain values: how many extractors there are, how many are frozen, and what was removed from each."""
        removed = [[asdict(removal) for removal in backbone.removed] for backbone in self.backbones]
        return {"network": "branched", "extractors": len(self.extractors), "frozen": self.frozen, "removed": removed}

    @classmethod
    def from_layout(cls, layout: dict[str, Any], make_backbone: MakeBackbone) -> BranchedNetwork:
        """The shapes that `layout` told, with fresh weights.

        Raises:
            OutputError: it is not such a layout, or the backbone is another one.
        """
        try:
            count, frozen = int(layout["extractors"]), int(layout["frozen"])
            removed = [tuple(Removal(**removal) for removal in steps) for steps in layout["removed"]]
            if len(removed) != count:
                raise ValueError(f"{count} extractors, but removals for {len(removed)}")
        except (KeyError, TypeError, ValueError) as error:
            raise OutputError(f"not the layout of a branched network: {error!r}") from error
        extractors = [make_backbone(f"rebuild {number}") for number in range(1, count + 1)]
        for extractor, removals in zip(extractors, removed, strict=True):
            replay(extractor, removals)
        return cls(extractors, frozen)
