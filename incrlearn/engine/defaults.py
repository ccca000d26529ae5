"""The core's own answers to hooks, given where no plug-in answers."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from incrlearn.hooks import MakeBackbone, hookimpl
from incrlearn.network import BranchedNetwork
from incrlearn.types import Network, Output, Phase, RunState, Samples


class CoreDefaults:
    """All data, all trainable parameters, logits as scores, branched networks from their layout."""

    @hookimpl(trylast=True)
    def select_data(self, new: Samples, memory: Samples) -> Samples:
        """All new samples and all exemplars."""
        return new + memory

    @hookimpl(trylast=True)
    def param_groups(self, state: RunState, phase: Phase) -> list[dict[str, Any]]:
        """One group of what requires a gradient; the head alone where the phase trains it alone."""
        module = state.network.head if phase.trains == "head" else state.network
        return [{"params": [p for p in module.parameters() if p.requires_grad]}]

    @hookimpl(trylast=True)
    def scores(self, out: Output) -> Tensor:
        """The logits."""
        return out.logits

    @hookimpl(trylast=True)
    def rebuild(self, layout: dict[str, Any], make_backbone: MakeBackbone) -> Network | None:
        """A branched network, where the layout tells of one."""
        return BranchedNetwork.from_layout(layout, make_backbone) if layout.get("network") == "branched" else None
