"""The cosine classifier: directions alone decide, not lengths (UCIR; Hou et al., CVPR 2019)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from incrlearn import Plugin, PluginError, RunState, hookimpl

_REFUSED_BY_FIXED = {
    "parts": "old classes have weights for new features there, which must be learned; write old: learned",
    "fresh_heads": "weights that are fixed cannot be drawn anew after the warm-up; write fresh_heads: false there",
    "retrained_head": "weights that are fixed cannot be drawn anew and trained again; write old: learned",
}


class Cosine(Plugin):
    """A classifier by the cosine between features and a weight for each class, so that no class has longer weights.

    UCIR's network has no activation before it (``backbone: {signed: true}``); behind a ReLU no cosine of features with
    one another is below 0. UCIR also starts the weights of new classes at their mean features (``imprint``); without
    that they are drawn.
    """

    kind = "head"
    provides = frozenset({"cosines", "imprinting"})

    class Config(Plugin.Config):
        """Options."""

        scale: float = Field(1.0, gt=0)
        """eta at the start: how peaked the softmax is; it is learned. 1 is where the authors' code starts."""
        start: Literal["fresh", "inherit"] = "inherit"
        """``inherit``: the old classes keep their weights and the scale goes on, as in UCIR; ``fresh``: drawn anew each
        task."""
        old: Literal["learned", "fixed"] = "learned"
        """``fixed``: the weights of the classes known before the task stay as they are, as in UCIR, whose less-forget
        constraint keeps the features in their place; ``learned``: they go on learning."""

        @model_validator(mode="after")
        def _fixed_are_inherited(self) -> Cosine.Config:
            if self.old == "fixed" and self.start == "fresh":
                raise ValueError("old: fixed goes with start: inherit; weights drawn anew must be learned")
            return self

        def also_provides(self) -> frozenset[str]:
            """``fixed_weights`` where some weights are: those that are learned are then of other classes each task."""
            return frozenset({"fixed_weights"}) if self.old == "fixed" else frozenset()

        def refuses(self) -> Mapping[str, str]:
            """With weights that are fixed: features that grow, and phases that draw the head anew."""
            return _REFUSED_BY_FIXED if self.old == "fixed" else {}

    config: Config

    @hookimpl
    def grow_head(self, state: RunState, old: nn.Module | None, width: int) -> nn.Module:
        """(B, width) -> (B, K)."""
        is_fixed = self.config.old == "fixed" and isinstance(old, CosineHead)
        fixed = state.task.known if is_fixed else 0
        head = CosineHead(width, state.task.seen, self.config.scale, state.generator(f"{self.name}/draw"), fixed)
        if self.config.start == "inherit" and isinstance(old, CosineHead):
            if fixed and old.in_features != width:
                raise PluginError(
                    f"'{self.name}': {_REFUSED_BY_FIXED['parts']} (there were {old.in_features} features, now {width})"
                )
            head.inherit(old)
        return head


