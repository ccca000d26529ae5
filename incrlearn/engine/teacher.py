"""The network of the task before, kept for losses that compare with it."""

from __future__ import annotations

import copy

import torch

from incrlearn.engine.runtime import Runtime
from incrlearn.types import Batch, Network, Output


class FrozenTeacher:
    """The engine's `incrlearn.types.Teacher`."""

    def __init__(self, network: Network, runtime: Runtime) -> None:
        """Copy ``network`` as it stands; it has nothing attached."""
        self._network = copy.deepcopy(network).requires_grad_(False).eval()
        self._runtime = runtime
        self._answered: tuple[Batch, Output] | None = None

    @property
    def network(self) -> Network:
        """The copy."""
        return self._network

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Output:
        """See :meth:`incrlearn.types.Teacher.__call__`."""
        if self._answered is None or self._answered[0] is not batch:
            with self._runtime.autocast():
                parts = self._network.extract(batch.images)
            self._answered = (batch, self._network.classify(parts))
        return self._answered[1]
