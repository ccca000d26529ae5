"""Channels physically removed from a backbone, told as plain values, and a network built again from that telling."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from incrlearn.errors import OutputError, PluginError
from incrlearn.metrics import parameter_count
from incrlearn.network.channels import ChannelMap, map_groups, mend_attention
from incrlearn.network.depgraph import ImageShape, take_out
from incrlearn.network.masking import AppliedMask
from incrlearn.types import Backbone, Removal

_TOLERANCE = 1e-9
"""Relative, in float64: the rounding of two orders of summation."""


def map_channels(backbone: Backbone, images: ImageShape) -> ChannelMap:
    """The gates of a backbone, each tried: with random gates closed, the masked and the pruned copy must agree.

    A group that cannot be removed exactly is left without gates, with the reason.

    Args:
        backbone: is left as it was.
        images: shape of its images.

    Raises:
        PluginError: the backbone cannot be traced.
    """
    refused: dict[str, str] = {}
    try:
        channels = map_groups(backbone, images, refused)
    # Whatever the library trips over in a third party's model.
    except Exception as error:
        raise PluginError(
            f"the channels of this backbone cannot be traced ({type(error).__name__}: {error}), so none can be removed"
        ) from error
    if not channels.groups or why_inexact(backbone, channels, _half_open(channels)) is None:
        return channels
    for group, place in channels.slices():
        alone = torch.ones(channels.gates, dtype=torch.bool)
        alone[place] = _half_open(channels)[place]
        reason = why_inexact(backbone, channels, alone)
        if reason is not None:
            refused[group.name] = reason
    channels = map_groups(backbone, images, refused)
    together = why_inexact(backbone, channels, _half_open(channels)) if channels.groups else None
    if together is not None:
        refused |= {group.name: f"each group can go alone, but of several: {together}" for group in channels.groups}
        channels = map_groups(backbone, images, refused)
    return channels


@torch.no_grad()
def why_inexact(backbone: Backbone, channels: ChannelMap, open_gates: Tensor) -> str | None:
    """Why a copy with the closed channels removed does not give what a masked one gives, on noise; None if it does.

    Both are tried in float64 and in eval mode, every number of their weights being shaken: fresh networks hold zeros
    that would hide a difference.

    Args:
        backbone: is left as it was.
        channels: its gates.
        open_gates: (gates,) bool.
    """
    masked = copy.deepcopy(backbone).cpu().double().eval()
    generator = torch.Generator().manual_seed(0)
    for name, tensor in masked.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
            tensor.add_(noise.abs() if name.endswith("running_var") else 0.1 * noise)
    pruned = copy.deepcopy(masked)
    noise = torch.randn(2, *channels.images, generator=generator, dtype=torch.float64)
    kept = kept_features(channels, open_gates)
    # Whatever a third party's model trips over, its channels stay.
    try:
        AppliedMask(masked, channels, lambda: open_gates.double())
        wanted = masked(noise)
    except Exception as error:
        return f"masking them fails in float64 ({_in_a_line(error)})"
    try:
        remove_channels(pruned, channels, open_gates)
        got = pruned(noise)
    except Exception as error:
        return f"taking them out fails ({_in_a_line(error)})"
    if got.shape != (len(noise), len(kept)):
        return f"taking them out gives an output of shape {tuple(got.shape)} instead of {(len(noise), len(kept))}"
    if not bool(wanted.isfinite().all()):
        return "the output is not finite for noise, so that nothing can be compared"
    gone = torch.ones(wanted.shape[1], dtype=torch.bool)
    gone[kept] = False
    agrees = (wanted[:, kept] - got).abs().max() <= _TOLERANCE * wanted.abs().max()
    return None if bool(agrees) and not bool(wanted[:, gone].any()) else "taking them out changes the output"


def _in_a_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def kept_features(channels: ChannelMap, open_gates: Tensor) -> Tensor:
    """Positions (int64) of the backbone's features that stay.

    Args:
        channels: the gates of the backbone.
        open_gates: (gates,) bool, on the CPU.
    """
    always = torch.cat([open_gates, torch.ones(1, dtype=torch.bool)])
    return always[channels.features].nonzero().flatten()


def remove_channels(backbone: Backbone, channels: ChannelMap, open_gates: Tensor) -> None:
    """Take the channels of the closed gates out of the weights, in place, and note it in ``backbone.removed``.

    Args:
        backbone: without a mask on it.
        channels: its gates.
        open_gates: (gates,) bool, on the CPU.

    Raises:
        ValueError: no gate of a group is open, which would cut the network.
    """
    cut = [group.name for group, place in channels.slices() if not bool(open_gates[place].any())]
    if cut:
        raise ValueError(f"at least one gate of each group must stay open; none is of {cut}")
    closed = channels.closed_channels(open_gates)
    width = len(kept_features(channels, open_gates))
    if closed:
        _take_out(backbone, channels.images, closed)
        backbone.width = width
        backbone.removed = (*backbone.removed, Removal(channels.images, closed, width, parameter_count(backbone)))


def replay(backbone: Backbone, removals: tuple[Removal, ...]) -> None:
    """Do to a fresh backbone, in place, what was done to another one.

    Raises:
        OutputError: the backbone is another one.
    """
    for removal in removals:
        try:
            _take_out(backbone, removal.images, removal.channels)
        except Exception as error:
            raise OutputError(f"the layout tells of channels that this backbone has not ({error})") from error
        left = parameter_count(backbone)
        if left != removal.parameters:
            raise OutputError(
                f"the layout tells of channels that this backbone has not: {left} parameters are left without them, "
                f"and {removal.parameters} should be"
            )
        backbone.width = removal.width
        backbone.removed = (*backbone.removed, removal)


@torch.no_grad()
def grow_back(pruned: Backbone, full: Backbone) -> None:
    """Give a full-size backbone the weights of a pruned one, in place.

    The channels that were removed get their ``dormant`` weights where there are some, and stay as drawn else.

    Args:
        pruned: its ``removed`` tells what it lacks.
        full: unpruned, of the same kind.
    """
    if pruned.dormant is not None:
        full.load_state_dict(pruned.dormant)
    places = copy.deepcopy(full).cpu().double()
    values = full.state_dict()
    # Numbers in the place of weights: what is left of them after the same removals tells where each weight was.
    for tensor in places.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.arange(tensor.numel(), dtype=torch.float64).view(tensor.shape))
    replay(places, pruned.removed)
    kept = places.state_dict()
    for name, value in pruned.state_dict().items():
        if not value.is_floating_point():
            values[name].copy_(value)
        else:
            positions = kept[name].round().long().reshape(-1).to(values[name].device)
            flat = values[name].reshape(-1)
            flat[positions] = value.reshape(-1).to(flat)
            values[name].copy_(flat.view(values[name].shape))


def _take_out(backbone: Backbone, images: ImageShape, channels: dict[str, list[int]]) -> None:
    take_out(backbone, images, channels)
    mend_attention(backbone, channels)


def _half_open(channels: ChannelMap) -> Tensor:
    """(gates,) bool: about half of the gates of each group, one at least open and one at least closed."""
    generator = torch.Generator().manual_seed(1)
    gates = torch.ones(channels.gates, dtype=torch.bool)
    for group, place in channels.slices():
        order = torch.randperm(group.gates, generator=generator)
        own = torch.ones(group.gates, dtype=torch.bool)
        own[order[: max(1, group.gates // 2)]] = False
        gates[place] = own
    return gates
