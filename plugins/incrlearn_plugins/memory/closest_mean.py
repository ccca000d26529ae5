"""Exemplars by their distance to the class mean, each on its own."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import normalize

from incrlearn import hookimpl
from incrlearn.memory import QuotaMemory


class ClosestMean(QuotaMemory):
    """The exemplars whose L2-normalised features lie closest to the class mean: typical ones, alike one another.

    Herding takes those whose *mean* stays closest, so that its exemplars lie on all sides of it.
    """

    @hookimpl
    def rank_exemplars(self, features: Tensor, quota: int) -> Tensor:
        """The closest first."""
        return closest_to_mean(normalize(features.double(), dim=1), quota)


def closest_to_mean(features: Tensor, quota: int) -> Tensor:
    """Positions by rising ||x_i - mu||, mu the mean of all; ties go to the smaller position.

    Args:
        features: (n, D), normalised already where that is wanted.
        quota: how many to choose; n where n is smaller.

    Returns:
        (min(quota, n),) int64, the closest first.
    """
    distances = (features - features.mean(dim=0)).square().sum(dim=1)
    return distances.argsort(stable=True)[:quota]
