"""One extractor for all tasks."""

from __future__ import annotations

from incrlearn import MakeBackbone, Network, Plugin, RunState, hookimpl
from incrlearn.network import BranchedNetwork


class Single(Plugin):
    """One extractor that goes on learning: what every method without growth trains."""

    kind = "network"

    class Config(Plugin.Config):
        """Options."""

        restart: bool = False
        """Draw a new network for each task, as the joint upper bound does."""

    config: Config

    @hookimpl
    def expand(self, state: RunState, old: Network | None, make_backbone: MakeBackbone) -> Network:
        """The old network, or a new one where there is none or a restart is asked for."""
        if old is not None and not self.config.restart:
            return old
        purpose = "backbone" if not self.config.restart else f"backbone of {state.task}"
        return BranchedNetwork([make_backbone(purpose)])
