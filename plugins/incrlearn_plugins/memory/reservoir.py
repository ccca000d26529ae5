"""Reservoir sampling: every image seen so far is as likely to be in the memory (Vitter 1985, Algorithm R)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor

from incrlearn import Plugin, RunState, hookimpl, make_generator


class Reservoir(Plugin):
    """A memory of fixed size in which every training image seen so far is with equal probability, total / N.

    How many exemplars a class has is therefore random: more where it has more images, and on average equal numbers
    where classes have as many. Which counts a run will have follows from its seed and is known before it.
    """

    kind = "memory"
    provides = frozenset({"exemplars"})

    class Config(Plugin.Config):
        """How many exemplars to keep."""

        total: int = Field(ge=1)
        """Exemplars in all. With fewer than ten or so for each class, some class may well be left without any."""

    config: Config

    @hookimpl
    def memory_quota(self, arrived: tuple[int, ...], seed: int) -> tuple[int, ...]:
        """How many of each class are in the reservoir once ``arrived`` images of each have gone by."""
        # Draws belong to a class, not to a task: what was drawn for the images of earlier tasks stays drawn.
        draws = [
            torch.rand(images, dtype=torch.float64, generator=make_generator(seed, 0, f"{self.name}/stream {label}"))
            for label, images in enumerate(arrived)
        ]
        return reservoir_counts(arrived, self.config.total, torch.cat(draws))

    @hookimpl
    def rank_exemplars(self, state: RunState, label: int, features: Tensor, quota: int) -> Tensor:
        """A random order, so that the images of a class are as likely as one another, however many are kept."""
        order = torch.randperm(len(features), generator=state.generator(f"{self.name}/class {label}"))
        return order[:quota]


def reservoir_counts(arrived: Sequence[int], total: int, draws: Tensor) -> tuple[int, ...]:
    """How many images of each class Algorithm R has in its reservoir at the end of a stream.

    The t-th image (t from 1) goes to place t - 1 while t <= total. A later one draws a place M_t = floor(t U_t) from 0
    to t - 1, and takes it from the image that has it where M_t < total. So after N images each of them is in with
    probability min(1, total / N), in whatever order they came; here the classes come one after the other.

    Args:
        arrived: (K,) images of each class, in the order in which the classes come; N in all.
        total: places, 1 or more.
        draws: (N,) float64, U_t in [0, 1); those of the first ``total`` images are not looked at.

    Returns:
        (K,) of sum min(total, N). With further images none of these numbers grows.
    """
    images = torch.arange(1, len(draws) + 1)
    places = torch.where(images <= total, images - 1, (draws * images).floor().long())
    enters = places < total
    # The last image that went to a place is there; 0 stands for none.
    last = torch.zeros(total, dtype=torch.int64).scatter_reduce_(0, places[enters], images[enters], "amax")
    labels = torch.searchsorted(torch.tensor(arrived).cumsum(0), last[last > 0])
    counts: list[int] = torch.bincount(labels, minlength=len(arrived)).tolist()
    return tuple(counts)