class CosineHead(nn.Module):
    """(B, D) -> (B, K): eta <f / ||f||, theta_k / ||theta_k||>, with theta and eta learned.

    Attributes:
        in_features: D.
        weight: (K - fixed, D), the theta_k that are learned.
        fixed_weight: (fixed, D), those of the first classes that are not; None where all are learned.
        scale: scalar, eta.
    """

    fixed_weight: nn.Parameter | None

    def __init__(self, width: int, classes: int, scale: float, generator: torch.Generator, fixed: int = 0) -> None:
        super().__init__()
        self.in_features = width
        self.weight = nn.Parameter(torch.empty(classes - fixed, width))
        fixed_weight = nn.Parameter(torch.empty(fixed, width), requires_grad=False) if fixed else None
        self.register_parameter("fixed_weight", fixed_weight)
        self.scale = nn.Parameter(torch.empty(()))
        self._start = scale
        self._draw(generator)

    def forward(self, features: Tensor) -> Tensor:
        """(B, D) -> (B, K) in [-eta, eta], see `scaled_cosines`."""
        return self.scale * self.cosines(features)

    def cosines(self, features: Tensor) -> Tensor:
        """(B, D) -> (B, K) in [-1, 1]: without eta."""
        return scaled_cosines(features, self.weights(), 1.0)

    def weights(self) -> Tensor:
        """(K, D): the theta of all classes, in class order."""
        return self.weight if self.fixed_weight is None else torch.cat([self.fixed_weight, self.weight])

    def draw(self, generator: torch.Generator) -> None:
        """Draw fresh weights with a CPU generator, of length 1 on average; the scale goes back to its start.

        Raises:
            PluginError: some weights are fixed, and could not be learned from a new draw.
        """
        if self.fixed_weight is not None:
            raise PluginError("a cosine head whose old weights are fixed cannot be drawn anew: write old: learned")
        self._draw(generator)

    @torch.no_grad()
    def inherit(self, old: CosineHead) -> None:
        """Take the weights of ``old`` for its classes and features, and its scale; the others stay as drawn."""
        weights = self.weights().clone()
        classes, width = old.weights().shape
        weights[:classes, :width] = old.weights()
        self._set(weights)
        self.scale.copy_(old.scale)

    @torch.no_grad()
    def imprint(self, first: int, features: Sequence[Tensor], generator: torch.Generator) -> None:  # noqa: ARG002
        """Start new classes at the directions of their mean features, as long as the old ones' weights are on average.

        Args:
            first: label of the first class to set, at least 1.
            features: (n_k, D) for each class in turn.
            generator: nothing is drawn.
        """
        weights = self.weights().clone()
        length = weights[:first].norm(dim=1).mean()
        directions = torch.stack([mean_direction(own) for own in features])
        weights[first : first + len(directions)] = length * directions.to(weights)
        self._set(weights)

    @torch.no_grad()
    def narrow(self, kept: Tensor) -> None:
        """Read only the features at ``kept``, int64 positions in the old ones.

        The cosines are then those among the kept features: where the weights of the others were not 0, logits change
        a little even if those features were always 0.
        """
        self.in_features = len(kept)
        for name, weight in list(self.named_parameters()):
            if weight.dim() == 2:
                narrowed = weight.detach()[:, kept.to(weight.device)]
                setattr(self, name, nn.Parameter(narrowed, requires_grad=weight.requires_grad))

    @torch.no_grad()
    def _draw(self, generator: torch.Generator) -> None:
        fresh = torch.empty(self.weights().shape)
        nn.init.kaiming_normal_(fresh, nonlinearity="linear", generator=generator)
        self._set(fresh)
        self.scale.fill_(self._start)

    @torch.no_grad()
    def _set(self, weights: Tensor) -> None:
        """Set the weights of all classes, (K, D)."""
        fixed = 0
        if self.fixed_weight is not None:
            fixed = len(self.fixed_weight)
            self.fixed_weight.copy_(weights[:fixed])
        self.weight.copy_(weights[fixed:])


def scaled_cosines(features: Tensor, weight: Tensor, scale: Tensor | float) -> Tensor:
    """UCIR's cosine normalisation, before the softmax (Eq. 4): eta <f / ||f||, theta_k / ||theta_k||>.

    Args:
        features: (B, D).
        weight: (K, D), theta.
        scale: eta.

    Returns:
        (B, K) in [-eta, eta]; 0 for a feature of zeros.
    """
    return scale * linear(normalize(features, dim=1), normalize(weight, dim=1))


def mean_direction(features: Tensor) -> Tensor:
    """Where the features of a class point on average: m / ||m||, m = 1/n sum_i f_i / ||f_i||.

    UCIR's authors start the weight of a new class there (imprinting; Qi, Brown, Lowe, CVPR 2018).

    Args:
        features: (n, D), n >= 1.

    Returns:
        (D,), of length 1; zeros where the features cancel out.
    """
    return normalize(normalize(features, dim=1).mean(dim=0), dim=0)
