"""Which channels of a backbone hang together, and taking them out: a thin adapter over torch-pruning (DepGraph).

torch-pruning (Fang et al., "DepGraph: Towards Any Structural Pruning", CVPR 2023) traces a model and tells for each
layer which channels of which other layers must go with its own. Everything that knows that library is in this file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from incrlearn.types import Backbone

if TYPE_CHECKING:
    import torch_pruning as tp

ImageShape = tuple[int, int, int]
"""(C, H, W) of the images a backbone reads."""

_ROOTS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


@dataclass(frozen=True, eq=False)
class Member:
    """A layer whose channels hang on those of a group's root."""

    name: str
    """Path in the backbone; for a step without weights its kind."""
    module: object
    """The layer; a bare parameter; or the library's mark for a step without weights."""
    role: Literal["reads", "makes", "output", "passes"]
    """``reads``: its input channels; ``makes``: its output channels (for a norm, both); ``output``: the backbone's
    features; ``passes``: a step without weights."""
    channels: tuple[int, ...]
    """Channels of this layer ..."""
    roots: tuple[int, ...]
    """... and for each the channel of the root that it hangs on."""


@dataclass(frozen=True, eq=False)
class RootGroup:
    """Channels that must go together: those a root layer makes, and what hangs on them."""

    root: str
    """Path of the root layer."""
    channels: int
    """How many channels it makes."""
    members: tuple[Member, ...]
    """The root among them."""


def root_groups(backbone: Backbone, images: ImageShape) -> list[RootGroup]:
    """Every group of coupled channels of a backbone, found by tracing it with a blank image; it is left as it was."""
    graph = _trace(backbone, images)
    names = {module: name for name, module in backbone.named_modules()}
    groups = []
    for group in graph.get_all_groups(root_module_types=list(_ROOTS)):
        root = group[0].dep.target.module
        members = tuple(
            Member(
                name=names.get(item.dep.target.module, item.dep.target.name),
                module=item.dep.target.module,
                role=_role(item.dep),
                channels=tuple(int(index) for index in item.idxs),
                roots=tuple(int(index) for index in item.root_idxs),
            )
            for item in group
        )
        groups.append(RootGroup(names[root], len(group[0].idxs), members))
    return groups


def take_out(backbone: Backbone, images: ImageShape, channels: Mapping[str, Sequence[int]]) -> None:
    """Remove channels from the weights of a backbone, whose parameters become new, smaller ones.

    Args:
        backbone: no module of it may be parametrised; its hooks are run by the tracing.
        images: shape of its images.
        channels: per root layer the channels to remove; all that hangs on them goes too.
    """
    is_channels_last = any(p.dim() == 4 and not p.is_contiguous() for p in backbone.parameters())
    trainable = {name: parameter.requires_grad for name, parameter in backbone.named_parameters()}
    graph = _trace(backbone, images)
    modules = dict(backbone.named_modules())
    for root, gone in channels.items():
        if len(gone) > 0:
            make_smaller = graph.get_pruner_of_module(modules[root]).prune_out_channels
            graph.get_pruning_group(modules[root], make_smaller, list(gone)).prune()
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad_(trainable[name])
        parameter.grad = None
    if is_channels_last:
        # The library's index_select gives plain strides.
        backbone.to(memory_format=torch.channels_last)


def _trace(backbone: Backbone, images: ImageShape) -> tp.DependencyGraph:
    import torch_pruning as tp  # takes seconds to load

    modes = {module: module.training for module in backbone.modules()}
    trainable = {parameter: parameter.requires_grad for parameter in backbone.parameters()}
    first = next(backbone.parameters())
    blank = torch.zeros(2, *images, device=first.device, dtype=first.dtype)
    try:
        # The tracing follows gradients.
        backbone.requires_grad_(True)
        with torch.enable_grad():
            return tp.DependencyGraph().build_dependency(
                backbone, blank, forward_fn=lambda model, inputs: model(inputs), verbose=False
            )
    finally:
        for module, mode in modes.items():
            module.training = mode
        for parameter, mode in trainable.items():
            parameter.requires_grad_(mode)


def _role(dependency: tp.dependency.Dependency) -> Literal["reads", "makes", "output", "passes"]:
    from torch_pruning import ops

    target = dependency.target
    if target.type == ops.OPTYPE.OUTPUT:
        return "output"
    if not isinstance(target.module, nn.Parameter) and next(target.module.parameters(), None) is None:
        return "passes"
    # Norms and depthwise convolutions have one function for both sides, under the name of the output's.
    return "reads" if dependency.handler.__name__ == "prune_in_channels" else "makes"
