"""The linear classifier."""

from __future__ import annotations

from typing import Literal

from torch import nn

from incrlearn import Plugin, RunState, hookimpl
from incrlearn.network import LinearHead


class Linear(Plugin):
    """A linear classifier over all features, kaiming-normal (DER, Eq. 2)."""

    kind = "head"

    class Config(Plugin.Config):
        """Options."""

        bias: bool = False
        """Whether each class has a bias; the authors' has none."""
        start: Literal["fresh", "inherit"] = "fresh"
        """``fresh``: drawn anew each task, as in the authors' configurations; ``inherit``: the old classes keep
        their weights, as the paper's text has it and as a network that does not grow needs."""

    config: Config

    @hookimpl
    def grow_head(self, state: RunState, old: nn.Module | None, width: int) -> nn.Module:
        """(B, width) -> (B, K)."""
        head = LinearHead(width, state.task.seen, self.config.bias, state.generator(f"{self.name}/draw"))
        if self.config.start == "inherit" and isinstance(old, nn.Linear):
            head.inherit(old)
        return head
