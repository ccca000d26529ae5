"""DER's growing network: a new extractor a task, the old ones frozen."""

from __future__ import annotations

from typing import Literal

from incrlearn import MakeBackbone, Network, Plugin, PluginError, RunState, hookimpl
from incrlearn.network import BranchedNetwork, grow_back


class Expandable(Plugin):
    """A new extractor each task beside the old ones, which are frozen (DER, Eq. 1; Yan, Xie, He, CVPR 2021)."""

    kind = "network"
    provides = frozenset({"parts"})

    class Config(Plugin.Config):
        """Options."""

        start: Literal["previous", "fresh"] = "previous"
        """Where a new extractor's weights come from: the extractor of the task before (the paper), or a new draw.

        The extractor is always full-size: channels that pruning took out of the previous one start from the weights
        that were kept of them, or else from a new draw."""

    config: Config

    @hookimpl
    def expand(self, state: RunState, old: Network | None, make_backbone: MakeBackbone) -> Network:
        """The old network, frozen, with one more extractor; the super-feature is u = [Phi_{t-1}(x), F_t(x)]."""
        if old is None:
            return BranchedNetwork([make_backbone(f"backbone of {state.task}")])
        if not isinstance(old, BranchedNetwork):
            raise PluginError(f"'{self.name}' grows a BranchedNetwork, not {type(old).__name__}")
        extractor = make_backbone(f"backbone of {state.task}")
        if self.config.start == "previous":
            grow_back(old.backbones[-1], extractor)
        return BranchedNetwork([*old.backbones, extractor], frozen=len(old.extractors))
