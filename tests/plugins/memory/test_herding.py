"""Herding against a brute-force search by its definition."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from incrlearn_plugins.memory.herding import Herding, herd


def distances_of_means(features: np.ndarray, chosen: list[int]) -> dict[int, float]:
    """For every candidate left: how far the mean of the chosen and it would be from the mean of all."""
    mean = features.mean(axis=0)
    left = [i for i in range(len(features)) if i not in chosen]
    return {i: float(np.linalg.norm(mean - features[[*chosen, i]].mean(axis=0))) for i in left}


def brute_force(features: np.ndarray, quota: int) -> list[int]:
    """iCaRL, Algorithm 4, word by word: try every candidate, take the closest."""
    chosen: list[int] = []
    for _ in range(min(quota, len(features))):
        distances = distances_of_means(features, chosen)
        chosen.append(min(distances, key=lambda i: distances[i]))
    return chosen


def assert_each_choice_is_the_best(features: np.ndarray, order: list[int]) -> None:
    """Every choice is as close as any other candidate would have been; ties may go either way."""
    for k, pick in enumerate(order):
        distances = distances_of_means(features, order[:k])
        assert distances[pick] <= min(distances.values()) + 1e-9


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 15), width=st.integers(1, 6), quota=st.integers(1, 20))
def test_each_choice_is_the_best_of_all_candidates(seed: int, count: int, width: int, quota: int) -> None:
    features = np.random.default_rng(seed).normal(size=(count, width))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    order = herd(torch.from_numpy(features), quota).tolist()
    assert len(set(order)) == len(order) == min(quota, count)
    assert_each_choice_is_the_best(features, order)


@pytest.mark.parametrize("seed", range(10))
def test_equals_brute_force(seed: int) -> None:
    features = np.random.default_rng(seed).normal(size=(30, 8))
    assert herd(torch.from_numpy(features), 12).tolist() == brute_force(features, 12)


def test_norms_count_where_features_are_not_normalised() -> None:
    features = np.array([[3.0, 0.0], [0.1, 0.2], [1.0, 1.0], [0.0, 2.0], [-1.0, 0.5]])
    assert herd(torch.from_numpy(features), 5).tolist() == brute_force(features, 5)


def test_by_hand() -> None:
    # mean (1, 0): position 2 is exactly there; then (0, 0) with it gives mean (0.5, 0), (3, 0) gives (2, 0)
    assert herd(torch.tensor([[3.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 0.0]]), 3).tolist() == [2, 1, 0]


def test_plugin_normalises_the_features_first() -> None:
    plugin = Herding("memory", Herding.Config(total=10))
    features = torch.randn(12, 5, generator=torch.Generator().manual_seed(1)) * torch.arange(1, 13)[:, None]
    unit = (features / features.norm(dim=1, keepdim=True)).double().numpy()
    assert plugin.rank_exemplars(features, 6).tolist() == brute_force(unit, 6)


@pytest.mark.parametrize(("seen", "quota"), [(10, 200), (100, 20)])
def test_quota_of_a_fixed_total(seen: int, quota: int) -> None:
    from incrlearn import Task

    assert Herding("memory", Herding.Config(total=2000)).memory_quota(Task(1, 10, seen - 10, seen)) == quota
