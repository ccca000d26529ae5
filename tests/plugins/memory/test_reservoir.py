"""Reservoir sampling: Algorithm R worked by hand, its distribution over seeds, and what a run keeps by it."""

from collections import Counter
from itertools import product
from math import comb
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import chi2, chisquare

from incrlearn import RecipeError, Registry, RunState, Task, hookimpl, run_recipe
from incrlearn.engine.plan import make_plan
from incrlearn.recipe import Recipe, recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe
from incrlearn_plugins.memory.reservoir import Reservoir, reservoir_counts

ARRIVED, TOTAL = (4, 3, 5), 5
SEEDS = range(3000)


def plugin(total: int = TOTAL) -> Reservoir:
    return Reservoir("memory", Reservoir.Config(total=total))


def test_by_hand() -> None:
    # Images 1 and 2 fill both places. Image 3 draws floor(3 * 0.5) = 1 and takes the place of image 2; image 4 draws
    # floor(4 * 0.6) = 2 and is let go; image 5 draws floor(5 * 0.1) = 0 and takes the place of image 1.
    draws = torch.tensor([0.9, 0.9, 0.5, 0.6, 0.1], dtype=torch.float64)
    assert reservoir_counts((2,), 2, draws[:2]) == (2,)
    assert reservoir_counts((2, 1), 2, draws[:3]) == (1, 1)
    assert reservoir_counts((2, 2), 2, draws[:4]) == (1, 1)
    assert reservoir_counts((2, 2, 1), 2, draws) == (0, 1, 1)


def one_after_the_other(arrived: tuple[int, ...], total: int, draws: list[float]) -> tuple[int, ...]:
    """Algorithm R word by word: one image after the other, into a list."""
    reservoir: list[int] = []
    images = [label for label, count in enumerate(arrived) for _ in range(count)]
    for number, label in enumerate(images, start=1):
        place = int(draws[number - 1] * number)
        if number <= total:
            reservoir.append(label)
        elif place < total:
            reservoir[place] = label
    return tuple(reservoir.count(label) for label in range(len(arrived)))


