"""Gates over a backbone's channels: which there are, what each would take out of the weights, what stays without.

A gate closes channels that must live or die together: those of one residual stream, a hidden unit of an MLP, an
attention head. Only channels that can be removed exactly get one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm

from incrlearn.network.depgraph import ImageShape, RootGroup, root_groups
from incrlearn.types import Backbone

OPEN = -1
"""Stands for "no gate" where a channel's gate is named."""


@dataclass(frozen=True)
class GateGroup:
    """Gates whose channels are made by the same layers."""

    name: str
    """Path of its root layer in the backbone."""
    gates: int
    channels: int
    """Channels of the root layer; more than ``gates`` where each gate is over an attention head."""
    root_gates: tuple[int, ...]
    """Per channel of the root the gate over it, from 0 within the group."""
    makers: tuple[str, ...]
    """Paths of the convolutions and linear layers that make the channels, in the order of the network."""


@dataclass(frozen=True)
class Ungated:
    """Channels that keep no gate."""

    name: str
    """Path of the layer that makes them."""
    channels: int
    reason: str


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer with weights: which gate is over which of its channels; gates are numbered through all groups."""

    name: str
    kernel: int
    """Weights for each pair of an input and an output channel: k_h * k_w, 1 for linear; per channel for a norm."""
    inputs: Tensor | None
    """(c_in,) int64, gate or OPEN of each channel it reads; None where each output reads its own channel alone."""
    outputs: Tensor
    """(c_out,) int64, gate or OPEN of each channel it makes."""
    biases: int
    """Further weights per output channel."""
    is_norm: bool


@dataclass(frozen=True, eq=False)
class ChannelMap:
    """All gates of a backbone."""

    images: ImageShape
    groups: tuple[GateGroup, ...]
    ungated: tuple[Ungated, ...]
    layers: tuple[Layer, ...]
    features: Tensor
    """(width,) int64, gate or OPEN of each feature of the backbone."""
    parameters: int
    """Of the whole backbone."""

    @property
    def gates(self) -> int:
        """How many gates there are."""
        return sum(group.gates for group in self.groups)

    def slices(self) -> Iterator[tuple[GateGroup, slice]]:
        """Each group with the place of its gates among all."""
        start = 0
        for group in self.groups:
            yield group, slice(start, start + group.gates)
            start += group.gates

    def closed_channels(self, open_gates: Tensor) -> dict[str, list[int]]:
        """Per root layer the channels whose gates are closed.

        Args:
            open_gates: (gates,) bool.
        """
        closed = {}
        for group, place in self.slices():
            shut = set((~open_gates[place]).nonzero().flatten().tolist())
            channels = [channel for channel, gate in enumerate(group.root_gates) if gate in shut]
            if channels:
                closed[group.name] = channels
        return closed


def map_groups(backbone: Backbone, images: ImageShape, refused: dict[str, str]) -> ChannelMap:
    """Number the gates of a backbone by its groups of coupled channels.

    Args:
        backbone: unpruned or pruned; it is left as it was.
        images: shape of its images.
        refused: roots of groups that must stay without gates, with the reason.
    """
    modules = dict(backbone.named_modules())
    place = {name: number for number, name in enumerate(modules)}
    found = root_groups(backbone, images)
    accepted: list[tuple[GateGroup, RootGroup]] = []
    ungated = []
    for group in sorted(found, key=lambda group: min(place[name] for name in _makers(group))):
        root_gates = _root_gates(modules, group)
        gates = len(set(root_gates))
        alone = "a single one, which must stay" if gates == 1 else None
        reason = refused.get(group.root) or _obstacle(group) or alone
        if reason is not None:
            ungated.append(Ungated(group.root, group.channels, reason))
        else:
            makers = tuple(sorted(_makers(group), key=place.__getitem__))
            accepted.append((GateGroup(group.root, gates, group.channels, root_gates, makers), group))
    features = torch.full((backbone.width,), OPEN)
    reads, makes = _number(modules, accepted, features)
    return ChannelMap(
        images=images,
        groups=tuple(gated for gated, _ in accepted),
        ungated=tuple(ungated),
        layers=tuple(_layers(modules, reads, makes)),
        features=features,
        parameters=sum(parameter.numel() for parameter in backbone.parameters()),
    )


def _number(
    modules: dict[str, nn.Module], accepted: list[tuple[GateGroup, RootGroup]], features: Tensor
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """By layer, the gates over the channels it reads and those it makes; the features' go into ``features``."""
    reads: dict[str, Tensor] = {}
    makes: dict[str, Tensor] = {}
    start = 0
    for gated, group in accepted:
        gate_of = torch.tensor(gated.root_gates) + start
        start += gated.gates
        for member in group.members:
            gates_there = gate_of[torch.tensor(member.roots)]
            if member.role == "output":
                features[torch.tensor(member.channels)] = gates_there
            elif member.role != "passes":
                sides = reads if member.role == "reads" else makes
                size = _channels(modules[member.name], member.role == "reads")
                sides.setdefault(member.name, torch.full((size,), OPEN))[torch.tensor(member.channels)] = gates_there
    return reads, makes


