"""The masks of one extractor while they are learned, and their end: binary, then physical."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from incrlearn import Passes, Phase, RunState
from incrlearn.network import OPEN, AppliedMask, BranchedNetwork, ChannelMap, kept_features, remove_channels
from incrlearn_plugins.prune.budget import BudgetController
from incrlearn_plugins.prune.gates import (
    NetGradientGate,
    annealed_scale,
    count_weights,
    gates_within,
    kept_channels,
    open_gates,
    sparsity_loss,
)
from incrlearn_plugins.prune.options import MaskOptions


class Gates(nn.Module):
    """The learned logits e, (G,), and the scale s they are seen through."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)
        self.scale = 1.0

    def mask(self) -> Tensor:
        """(G,): m = sigmoid(s e)."""
        mask: Tensor = NetGradientGate.apply(self.logits, self.scale)
        return mask


class MaskLearning:
    """Gates on the newest extractor of a network, from their first draw to the removal of the closed channels.

    Attributes:
        gates: what is learned.
        dormant: once finished and where wanted, the full-size weights and buffers from before the removal, on the CPU.
    """

    def __init__(
        self, key: str, options: MaskOptions, network: BranchedNetwork, channels: ChannelMap, state: RunState
    ) -> None:
        """Put gates on the newest extractor, whose channels are ``channels``; attach them under ``key``."""
        self._key, self._options, self._network, self._channels = key, options, network, channels
        self._counts = count_weights(channels)
        on_device = self._counts.to(state.device, torch.float32)
        self._counts_on_device = on_device
        low, high = options.start
        draws = torch.rand(channels.gates, generator=state.generator(f"{key}/start"))
        self.gates = Gates((low + (high - low) * draws).to(state.device))
        self.dormant: dict[str, Tensor] | None = None
        self._position = 0.0
        self._mask = AppliedMask(network.backbones[-1], channels, self.gates.mask)
        network.attach(key, self.gates)
        self._budget = None
        if options.keep is not None:
            self._budget = BudgetController(options.keep, options.descent, on_device)

    def obstacles(self) -> list[str]:
        """Who reads the features of the extractor and could not do with fewer, if any of them has a gate."""
        has_gates = bool((self._channels.features != OPEN).any())
        return self._network.obstacles_to_narrowing() if has_gates else []

    def last_epoch(self, phase: Phase) -> int:
        """The epoch (from 1) of a phase after which the channels go."""
        return max(1, round(self._options.binarise_at * phase.epochs))

    def anneal(self, position: float) -> None:
        """Set s for a batch at ``position`` of its epoch (Eq. 8)."""
        self._position = position
        self.gates.scale = annealed_scale(position, self._options.s_max)

    def sparsity(self) -> tuple[Tensor, float | Tensor]:
        """L_S of the batch and its weight lambda_s."""
        return sparsity_loss(self.gates.mask(), self._counts_on_device), self._weight()

    @torch.no_grad()
    def after_step(self, state: RunState) -> None:
        """Keep the logits where they can move, and steer towards the budget."""
        self.gates.logits.clamp_(-self._options.clamp, self._options.clamp)
        if self._budget is not None and state.phase is not None:
            progress = (state.epoch + self._position) / self.last_epoch(state.phase)
            self._budget.steer(self.gates.logits, progress)

    def finish(self, state: RunState, passes: Passes) -> dict[str, Any]:
        """Binarise the masks, remove the closed channels, re-estimate batch norm if wanted; the report on all that."""
        backbone, channels = self._network.backbones[-1], self._channels
        logits = self.gates.logits.detach().cpu()
        kept = self._decide(logits)
        self.gates.scale = self._options.s_max
        accuracies = {"top1_soft": passes.accuracy()}
        binary_mask = kept.to(self.gates.logits)
        self._mask.remove()
        self._mask = AppliedMask(backbone, channels, lambda: binary_mask)
        accuracies["top1_binary"] = passes.accuracy()
        self._mask.remove()
        if self._options.regrow == "kept":
            self.dormant = {name: value.detach().cpu().clone() for name, value in backbone.state_dict().items()}
        # What is left in the network from here on is its own weights.
        self._network.detach(self._key)
        self._network.narrow_newest(kept_features(channels, kept))
        remove_channels(backbone, channels, kept)
        accuracies["top1_removed"] = passes.accuracy()
        if self._options.settle:
            passes.settle_norms(backbone)
            accuracies["top1_settled"] = passes.accuracy()
        parameters = sum(parameter.numel() for parameter in backbone.parameters())
        return {
            "epoch": state.epoch + 1,
            "parameters_before": channels.parameters,
            "parameters_after": parameters,
            "kept": parameters / channels.parameters,
            **accuracies,
            "kept_above_zero": self._share(open_gates(logits, channels)),
            "undecided": float((logits.abs() < 3 / self._options.s_max).float().mean()),
            "sparsity_weight": float(self._weight()),
            "channels": {
                layer.name: [kept_channels(layer.outputs, kept), len(layer.outputs)]
                for layer in channels.layers
                if not layer.is_norm
            },
        }

    def _decide(self, logits: Tensor) -> Tensor:
        """Which gates, (G,) bool, stay open."""
        if self._options.keep is None:
            return open_gates(logits, self._channels)
        budget = self._options.keep * self._channels.parameters
        return gates_within(logits, self._channels, self._counts, budget)

    def _share(self, kept: Tensor) -> float:
        return float(self._counts.left(kept.double())) / self._channels.parameters

    def _weight(self) -> float | Tensor:
        if self._budget is not None:
            return self._budget.weight
        return self._options.sparsity if self._options.sparsity is not None else 0.0
