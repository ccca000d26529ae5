"""Exemplars closest to the mean, against a search through all distances."""

from itertools import pairwise

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from incrlearn import Task
from incrlearn_plugins.memory.closest_mean import ClosestMean, closest_to_mean


@settings(max_examples=50)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 15), width=st.integers(1, 6), quota=st.integers(1, 20))
def test_everybody_chosen_is_as_close_as_everybody_left(seed: int, count: int, width: int, quota: int) -> None:
    features = np.random.default_rng(seed).normal(size=(count, width))
    order = closest_to_mean(torch.from_numpy(features), quota).tolist()
    assert len(set(order)) == len(order) == min(quota, count)
    distances = [float(np.linalg.norm(row - features.mean(axis=0))) for row in features]
    chosen = [distances[i] for i in order]
    left = [distance for i, distance in enumerate(distances) if i not in order]
    assert all(earlier <= later + 1e-9 for earlier, later in pairwise(chosen))
    assert not left or chosen[-1] <= min(left) + 1e-9


def test_by_hand() -> None:
    # The mean is (1, 0): distances 3, 1, 0, 1, 3; ties go to the smaller position.
    features = torch.tensor([[4.0, 0.0], [0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [-2.0, 0.0]])
    assert closest_to_mean(features, 5).tolist() == [2, 1, 3, 0, 4]
    assert closest_to_mean(features, 2).tolist() == [2, 1]


def test_plugin_normalises_the_features_first() -> None:
    plugin = ClosestMean("memory", ClosestMean.Config(total=10))
    features = torch.randn(12, 5, generator=torch.Generator().manual_seed(1)) * torch.arange(1, 13)[:, None]
    unit = (features / features.norm(dim=1, keepdim=True)).double().numpy()
    distances = np.linalg.norm(unit - unit.mean(axis=0), axis=1)
    assert plugin.rank_exemplars(features, 6).tolist() == np.argsort(distances)[:6].tolist()


def test_quota_of_a_fixed_total() -> None:
    assert ClosestMean("memory", ClosestMean.Config(total=2000)).memory_quota(Task(2, 10, 10, 20)) == 100