def _obstacle(group: RootGroup) -> str | None:
    """Why the channels of a group cannot be removed without changing the output; None where nothing is seen."""
    seen: set[int] = set()
    for member in group.members:
        module = member.module
        if isinstance(module, nn.Parameter):
            return f"a bare parameter of shape {tuple(module.shape)} runs along them"
        if isinstance(module, nn.LayerNorm | nn.GroupNorm):
            kind = "layer" if isinstance(module, nn.LayerNorm) else "group"
            return f"a {kind} norm runs over them ({member.name})"
        if isinstance(module, _ConvNd) and module.groups > 1 and not _is_depthwise(module):
            return f"a convolution in {module.groups} groups ({member.name})"
        if member.role == "makes" and not isinstance(module, _ConvNd | nn.Linear | _BatchNorm | _InstanceNorm):
            return f"{member.name} ({type(module).__name__}) is not known to treat each channel alone"
        if member.role == "reads" and id(module) in seen:
            return f"they are read twice by {member.name}"
        if member.role == "reads":
            seen.add(id(module))
    if not any(member.role in ("reads", "output") for member in group.members):
        return "nothing in the backbone reads them"
    return None


def _makers(group: RootGroup) -> set[str]:
    return {m.name for m in group.members if m.role == "makes" and isinstance(m.module, _ConvNd | nn.Linear)}


def _root_gates(modules: dict[str, nn.Module], group: RootGroup) -> tuple[int, ...]:
    """Per channel of the root its gate: one a channel, or one a head where the root makes queries, keys and values."""
    owner, _, leaf = group.root.rpartition(".")
    attention = modules[owner]
    head, heads = getattr(attention, "head_dim", None), getattr(attention, "num_heads", None)
    if leaf == "qkv" and isinstance(head, int) and isinstance(heads, int) and group.channels == 3 * heads * head:
        return tuple((channel % (heads * head)) // head for channel in range(group.channels))
    return tuple(range(group.channels))


def mend_attention(backbone: Backbone, roots: Iterable[str]) -> None:
    """Let attention layers know how many heads their weights have after a removal.

    Args:
        backbone: its weights are smaller already.
        roots: paths of the root layers that lost channels.
    """
    for root in roots:
        owner, _, leaf = root.rpartition(".")
        attention = backbone.get_submodule(owner)
        if leaf == "qkv" and hasattr(attention, "num_heads"):
            width = int(attention.get_submodule("qkv").out_features) // 3  # type: ignore[arg-type]
            attention.num_heads = width // int(attention.head_dim)  # type: ignore[arg-type, assignment]
            attention.attn_dim = width  # type: ignore[assignment]


def _layers(modules: dict[str, nn.Module], reads: dict[str, Tensor], makes: dict[str, Tensor]) -> Iterator[Layer]:
    for name, module in modules.items():
        if isinstance(module, _BatchNorm | _InstanceNorm):
            outputs = makes.get(name, torch.full((module.num_features,), OPEN))
            yield Layer(name, 2 if module.affine else 0, None, outputs, 0, is_norm=True)
        elif isinstance(module, _ConvNd | nn.Linear):
            size_in, size_out = _channels(module, True), _channels(module, False)
            kernel = module.weight[0, 0].numel() if isinstance(module, _ConvNd) else 1
            inputs = None if _is_depthwise(module) else reads.get(name, torch.full((size_in,), OPEN))
            if isinstance(module, _ConvNd) and module.groups > 1 and inputs is not None:
                inputs = inputs[: module.weight.shape[1]]
            outputs = makes.get(name, torch.full((size_out,), OPEN))
            yield Layer(name, kernel, inputs, outputs, 1 if module.bias is not None else 0, is_norm=False)


def _channels(module: nn.Module, reads: bool) -> int:
    if isinstance(module, _ConvNd):
        return module.in_channels if reads else module.out_channels
    if isinstance(module, nn.Linear):
        return module.in_features if reads else module.out_features
    if isinstance(module, _BatchNorm | _InstanceNorm):
        return module.num_features
    raise TypeError(f"not a layer with channels: {type(module).__name__}")


def _is_depthwise(module: nn.Module) -> bool:
    return isinstance(module, _ConvNd) and module.groups == module.in_channels == module.out_channels > 1
