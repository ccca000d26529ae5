"""Passes over the data for plug-ins that ask, in the middle of a phase."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from incrlearn.data import Loader
from incrlearn.engine.evaluate import extract_features
from incrlearn.engine.runtime import Runtime
from incrlearn.types import Batch, Phase, RunState, Samples

Evaluator = Callable[[RunState], float]
"""Top-1 in percent of ``state.network`` on the test images of the classes seen."""


@dataclass(frozen=True, eq=False)
class RunPasses:
    """The engine's `incrlearn.types.TaskPasses`."""

    state: RunState
    runtime: Runtime
    train: Loader
    eval_batch: int
    test: Evaluator

    def accuracy(self) -> float:
        """See `incrlearn.types.TaskPasses.accuracy`."""
        return self.test(self.state)

    def features(self, samples: Samples) -> Tensor:
        """See `incrlearn.types.TaskPasses.features`."""
        return extract_features(self.state, self.runtime, self.train, samples, self.eval_batch)

    def batches(self, samples: Samples, batch: int) -> Iterator[Batch]:
        """See `incrlearn.types.TaskPasses.batches`."""
        return self.train.plain(samples, batch)


@dataclass(frozen=True, eq=False)
class PhasePasses:
    """The engine's `incrlearn.types.Passes`, over the data of one phase."""

    run: RunPasses
    phase: Phase
    samples: Samples

    def accuracy(self) -> float:
        """See `incrlearn.types.TaskPasses.accuracy`."""
        return self.run.accuracy()

    def features(self, samples: Samples) -> Tensor:
        """See `incrlearn.types.TaskPasses.features`."""
        return self.run.features(samples)

    def batches(self, samples: Samples, batch: int) -> Iterator[Batch]:
        """See `incrlearn.types.TaskPasses.batches`."""
        return self.run.batches(samples, batch)

    @torch.no_grad()
    def settle_norms(self, module: nn.Module) -> None:
        """See `incrlearn.types.Passes.settle_norms`."""
        state = self.run.state
        purpose = f"{self.phase.name}/settle after epoch {state.epoch}"
        epoch = self.run.train.train(
            self.samples,
            self.phase.batch,
            order=state.generator(f"order/{purpose}"),
            augment=state.generator(f"augment/{purpose}") if self.phase.augment else None,
        )
        with self.run.runtime.autocast():
            update_bn((batch.images for batch in epoch), module)
