"""Passes without training: scores of the test set, features for herding."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from incrlearn.calls import Calls
from incrlearn.data import Loader
from incrlearn.engine.runtime import Runtime
from incrlearn.ledger import Latency, full_batch_latency
from incrlearn.types import RunState, Samples


@dataclass(frozen=True, eq=False)
class Scored:
    """The test set as the network sees it."""

    scores: Tensor
    """(N, K) float32, on the CPU."""
    labels: Tensor
    """(N,) int64, on the CPU."""
    latency: Latency | None
    """Of one full batch through the network, without the loading of its images; None where N is 0."""


@torch.no_grad()
def score_samples(
    state: RunState, calls: Calls, runtime: Runtime, loader: Loader, samples: Samples, batch: int
) -> Scored:
    """Scores of ``samples`` in eval mode, ``batch`` images at a time."""
    state.network.eval()
    scores, sizes, seconds = [], [], []
    for images in loader.plain(samples, batch):
        started = _device_time(runtime.device)
        with runtime.autocast():
            parts = state.network.extract(images.images)
        out = state.network.classify(parts)
        seconds.append(_device_time(runtime.device) - started)
        sizes.append(len(images))
        scores.append(calls.scores(state, out).float())
    gathered = torch.cat(scores).cpu() if scores else torch.empty(0, state.task.seen)
    return Scored(gathered, samples.labels, full_batch_latency(sizes, seconds))


@torch.no_grad()
def logit_accuracy(state: RunState, runtime: Runtime, loader: Loader, samples: Samples, batch: int) -> float:
    """Top-1 in percent by the logits alone, in eval mode: what a network can in the middle of its training."""
    state.network.eval()
    hits = torch.zeros((), dtype=torch.int64, device=runtime.device)
    for images in loader.plain(samples, batch):
        with runtime.autocast():
            parts = state.network.extract(images.images)
        hits += (state.network.classify(parts).logits.argmax(dim=1) == images.labels).sum()
    return 100.0 * int(hits) / max(1, len(samples))


@torch.no_grad()
def extract_features(state: RunState, runtime: Runtime, loader: Loader, samples: Samples, batch: int) -> Tensor:
    """(n, D) float32 features in eval mode, without augmentation, on the CPU."""
    state.network.eval()
    features = [torch.empty(0, state.network.width, device=state.device)]
    for images in loader.plain(samples, batch):
        with runtime.autocast():
            parts = state.network.extract(images.images)
        features.append(torch.cat([part.float() for part in parts], dim=1))
    return torch.cat(features).cpu()


def _device_time(device: torch.device) -> float:
    """The clock in seconds, read when the device has done all it was given."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
    return time.perf_counter()
