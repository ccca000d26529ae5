"""Passes without training: scores of the test set, features for herding."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from incrlearn.calls import Calls
from incrlearn.data import Loader
from incrlearn.engine.runtime import Runtime
from incrlearn.types import RunState, Samples


@dataclass(frozen=True, eq=False)
class Scored:
    """The test set as the network sees it."""

    scores: Tensor
    """(N, K) float32, on the CPU."""
    labels: Tensor
    """(N,) int64, on the CPU."""


@torch.no_grad()
def score_samples(
    state: RunState, calls: Calls, runtime: Runtime, loader: Loader, samples: Samples, batch: int
) -> Scored:
    """Scores of ``samples`` in eval mode, ``batch`` images at a time."""
    state.network.eval()
    scores = []
    for images in loader.plain(samples, batch):
        with runtime.autocast():
            parts = state.network.extract(images.images)
        scores.append(calls.scores(state, state.network.classify(parts)).float())
    gathered = torch.cat(scores).cpu() if scores else torch.empty(0, state.task.seen)
    return Scored(gathered, samples.labels)


@torch.no_grad()
def extract_features(state: RunState, runtime: Runtime, loader: Loader, samples: Samples, batch: int) -> Tensor:
    """(n, D) float32 features in eval mode, without augmentation, on the CPU."""
    state.network.eval()
    features = []
    for images in loader.plain(samples, batch):
        with runtime.autocast():
            parts = state.network.extract(images.images)
        features.append(torch.cat([part.float() for part in parts], dim=1))
    return torch.cat(features).cpu()
