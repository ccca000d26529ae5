"""The cosine classifier: directions alone decide, not lengths (UCIR; Hou et al., CVPR 2019)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from incrlearn import Plugin, RunState, hookimpl


class Cosine(Plugin):
    """A classifier by the cosine between features and a weight for each class, so that no class has longer weights.

    UCIR's network has no ReLU before it; with a backbone that ends in one, no cosine of features with one another is
    below 0. UCIR also starts the weights of new classes at their mean features; here they are drawn.
    """

    kind = "head"

    class Config(Plugin.Config):
        """Options."""

        scale: float = Field(1.0, gt=0)
        """eta at the start: how peaked the softmax is; it is learned. 1 is where the authors' code starts."""
        start: Literal["fresh", "inherit"] = "inherit"
        """``inherit``: the old classes keep their weights and the scale goes on, as in UCIR; ``fresh``: drawn anew each
        task."""

    config: Config

    @hookimpl
    def grow_head(self, state: RunState, old: nn.Module | None, width: int) -> nn.Module:
        """(B, width) -> (B, K)."""
        head = CosineHead(width, state.task.seen, self.config.scale, state.generator(f"{self.name}/draw"))
        if self.config.start == "inherit" and isinstance(old, CosineHead):
            head.inherit(old)
        return head


class CosineHead(nn.Module):
    """(B, D) -> (B, K): eta <f / ||f||, theta_k / ||theta_k||>, with theta and eta learned.

    Attributes:
        in_features: D.
        weight: (K, D), the theta_k.
        scale: scalar, eta.
    """

    def __init__(self, width: int, classes: int, scale: float, generator: torch.Generator) -> None:
        super().__init__()
        self.in_features = width
        self.weight = nn.Parameter(torch.empty(classes, width))
        self.scale = nn.Parameter(torch.empty(()))
        self._start = scale
        self.draw(generator)

    def forward(self, features: Tensor) -> Tensor:
        """See :func:`scaled_cosines`."""
        return scaled_cosines(features, self.weight, self.scale)

    @torch.no_grad()
    def draw(self, generator: torch.Generator) -> None:
        """Draw fresh weights with a CPU generator, of length 1 on average; the scale goes back to its start."""
        fresh = torch.empty(self.weight.shape)
        nn.init.kaiming_normal_(fresh, nonlinearity="linear", generator=generator)
        self.weight.copy_(fresh)
        self.scale.fill_(self._start)

    @torch.no_grad()
    def inherit(self, old: CosineHead) -> None:
        """Take the weights of ``old`` for its classes and features, and its scale; the others stay as drawn."""
        classes, width = old.weight.shape
        self.weight[:classes, :width] = old.weight
        self.scale.copy_(old.scale)

    @torch.no_grad()
    def narrow(self, kept: Tensor) -> None:
        """Read only the features at ``kept``, int64 positions in the old ones.

        The cosines are then those among the kept features: where the weights of the others were not 0, logits change
        a little even if those features were always 0.
        """
        weight = self.weight
        self.in_features = len(kept)
        self.weight = nn.Parameter(weight.detach()[:, kept.to(weight.device)], requires_grad=weight.requires_grad)


def scaled_cosines(features: Tensor, weight: Tensor, scale: Tensor | float) -> Tensor:
    """UCIR's cosine normalisation, before the softmax: eta <f / ||f||, theta_k / ||theta_k||>.

    Args:
        features: (B, D).
        weight: (K, D), theta.
        scale: eta.

    Returns:
        (B, K) in [-eta, eta]; 0 for a feature of zeros.
    """
    return scale * linear(normalize(features, dim=1), normalize(weight, dim=1))
