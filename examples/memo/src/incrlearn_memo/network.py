"""A ResNet in two parts: stages that all tasks share, and one specialised block a task on top of them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from incrlearn import MakeBackbone, Network, PluginError
from incrlearn.network import Backbone
from torch import Tensor, nn

KIND = "shared blocks"
"""What the layouts of these networks begin with."""


class SharedNetwork(Network):
    """phi_g, shared by all tasks, then the blocks phi_s of the tasks side by side; only the newest block learns.

    A frozen block stays in eval mode and takes no gradient of its own, but lets gradients through to what is shared.

    Attributes:
        shared: images (B, C, H, W) to the maps that all blocks read.
        blocks: oldest first, each maps to pooled features (B, d).
        width_of_block: d.
        share: ``learned``, or ``first task``: then the shared part is frozen too as soon as there are two blocks.
    """

    def __init__(self, shared: nn.Module, blocks: Sequence[nn.Module], width_of_block: int, share: str) -> None:
        super().__init__()
        self.shared = shared
        self.blocks = nn.ModuleList(blocks)
        self.width_of_block = width_of_block
        self.share = share
        for module in self._frozen():
            module.requires_grad_(False)
        self.train(self.training)

    @property
    def widths(self) -> tuple[int, ...]:
        """The width of each block's features, oldest first."""
        return (self.width_of_block,) * len(self.blocks)

    def extract(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, C, H, W) -> one (B, d) a block, oldest first: phi_s,i(phi_g(x))."""
        maps = self.shared(images)
        return tuple(block(maps) for block in self.blocks)

    def train(self, mode: bool = True) -> SharedNetwork:
        """Set the mode of everything but what is frozen."""
        super().train(mode)
        for module in self._frozen():
            module.eval()
        return self

    def layout(self) -> dict[str, Any]:
        """Plain values from which :func:`rebuild_network` makes the same shapes again."""
        return {"network": KIND, "blocks": len(self.blocks), "share": self.share}

    def with_block(self, block: nn.Module) -> SharedNetwork:
        """A network of the same shared part and blocks, and one more that learns."""
        return SharedNetwork(self.shared, [*self.blocks, block], self.width_of_block, self.share)

    def _frozen(self) -> list[nn.Module]:
        shared = [self.shared] if self.share == "first task" and len(self.blocks) > 1 else []
        return [*shared, *self.blocks[:-1]]


def first_network(backbone: Backbone, share: str) -> SharedNetwork:
    """The network of the first task: a whole backbone, cut in two."""
    shared, block = split(backbone)
    return SharedNetwork(shared, [block], backbone.width, share)


def rebuild_network(layout: dict[str, Any], make_backbone: MakeBackbone) -> SharedNetwork:
    """The shapes that a layout tells, with weights that are loaded afterwards."""
    backbone = make_backbone("rebuild")
    shared, block = split(backbone)
    blocks = [copy.deepcopy(block) for _ in range(layout["blocks"])]
    return SharedNetwork(shared, blocks, backbone.width, layout["share"])


def split(backbone: Backbone) -> tuple[nn.Module, nn.Module]:
    """A ResNet's stem and first three stages, and its last stage with the pooling (the paper's cut).

    Raises:
        PluginError: the backbone is no ResNet of timm's with four stages.
    """
    names = ("conv1", "bn1", "act1", "maxpool", "layer1", "layer2", "layer3", "layer4", "global_pool")
    missing = [name for name in names if not hasattr(backbone.model, name)]
    if missing:
        raise PluginError(
            f"the backbone {type(backbone.model).__name__} has no {', '.join(missing)}: it cannot be cut before its "
            "last stage; write backbone: {name: resnet18}, or another ResNet"
        )
    parts = [getattr(backbone.model, name) for name in names]
    return nn.Sequential(*parts[:7]), nn.Sequential(*parts[7:])


@torch.no_grad()
def grow_block(newest: nn.Module, fresh: nn.Module) -> nn.Module:
    """``fresh`` with the weights and statistics of the newest block, free to learn."""
    fresh.load_state_dict(newest.state_dict())
    return fresh.requires_grad_(True)
