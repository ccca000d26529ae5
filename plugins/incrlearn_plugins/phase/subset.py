"""Subsets of the samples that a phase trains on."""

from __future__ import annotations

import torch
from torch import Tensor


def positions_per_class(labels: Tensor, generator: torch.Generator) -> list[Tensor]:
    """The positions of each class that is there, classes in rising order, each in a random order.

    Args:
        labels: (n,) int64.
        generator: draws the orders.

    Returns:
        int64 positions in ``labels``, one tensor a class.
    """
    shuffled = []
    for label in torch.nonzero(torch.bincount(labels)).flatten():
        positions = torch.nonzero(labels == label).flatten()
        shuffled.append(positions[torch.randperm(len(positions), generator=generator)])
    return shuffled


def balanced_positions(labels: Tensor, generator: torch.Generator) -> Tensor:
    """A random class-balanced subset: of each class as many as the smallest class has.

    Args:
        labels: (n,) int64, one at least.
        generator: draws which samples of the larger classes stay.

    Returns:
        Positions in ``labels``, int64, classes in rising order.
    """
    shuffled = positions_per_class(labels, generator)
    smallest = min(len(positions) for positions in shuffled)
    return torch.cat([positions[:smallest] for positions in shuffled])
