"""Herding: exemplars whose mean stays closest to the class mean (Welling 2009; iCaRL, Algorithm 4)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from incrlearn import hookimpl
from incrlearn.memory import QuotaMemory


class Herding(QuotaMemory):
    """Exemplars by herding on L2-normalised features: each next one keeps their mean closest to the class mean."""

    @hookimpl
    def rank_exemplars(self, features: Tensor, quota: int) -> Tensor:
        """Herding order of the class."""
        return herd(normalize(features.double(), dim=1), quota)


def herd(features: Tensor, quota: int) -> Tensor:
    """Greedy herding without replacement: iCaRL, Algorithm 4.

    The k-th position is argmin_i || mu - (1/k) (x_i + sum of the k - 1 chosen) ||, mu the mean of all; ties go to
    the smaller position.

    Args:
        features: (n, D), normalised already where that is wanted.
        quota: how many to choose; n where n is smaller.

    Returns:
        (min(quota, n),) int64, in order of choice.
    """
    to_mean = features @ features.mean(dim=0)
    square = features.square().sum(dim=1)
    to_chosen = torch.zeros_like(to_mean)
    taken = torch.zeros(len(features), dtype=torch.bool)
    chosen = []
    for k in range(1, min(quota, len(features)) + 1):
        # ||mu - (S + x_i)/k||^2 without what is the same for all i, S being the sum of those chosen.
        distance = square / k**2 - (2 / k) * (to_mean - to_chosen / k)
        pick = int(distance.masked_fill(taken, torch.inf).argmin())
        chosen.append(pick)
        taken[pick] = True
        to_chosen += features @ features[pick]
    return torch.tensor(chosen, dtype=torch.int64)
