"""Exemplars of which the head is least sure."""

from __future__ import annotations

import torch
from torch import Tensor

from incrlearn import RunState, hookimpl
from incrlearn.memory import QuotaMemory


class Entropy(QuotaMemory):
    """The exemplars whose softmax has the highest entropy, those near a border (Chaudhry et al., ECCV 2018)."""

    @hookimpl
    def rank_exemplars(self, state: RunState, features: Tensor, quota: int) -> Tensor:
        """The least sure first, by the head's logits over all classes seen."""
        with torch.no_grad():
            logits = state.network.head(features.to(state.device))
        return most_uncertain(logits.cpu().double(), quota)


def entropies(logits: Tensor) -> Tensor:
    """H_i = -sum_y p_iy log p_iy in nats, p = softmax(logits): from 0 to log K.

    Args:
        logits: (n, K), finite.

    Returns:
        (n,).
    """
    log_p = logits.log_softmax(dim=1)
    return -(log_p.exp() * log_p).sum(dim=1)


def most_uncertain(logits: Tensor, quota: int) -> Tensor:
    """Positions by falling entropy; ties go to the smaller position.

    Args:
        logits: (n, K).
        quota: how many to choose; n where n is smaller.

    Returns:
        (min(quota, n),) int64, the least sure first.
    """
    return entropies(logits).argsort(descending=True, stable=True)[:quota]
