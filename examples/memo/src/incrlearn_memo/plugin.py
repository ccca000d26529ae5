"""The plug-in: what MEMO's network is in each task."""

from __future__ import annotations

from typing import Any, Literal

from incrlearn import MakeBackbone, Network, Plugin, PluginError, RunState, hookimpl
from incrlearn.network import Backbone

from incrlearn_memo.network import KIND, SharedNetwork, first_network, grow_block, rebuild_network, split


class Memo(Plugin):
    """A new last stage a task on shared first stages (MEMO; Zhou, Wang, Ye, Zhan, ICLR 2023, arXiv 2205.13218).

    First stages learn what is general and barely differ between tasks, so one set of them does for all, where DER keeps
    one a task. The memory that this saves can hold exemplars. It goes with ``auxiliary`` and ``balanced_head``.
    """

    kind = "network"
    provides = frozenset({"parts"})

    class Config(Plugin.Config):
        """Options; the defaults are those of the authors' code."""

        share: Literal["learned", "first task"] = "learned"
        """The shared stages go on learning in every task, or stay as the first task left them."""
        start: Literal["previous", "fresh"] = "previous"
        """Where a new block's weights come from: the block of the task before, or a new draw."""

    config: Config

    @hookimpl
    def explain(self, backbone: Backbone) -> list[str]:
        """Tell the two parts, or refuse a backbone that cannot be cut before anything is trained."""
        try:
            shared, block = ([p.numel() for p in part.parameters()] for part in split(backbone))
        except PluginError as error:
            raise PluginError(f"plugins.{self.name}: {error}") from error
        return [f"{sum(shared):,} parameters are shared by all tasks, each task adds {sum(block):,}"]

    @hookimpl
    def expand(self, state: RunState, old: Network | None, make_backbone: MakeBackbone) -> Network:
        """A whole backbone in the first task, then one block more: u = [phi_s,1(phi_g(x)), ..., phi_s,t(phi_g(x))]."""
        backbone = make_backbone(f"{self.name}/{state.task}")
        if old is None:
            return first_network(backbone, self.config.share)
        if not isinstance(old, SharedNetwork):
            raise PluginError(f"'{self.name}' grows a SharedNetwork, not {type(old).__name__}")
        _, block = split(backbone)
        return old.with_block(grow_block(old.blocks[-1], block) if self.config.start == "previous" else block)

    @hookimpl
    def rebuild(self, layout: dict[str, Any], make_backbone: MakeBackbone) -> Network | None:
        """The network of a checkpoint, if it is one of these."""
        return rebuild_network(layout, make_backbone) if layout.get("network") == KIND else None
