"""Passes over a test set, on a clock that only the doubles below move on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from incrlearn import Batch, Registry, RunState, Samples, Task
from incrlearn.data import Loader, Source, make_loader
from incrlearn.engine import evaluate
from incrlearn.engine.assemble import make_calls
from incrlearn.engine.evaluate import Scored, score_samples
from incrlearn.engine.runtime import Runtime
from incrlearn.ledger import Latency
from incrlearn.network import BranchedNetwork, LinearHead
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe
from incrlearn.types import Backbone


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def perf_counter(self) -> float:
        return self.seconds


class TimedBackbone(nn.Module):
    """Takes a millisecond an image."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def forward(self, images: Tensor) -> Tensor:
        self.clock.seconds += 0.001 * len(images)
        return images.flatten(1)


class TimedLoader:
    """Takes a minute a batch."""

    def __init__(self, loader: Loader, clock: Clock) -> None:
        self.loader, self.clock = loader, clock

    def plain(self, samples: Samples, batch: int) -> Iterator[Batch]:
        for images in self.loader.plain(samples, batch):
            self.clock.seconds += 60
            yield images


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(evaluate, "time", clock)
    return clock


def scored(clock: Clock, count: int, batch: int) -> Scored:
    source: Source = SyntheticData("data", SyntheticData.Config()).open(Path())
    network = BranchedNetwork([Backbone(TimedBackbone(clock), width=64)])
    network.head = LinearHead(64, 6, bias=True, generator=torch.Generator().manual_seed(1))
    state = RunState(1, torch.device("cpu"), Task(1, 1, 0, 6), (3, 32, 32), current=network)
    recipe = recipe_from_dict(tiny_recipe(), Registry.of({"synthetic": SyntheticData}), "tiny")
    samples = Samples(torch.arange(count), torch.from_numpy(source.test.labels)[:count])
    loader = TimedLoader(make_loader(source, source.test, state.device), clock)
    return score_samples(state, make_calls(recipe), Runtime("cpu", "float32"), loader, samples, batch)


def test_latency_is_that_of_a_full_batch_without_loading(clock: Clock) -> None:
    assert scored(clock, count=20, batch=8).latency == Latency(pytest.approx(8.0), 8)


def test_batch_of_the_latency_is_no_larger_than_the_test_set(clock: Clock) -> None:
    assert scored(clock, count=20, batch=256).latency == Latency(pytest.approx(20.0), 20)


def test_no_images_have_neither_scores_nor_latency(clock: Clock) -> None:
    nothing = scored(clock, count=0, batch=8)
    assert nothing.scores.shape == (0, 6)
    assert nothing.latency is None


def test_size_of_the_batches_does_not_change_the_scores(clock: Clock) -> None:
    small, large = scored(clock, 20, 8), scored(clock, 20, 20)
    assert torch.allclose(small.scores, large.scores, atol=1e-5)
    assert torch.equal(small.labels, large.labels)
