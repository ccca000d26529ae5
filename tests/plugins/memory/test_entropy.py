"""Exemplars of which the head is least sure, against entropies added up by hand."""

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from incrlearn import Registry, RunState, Task, run_recipe
from incrlearn.network import BranchedNetwork, LinearHead
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe
from incrlearn.types import Backbone
from incrlearn_plugins.memory.entropy import Entropy, entropies, most_uncertain


def defined_entropy(logits: np.ndarray) -> float:
    shares = [math.exp(a) for a in logits]
    return -sum(share / sum(shares) * math.log(share / sum(shares)) for share in shares)


@settings(max_examples=50)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 15), classes=st.integers(1, 6), quota=st.integers(1, 20))
def test_everybody_chosen_is_as_unsure_as_everybody_left(seed: int, count: int, classes: int, quota: int) -> None:
    logits = 3 * np.random.default_rng(seed).normal(size=(count, classes))
    order = most_uncertain(torch.from_numpy(logits), quota).tolist()
    assert len(set(order)) == len(order) == min(quota, count)
    wanted = [defined_entropy(row) for row in logits]
    np.testing.assert_allclose(entropies(torch.from_numpy(logits)).numpy(), wanted, atol=1e-12)
    chosen = [wanted[i] for i in order]
    left = [value for i, value in enumerate(wanted) if i not in order]
    assert all(earlier >= later - 1e-9 for earlier, later in pairwise(chosen))
    assert not left or chosen[-1] >= max(left) - 1e-9


def test_by_hand() -> None:
    # Even odds: log 2. Odds of 3 to 1: log 4 - 3/4 log 3. Odds without end: 0. Ties go to the smaller position.
    logits = torch.tensor([[math.log(3), 0.0], [0.0, 1e4], [5.0, 5.0], [1.0, 1.0]], dtype=torch.float64)
    wanted = torch.tensor([math.log(4) - 0.75 * math.log(3), 0.0, math.log(2), math.log(2)], dtype=torch.float64)
    torch.testing.assert_close(entropies(logits), wanted)
    assert most_uncertain(logits, 4).tolist() == [2, 3, 0, 1]


def test_plugin_asks_the_head_about_the_features() -> None:
    network = BranchedNetwork([Backbone(torch.nn.Identity(), 5)])
    network.head = LinearHead(5, 4, True, torch.Generator().manual_seed(1))
    state = RunState(1, torch.device("cpu"), Task(2, 2, 2, 4), (1, 8, 8), current=network)
    features = 3 * torch.randn(12, 5, generator=torch.Generator().manual_seed(2))
    ranked = Entropy("memory", Entropy.Config(per_class=5)).rank_exemplars(state, features, 5)
    logits = features.double().numpy() @ network.head.weight.detach().double().numpy().T
    wanted = sorted(range(12), key=lambda i: -defined_entropy(logits[i]))[:5]
    assert ranked.tolist() == wanted
    assert ranked.dtype == torch.int64


@pytest.mark.parametrize("memory", ["entropy", "closest_mean"])
def test_run_keeps_as_many_as_the_quota_says(tmp_path: Path, memory: str) -> None:
    row = tiny_recipe(memory={"use": memory, "total": 18})
    recipe = recipe_from_dict(row, Registry.of({"synthetic": SyntheticData}), "tiny")
    result = run_recipe(recipe, tmp_path / "run", device="cpu")
    assert [row["exemplars"] for row in result.summary["tasks"]] == [18, 16, 18]
