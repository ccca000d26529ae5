"""PODNet's local similarity classifier: several proxies a class, compared by cosines (Douillard et al., ECCV 2020)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize

from incrlearn import PluginError, RunState, hookimpl
from incrlearn_plugins.head.cosine import Cosine, CosineHead

_ROUNDS = 100
"""Of k-means, at most."""


class Proxies(Cosine):
    """A classifier of several proxies a class, so that a class may look in more than one way; nearness is the cosine.

    PODNet's network has no activation before it (``backbone: {signed: true}``), and the proxies of new classes start at
    the centres of their features (``imprint``); without that they are drawn.
    """

    class Config(Cosine.Config):
        """Options. PODNet's authors take ``old: fixed``, and let old proxies learn on balanced data alone."""

        proxies: int = Field(10, ge=1)
        """How many proxies a class has, the paper's K; with 1 it is the head ``cosine``."""

    config: Config

    @hookimpl
    def grow_head(self, state: RunState, old: nn.Module | None, width: int) -> nn.Module:
        """(B, width) -> (B, K)."""
        config, inherits = self.config, isinstance(old, ProxiesHead) and self.config.start == "inherit"
        fixed = state.task.known if inherits and config.old == "fixed" else 0
        generator = state.generator(f"{self.name}/draw")
        head = ProxiesHead(width, state.task.seen, config.proxies, config.scale, generator, fixed)
        if isinstance(old, ProxiesHead) and inherits:
            if fixed and old.in_features != width:
                raise PluginError(
                    f"'{self.name}': {config.refuses()['parts']} (there were {old.in_features} features, now {width})"
                )
            head.inherit(old)
        return head


class ProxiesHead(CosineHead):
    """(B, D) -> (B, K): eta times `proxy_similarities`, with proxies and eta learned.

    Attributes:
        proxies: P, how many a class has.
        weight: ((K - fixed) P, D), the proxies that are learned, those of a class side by side.
        fixed_weight: (fixed P, D), those of the first classes that are not; None where all are learned.
        scale: scalar, eta.
    """

    def __init__(
        self, width: int, classes: int, proxies: int, scale: float, generator: torch.Generator, fixed: int = 0
    ) -> None:
        super().__init__(width, classes * proxies, scale, generator, fixed * proxies)
        self.proxies = proxies

    def cosines(self, features: Tensor) -> Tensor:
        """(B, D) -> (B, K) in [-1, 1]: without eta."""
        return proxy_similarities(super().cosines(features).view(len(features), -1, self.proxies))

    @torch.no_grad()
    def imprint(self, first: int, features: Sequence[Tensor], generator: torch.Generator) -> None:
        """Start the proxies of new classes at the centres of their features, by k-means on their directions.

        They are made as many times longer as the old proxies are long on average. A class of fewer images than proxies
        keeps the others as drawn.

        Args:
            first: label of the first class to set, at least 1.
            features: (n_k, D) for each class in turn.
            generator: draws where k-means starts.
        """
        weights = self.weights().clone()
        length = weights[: first * self.proxies].norm(dim=1).mean()
        for label, own in enumerate(features, start=first):
            centres = k_means(normalize(own.double(), dim=1), self.proxies, generator)
            place = label * self.proxies
            weights[place : place + len(centres)] = length * centres.to(weights)
        self._set(weights)


def proxy_similarities(cosines: Tensor) -> Tensor:
    """PODNet's local similarity classifier: c_k = sum_p s_kp <theta_kp, h>, s_kp = softmax over p of <theta_kp, h>.

    Args:
        cosines: (B, K, P), the <theta_kp, h> of normalised proxies and features.

    Returns:
        (B, K), in [-1, 1]; of one proxy its cosine.
    """
    return (cosines.softmax(dim=2) * cosines).sum(dim=2)


def k_means(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Centres by k-means (Lloyd), started by k-means++: the points of each are nearer to it than to another.

    Args:
        points: (n, D), n >= 1, on the CPU.
        count: how many centres.
        generator: draws the points to start from.

    Returns:
        (min(n, count), D).
    """
    centres = _spread_points(points, min(count, len(points)), generator)
    nearest = torch.full((len(points),), -1)
    for _ in range(_ROUNDS):
        found = _distances(points, centres).argmin(dim=1)
        if torch.equal(found, nearest):
            break
        nearest = found
        for number in sorted(set(nearest.tolist())):
            centres[number] = points[nearest == number].mean(dim=0)
    return centres


def _spread_points(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """(count, D): points drawn one by one, with chances as their squared distance to the nearest drawn before."""
    chances = torch.ones(len(points), dtype=points.dtype)
    chosen: list[int] = []
    for _ in range(count):
        if not bool((chances > 0).any()):  # all other points are equal to chosen ones
            chances = torch.ones_like(chances)
        chosen.append(int(torch.multinomial(chances, 1, generator=generator)))
        chances = _distances(points, points[chosen]).amin(dim=1).square()
    return points[chosen]


def _distances(points: Tensor, centres: Tensor) -> Tensor:
    """(n, count), exactly 0 between equal points."""
    return torch.cdist(points, centres, compute_mode="donot_use_mm_for_euclid_dist")
