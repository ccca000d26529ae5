"""PODNet's classification loss: neighbourhood components analysis over classes, with a margin."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from incrlearn import Batch, LossTerm, Output, Plugin, PluginError, RunState, TaskPasses, hookimpl
from incrlearn.network import CosineClassifier


class Nca(Plugin):
    """The class of an image is to be more alike to it than the others by a margin (PODNet; Douillard et al., 2020).

    It wants a head that goes by cosines and learns their scale, such as ``proxies`` or ``cosine``.
    """

    kind = "loss"
    needs = frozenset({"cosines"})
    provides = frozenset({"classification"})

    class Config(Plugin.Config):
        """Options; the defaults are the paper's."""

        margin: float = Field(0.6, ge=0, le=2)
        """delta: how much more alike, in units of the cosine."""
        hinge: bool = True
        """No loss for an image where that is so already, as in the paper; without it the loss of such an image goes on
        falling below 0 as the scale grows."""
        least_scale: float = Field(10.0, gt=0)
        """The head's scale eta, which is learned, is kept from falling below. As long as images are not right by the
        margin a smaller scale has a smaller loss, and below 0 every order of two classes has none at all."""
        weight: float = Field(1.0, ge=0)
        """Factor on the loss."""

    config: Config

    @hookimpl
    def prepare(self, state: RunState, passes: TaskPasses) -> None:  # noqa: ARG002
        """Refuse a head without cosines or without a scale."""
        head = state.network.head
        if not isinstance(head, CosineClassifier) or not isinstance(getattr(head, "scale", None), nn.Parameter):
            raise PluginError(
                f"'{self.name}' wants a head of scaled cosines, with cosines(features) and the parameter scale, not "
                f"{type(head).__name__}; use the head 'proxies' or 'cosine'"
            )

    @hookimpl
    def loss_terms(self, state: RunState, batch: Batch, out: Output) -> list[LossTerm]:
        """L_LSC on the head's logits, which are eta times its cosines."""
        temperature = state.phase.temperature if state.phase is not None else 1.0
        margin = self.config.margin * scale_of(state) / temperature
        value = nca_loss(out.logits, batch.labels, margin, self.config.hinge)
        return [LossTerm(self.name, value, self.config.weight)]

    @hookimpl
    @torch.no_grad()
    def after_step(self, state: RunState) -> None:
        """Set eta to max(eta, least_scale)."""
        scale_of(state).clamp_(min=self.config.least_scale)


def scale_of(state: RunState) -> Tensor:
    """eta, the learned scale of a head that ``prepare`` has found fit."""
    scale = state.network.head.scale
    if not isinstance(scale, Tensor):
        raise TypeError(f"{type(state.network.head).__name__}.scale is no tensor")
    return scale


def nca_loss(logits: Tensor, labels: Tensor, margin: Tensor | float, hinge: bool) -> Tensor:
    """PODNet's L_LSC = 1/B sum_i [ -log( exp(eta (c_iy - delta)) / sum_{k != y} exp(eta c_ik) ) ]_+ with c the cosines.

    Args:
        logits: (B, K), the eta c_ik.
        labels: (B,) int64.
        margin: eta delta; gradients flow into it.
        hinge: whether [ ]_+ is taken.

    Returns:
        A scalar, 0 where there is one class; nothing here waits for the device.
    """
    if logits.shape[1] == 1:
        return 0 * logits.sum()
    own = logits.gather(1, labels[:, None]).squeeze(1)
    is_own = labels[:, None] == torch.arange(logits.shape[1], device=logits.device)
    losses = logits.masked_fill(is_own, float("-inf")).logsumexp(dim=1) - (own - margin)
    return (losses.clamp(min=0) if hinge else losses).mean()
