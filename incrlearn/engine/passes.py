"""Passes over the data for plug-ins that ask, in the middle of a phase."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from incrlearn.data import Loader
from incrlearn.engine.runtime import Runtime
from incrlearn.types import Phase, RunState, Samples

Evaluator = Callable[[RunState], float]
"""Top-1 in percent of ``state.network`` on the test images of the classes seen."""


class PhasePasses:
    """The engine's `incrlearn.types.Passes`, over the data of one phase."""

    def __init__(
        self, state: RunState, phase: Phase, runtime: Runtime, train: Loader, samples: Samples, test: Evaluator
    ) -> None:
        self._state, self._phase, self._runtime = state, phase, runtime
        self._train, self._samples, self._test = train, samples, test

    def accuracy(self) -> float:
        """See :meth:`incrlearn.types.Passes.accuracy`."""
        return self._test(self._state)

    @torch.no_grad()
    def settle_norms(self, module: nn.Module) -> None:
        """See :meth:`incrlearn.types.Passes.settle_norms`."""
        purpose = f"{self._phase.name}/settle after epoch {self._state.epoch}"
        epoch = self._train.train(
            self._samples,
            self._phase.batch,
            order=self._state.generator(f"order/{purpose}"),
            augment=self._state.generator(f"augment/{purpose}"),
        )
        with self._runtime.autocast():
            update_bn((batch.images for batch in epoch), module)
