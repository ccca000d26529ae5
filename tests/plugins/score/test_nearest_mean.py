"""Nearest mean of exemplars against iCaRL's definition, in float64, and in whole runs."""

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from incrlearn import (
    Batch,
    Output,
    PluginError,
    RecipeError,
    Registry,
    Result,
    RunState,
    Samples,
    Task,
    TaskPasses,
    hookimpl,
    run_recipe,
)
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe
from incrlearn_plugins.score.nearest_mean import NearestMean, class_means, nearness


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.sqrt((rows**2).sum(axis=-1, keepdims=True))


def defined_means(features: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """iCaRL, Algorithm 1, word by word."""
    return np.stack([unit(sum(unit(f) for f in features[labels == k]) / (labels == k).sum()) for k in range(classes)])


@settings(max_examples=50)
@given(seed=st.integers(0, 10_000), counts=st.lists(st.integers(1, 6), min_size=1, max_size=5), width=st.integers(1, 7))
def test_means_and_nearest_class_equal_the_definition(seed: int, counts: list[int], width: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    # Of one sign, so that no class cancels out; lengths far apart, so that the order of the two steps shows.
    exemplars = rng.uniform(0.1, 1, (len(labels), width)) * rng.uniform(0.1, 50, (len(labels), 1))
    shuffled = rng.permutation(len(labels))
    means = class_means(torch.from_numpy(exemplars[shuffled]), torch.from_numpy(labels[shuffled]), len(counts))
    wanted = defined_means(exemplars, labels, len(counts))
    np.testing.assert_allclose(means.numpy(), wanted, rtol=1e-12)
    images = rng.normal(size=(4, width)) * 3
    scores = nearness(torch.from_numpy(images), means).numpy()
    for row, image in zip(scores, images, strict=True):
        distances = [((unit(image) - mean) ** 2).sum() for mean in wanted]
        np.testing.assert_allclose(row, np.negative(distances), atol=1e-12)


def test_by_hand() -> None:
    # Directions (1, 0) and (0, 1), however long, have the mean (1, 1) / sqrt 2; class 1 is one image.
    means = class_means(torch.tensor([[5.0, 0.0], [0.0, 0.1], [3.0, 4.0]]), torch.tensor([0, 0, 1]), 2)
    half = 0.5**0.5
    torch.testing.assert_close(means, torch.tensor([[half, half], [0.6, 0.8]], dtype=torch.float64))
    scores = nearness(torch.tensor([[7.0, 0.0], [0.3, 0.4]]).double(), means)
    # |(1, 0) - (h, h)|^2 = 2 - 2 h; |(1, 0) - (0.6, 0.8)|^2 = 0.16 + 0.64; |(0.6, 0.8) - (h, h)|^2 = 2 - 2.8 h.
    wanted = torch.tensor([[2 * half - 2, -0.8], [2.8 * half - 2, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(scores, wanted)


def test_features_without_length_give_numbers() -> None:
    means = class_means(torch.zeros(2, 3), torch.tensor([0, 1]), 2)
    assert nearness(torch.zeros(1, 3).double(), means).tolist() == [[0.0, 0.0]]


class FixedFeatures:
    """Passes that give features made up beforehand, by position in the data set."""

    def __init__(self, features: Tensor) -> None:
        self.table = features

    def accuracy(self) -> float:
        raise AssertionError("nobody asks for it here")

    def features(self, samples: Samples) -> Tensor:
        return self.table[samples.indices]

    def batches(self, samples: Samples, batch: int) -> Iterator[Batch]:
        raise AssertionError("nobody asks for it here")


def ended(plugin: NearestMean, labels: list[int], seen: int) -> tuple[RunState, Output]:
    """The plug-in after a task of ``seen`` classes with exemplars of ``labels``; features to score."""
    generator = torch.Generator().manual_seed(3)
    state = RunState(1, torch.device("cpu"), Task(1, 2, 0, seen), (1, 8, 8))
    state.memory = Samples(torch.arange(len(labels)), torch.tensor(labels))
    plugin.task_end(state, FixedFeatures(torch.randn(len(labels), 5, generator=generator)))
    features = torch.randn(6, 5, generator=generator)
    return state, Output((features,), features, torch.zeros(6, seen))


def test_another_instance_that_takes_the_state_up_gives_the_same_scores() -> None:
    first, second = (NearestMean("scores", NearestMean.Config()) for _ in range(2))
    assert first.state_dict() == {}
    state, out = ended(first, [0, 0, 1, 2, 2], 3)
    second.load_state_dict(first.state_dict())
    assert torch.equal(second.scores(state, out), first.scores(state, out))


def test_class_without_exemplars_is_named() -> None:
    with pytest.raises(PluginError, match=r"no exemplar of the classes \[1\]"):
        ended(NearestMean("scores", NearestMean.Config()), [0, 0, 2], 3)


def test_scores_are_refused_before_the_means_are_taken() -> None:
    plugin = NearestMean("scores", NearestMean.Config())
    state, out = ended(NearestMean("other", NearestMean.Config()), [0, 1], 2)
    with pytest.raises(PluginError, match="no means of task 1 yet"):
        plugin.scores(state, out)
    ended(plugin, [0, 1], 2)
    state.task = Task(2, 2, 2, 4)
    with pytest.raises(PluginError, match="no means of task 2 yet"):
        plugin.scores(state, out)


REGISTRY = Registry.of({"synthetic": SyntheticData})


def run(out: Path, *watchers: object, resume: bool = False) -> Result:
    recipe = recipe_from_dict(tiny_recipe(scores="nearest_mean"), REGISTRY, "tiny")
    return run_recipe(recipe, out, device="cpu", watchers=watchers, resume=resume)


def test_memory_is_needed() -> None:
    with pytest.raises(RecipeError, match="exemplars"):
        recipe_from_dict(tiny_recipe(scores="nearest_mean", memory=None, balance=None), REGISTRY, "tiny")


class Witness:
    """Holds every score of a run against the definition over the exemplars' features."""

    def __init__(self) -> None:
        self.batches = 0

    @hookimpl
    def task_end(self, state: RunState, passes: TaskPasses) -> None:
        features = passes.features(state.memory).double().numpy()
        self.means = defined_means(features, state.memory.labels.numpy(), state.task.seen)

    @hookimpl(wrapper=True)
    def scores(self, state: RunState, out: Output) -> Generator[None, Tensor, Tensor]:
        given = yield
        features = unit(out.features.double().numpy())
        wanted = -((features[:, None] - self.means[None]) ** 2).sum(axis=2)
        np.testing.assert_allclose(given.numpy(), wanted, atol=1e-5)
        self.batches += 1
        return given


class PowerCut:
    """Stops a run when its second task begins."""

    @hookimpl
    def prepare(self, state: RunState) -> None:
        if state.task.number == 2:
            raise KeyboardInterrupt


def comparable(result: Result) -> list[dict[str, Any]]:
    wall_times = {"seconds", "latency_ms"}
    return [{k: v for k, v in row.items() if k not in wall_times} for row in result.summary["tasks"]]


def test_der_is_scored_by_its_exemplars_and_resumed_the_same(tmp_path: Path) -> None:
    witness = Witness()
    through = run(tmp_path / "through", witness)
    assert witness.batches >= 3
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", PowerCut())
    assert comparable(run(tmp_path / "cut", resume=True)) == comparable(through)