@given(arrived=st.lists(st.integers(1, 30), min_size=1, max_size=8), total=st.integers(1, 60), seed=st.integers(0, 999))
def test_equals_the_algorithm_word_by_word(arrived: list[int], total: int, seed: int) -> None:
    draws = torch.rand(sum(arrived), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    wanted = one_after_the_other(tuple(arrived), total, draws.tolist())
    assert reservoir_counts(arrived, total, draws) == wanted


@given(arrived=st.lists(st.integers(1, 30), min_size=1, max_size=8), total=st.integers(1, 60), seed=st.integers(0, 999))
def test_memory_is_full_and_no_class_grows_while_others_come(arrived: list[int], total: int, seed: int) -> None:
    counts: tuple[int, ...] = ()
    for seen in range(1, len(arrived) + 1):
        before, counts = counts, plugin(total).memory_quota(tuple(arrived[:seen]), seed)
        assert sum(counts) == min(total, sum(arrived[:seen]))
        assert all(now <= earlier for now, earlier in zip(counts, before, strict=False))
        assert all(kept <= images for kept, images in zip(counts, arrived, strict=False))


def test_seeds_and_keys_draw_differently_and_repeatably() -> None:
    arrived = (50,) * 6
    assert plugin(60).memory_quota(arrived, 1) == plugin(60).memory_quota(arrived, 1)
    assert plugin(60).memory_quota(arrived, 1) != plugin(60).memory_quota(arrived, 2)
    assert Reservoir("other", Reservoir.Config(total=60)).memory_quota(arrived, 1) != plugin(60).memory_quota(
        arrived, 1
    )


def test_counts_of_the_classes_fit_those_of_a_uniform_subset() -> None:
    # A uniform subset of n of N images has (a, b, c) of its classes with probability C(4,a) C(3,b) C(5,c) / C(12,5).
    found = Counter(plugin().memory_quota(ARRIVED, seed) for seed in SEEDS)
    possible = [c for c in product(*(range(n + 1) for n in ARRIVED)) if sum(c) == TOTAL]
    ways = [comb(4, a) * comb(3, b) * comb(5, c) for a, b, c in possible]
    assert set(found) <= set(possible)
    expected = [len(SEEDS) * number / comb(12, TOTAL) for number in ways]
    assert chisquare([found[c] for c in possible], expected).pvalue > 0.01


def test_every_image_is_as_likely_to_be_kept() -> None:
    kept = torch.zeros(sum(ARRIVED))
    for seed in SEEDS:
        counts, first = plugin().memory_quota(ARRIVED, seed), 0
        for label, images in enumerate(ARRIVED):
            state = RunState(seed, torch.device("cpu"), Task(label + 1, 3, label, label + 1), (1, 8, 8))
            positions = plugin().rank_exemplars(state, label, torch.zeros(images, 2), images)[: counts[label]]
            kept[first + positions] += 1
            first += images
    share = TOTAL / len(kept)
    # N of them without replacement: sum of squares over their variance, times (N - 1) / N, is chi-square with N - 1.
    deviation = (kept - len(SEEDS) * share).square().sum() / (len(SEEDS) * share * (1 - share))
    assert chi2.sf(float(deviation) * (len(kept) - 1) / len(kept), df=len(kept) - 1) > 0.01


def test_order_of_a_class_is_a_permutation_of_which_a_smaller_quota_is_a_prefix() -> None:
    state = RunState(1, torch.device("cpu"), Task(1, 3, 0, 2), (1, 8, 8))
    order = plugin().rank_exemplars(state, 0, torch.zeros(30, 2), 30).tolist()
    assert sorted(order) == list(range(30)) != order
    assert plugin().rank_exemplars(state, 0, torch.zeros(30, 2), 7).tolist() == order[:7]
    assert plugin().rank_exemplars(state, 1, torch.zeros(30, 2), 30).tolist() != order


@pytest.mark.parametrize("total", [0, None])
def test_total_is_asked_for(total: int | None) -> None:
    with pytest.raises(ValidationError):
        Reservoir.Config.model_validate({"total": total})


# -- in a run ------------------------------------------------------------------------------------------------------


def recipe(total: int, seed: int = 1, **rows: object) -> Recipe:
    values = tiny_recipe(memory={"use": "reservoir", "total": total}, **rows) | {"seed": seed}
    return recipe_from_dict(values, Registry.of({"synthetic": SyntheticData}), "tiny")


class Counts:
    """Notes how many of each class are kept after each task, and which."""

    def __init__(self) -> None:
        self.kept: list[tuple[int, ...]] = []
        self.images: list[dict[int, list[int]]] = []

    @hookimpl
    def task_end(self, state: RunState) -> None:
        memory = state.memory
        self.kept.append(tuple(torch.bincount(memory.labels, minlength=state.task.seen).tolist()))
        classes = range(state.task.seen)
        self.images.append({label: memory.of_class(label).indices.tolist() for label in classes})


def test_run_keeps_what_was_told_before_it_and_prefixes_of_old_classes(tmp_path: Path) -> None:
    plan, counts = make_plan(recipe(30)), Counts()
    result = run_recipe(recipe(30), tmp_path / "run", device="cpu", watchers=[counts])
    assert counts.kept == [row.exemplars_per_class for row in plan.rows]
    assert len(set(counts.kept[-1])) > 1
    assert [row["exemplars"] for row in result.summary["tasks"]] == [row.exemplars for row in plan.rows] == [30] * 3
    for before, after in zip(counts.images, counts.images[1:], strict=False):
        assert all(after[label] == images[: len(after[label])] for label, images in before.items())


def test_class_that_would_be_left_without_exemplars_is_named_before_training() -> None:
    with pytest.raises(RecipeError) as caught:
        make_plan(recipe(6))
    (problem,) = caught.value.problems
    assert problem.message == (
        "plugins.memory: too few exemplars: with seed 1 none of the 6 kept after task 2 would be of 'pattern 0'; give "
        "more in all, or a memory that keeps the same number of each class"
    )


def test_bias_correction_needs_two_of_each_class() -> None:
    rows = {
        "network": "single",
        "head": {"use": "linear", "bias": True},
        "auxiliary": None,
        "balance": None,
        "bias": {"use": "bias_layer", "milestones": [1], "epochs": 2},
    }
    make_plan(recipe(60, **rows))
    with pytest.raises(RecipeError, match="memory keeps 1 of some class; give it at least 2 of each, 8 in all"):
        make_plan(recipe(8, seed=5, **rows))


def test_bias_correction_learns_from_unequal_exemplars(tmp_path: Path) -> None:
    rows = {
        "network": "single",
        "head": {"use": "linear", "bias": True},
        "auxiliary": None,
        "balance": None,
        "bias": {"use": "bias_layer", "milestones": [1], "epochs": 2, "share": 0.3},
    }
    counts = Counts()
    result = run_recipe(recipe(40, **rows), tmp_path / "run", device="cpu", watchers=[counts])
    assert [row["exemplars"] for row in result.summary["tasks"]] == [sum(kept) for kept in counts.kept]
    assert result.summary["tasks"][-1]["bias_alpha"] != 1.0
