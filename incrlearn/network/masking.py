"""Masks over the channels of a backbone, as numbers multiplied into the weights that read them.

A convolution or linear layer is linear in each channel it reads, so ``conv(f * m, W) == conv(f, W * m)``: masking the
weights is masking what each layer reads of the features f (DER, Eq. 5) without another copy of every feature map. An
identity shortcut carries a channel on as it is, so a soft mask does not damp a residual stream again in each block;
with masks of 0 and 1 that makes no difference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils.hooks import RemovableHandle

from incrlearn.errors import PluginError
from incrlearn.network.channels import OPEN, ChannelMap
from incrlearn.types import Backbone


class AppliedMask:
    """A mask over the gates of a backbone, in force until `remove`.

    As long as it is, the backbone, and a network around it, cannot be copied: nobody could take the copy's mask off.

    Args:
        backbone: of the shapes that ``channels`` tells.
        channels: which gate is over which channel.
        read: gives the mask, (gates,), whenever the backbone is called; gradients flow into it.
    """

    def __init__(self, backbone: Backbone, channels: ChannelMap, read: Callable[[], Tensor]) -> None:
        self._read = read
        self._layers: list[nn.Module] = []
        self._mask: Tensor | None = None
        device = next(backbone.parameters()).device
        modules = dict(backbone.named_modules())
        for layer in channels.layers:
            if layer.inputs is not None and bool((layer.inputs != OPEN).any()):
                scale = _ScaleInputs(self.extended, layer.inputs.to(device))
                parametrize.register_parametrization(modules[layer.name], "weight", scale, unsafe=True)
                self._layers.append(modules[layer.name])
        self._handles: list[RemovableHandle] = [backbone.register_forward_pre_hook(self._refresh)]
        if bool((channels.features != OPEN).any()):
            features = channels.features.to(device)
            self._handles.append(
                backbone.register_forward_hook(lambda _module, _inputs, out: out * self.extended()[features])
            )

    def extended(self) -> Tensor:
        """(gates + 1,): the mask of the last call of the backbone, and a 1 for the channels without a gate."""
        if self._mask is None:
            self._refresh()
        assert self._mask is not None
        return self._mask

    def remove(self) -> None:
        """Take the mask off; the weights are what they were."""
        for layer in self._layers:
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
        for handle in self._handles:
            handle.remove()

    def __deepcopy__(self, memo: dict[int, object]) -> NoReturn:
        """Refuse it, and with it copies of what is masked.

        Raises:
            PluginError: always.
        """
        raise PluginError(
            "a network under a mask cannot be copied: copy it in 'expand', before there is a mask, or once 'prune' "
            "has removed the channels"
        )

    def _refresh(self, *_: object) -> None:
        mask = self._read()
        self._mask = torch.cat([mask, mask.new_ones(1)])


class _ScaleInputs(nn.Module):
    """W (out, in, ...) -> W with input channel i times the mask's number for it."""

    def __init__(self, mask: Callable[[], Tensor], gates: Tensor) -> None:
        super().__init__()
        self._mask = mask
        self.gates = gates

    def forward(self, weight: Tensor) -> Tensor:
        scale = self._mask()[self.gates].to(weight.dtype)
        return weight * scale.view(1, -1, *[1] * (weight.dim() - 2))
