"""Which gates stay for a budget, and the steering of the sparsity loss towards it."""

from functools import cache
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from incrlearn.network import ChannelMap, build_backbone, map_channels
from incrlearn.recipe import BackboneOptions
from incrlearn_plugins.prune.budget import BudgetController, target_share
from incrlearn_plugins.prune.gates import WeightCounts, count_weights, gates_within, open_gates

DESCENT = (0.4, 0.9)


@cache
def small_resnet() -> tuple[ChannelMap, WeightCounts]:
    options = BackboneOptions(name="resnet18", stem="cifar", options={"layers": [1] * 4, "channels": [2, 3, 4, 6]})
    channels = map_channels(build_backbone(options, 3, seed=1), (3, 8, 8))
    return channels, count_weights(channels)


@st.composite
def logits(draw: st.DrawFn) -> Tensor:
    """As learned: within the clamp, and rounded now and then, so that some are equal."""
    seed, digits = draw(st.integers(0, 2**32)), draw(st.sampled_from([0, 1, 6]))
    shift = draw(st.sampled_from([-4.0, 0.0, 4.0]))
    draws = 3 * torch.randn(small_resnet()[0].gates, generator=torch.Generator().manual_seed(seed)) + shift
    return draws.round(decimals=digits).clamp(-6, 6)


# -- which gates stay


@given(logits())
def test_every_group_keeps_a_gate_and_otherwise_those_above_zero(values: Tensor) -> None:
    channels, _ = small_resnet()
    kept = open_gates(values, channels)
    for _, place in channels.slices():
        above = values[place] > 0
        if above.any():
            assert torch.equal(kept[place], above)
        else:
            assert kept[place].sum() == 1
            assert values[place][kept[place]] == values[place].max()


@settings(max_examples=60)
@given(logits(), st.floats(0.01, 0.99))
def test_the_largest_gates_that_fit_the_budget_are_kept(values: Tensor, keep: float) -> None:
    channels, counts = small_resnet()
    budget = keep * channels.parameters
    kept = gates_within(values, channels, counts, budget)
    firsts = torch.zeros_like(kept)
    for _, place in channels.slices():
        firsts[place.start + int(values[place].argmax())] = True
        assert kept[place].any()
    assert counts.left(kept.double()).item() <= budget or torch.equal(kept, firsts)
    # Among those that are not the last of their group none is kept that is smaller than a closed one.
    chosen, closed = values[kept & ~firsts], values[~kept]
    assert not len(chosen) or not len(closed) or chosen.min() >= closed.max()
    if len(closed):
        largest = closed.max()
        more = kept.clone()
        more[((values == largest) & ~kept).nonzero()[0]] = True
        assert counts.left(more.double()).item() > budget


def test_equal_gates_are_told_apart_to_use_up_the_budget() -> None:
    channels, counts = small_resnet()
    for keep in (0.3, 0.6):
        kept = gates_within(torch.full((channels.gates,), -6.0), channels, counts, keep * channels.parameters)
        assert 0.8 * keep < counts.left(kept.double()).item() / channels.parameters <= keep


def test_budget_below_one_channel_a_group_leaves_one_channel_a_group() -> None:
    channels, counts = small_resnet()
    values = torch.linspace(-1, 1, channels.gates)
    assert gates_within(values, channels, counts, parameters=1).sum() == len(channels.groups)


# -- what is aimed at


def test_target_falls_evenly_in_the_logarithm_within_the_descent() -> None:
    shares = [target_share(0.01, DESCENT, progress) for progress in (0.0, 0.4, 0.525, 0.65, 0.775, 0.9, 1.0)]
    assert shares == pytest.approx([1, 1, 0.01**0.25, 0.1, 0.01**0.75, 0.01, 0.01], rel=1e-12)


@given(st.floats(0.001, 0.999), st.floats(0, 0.98), st.floats(0.01, 1), st.lists(st.floats(0, 1), min_size=2))
def test_target_starts_at_one_never_rises_and_ends_at_the_budget(
    keep: float, begin: float, length: float, progress: list[float]
) -> None:
    descent = (begin, min(1.0, begin + length))
    shares = [target_share(keep, descent, p) for p in [0.0, *sorted(progress), 1.0]]
    assert shares == sorted(shares, reverse=True)
    assert (shares[0], shares[-1]) == (1, pytest.approx(keep))


# -- how it is followed


def controller(keep: float = 0.2) -> tuple[BudgetController, Tensor]:
    """On the CPU in float32, as in training, with logits that leave every gate open."""
    channels, counts = small_resnet()
    on_device = counts.to(torch.device("cpu"), torch.float32)
    return BudgetController(keep, DESCENT, on_device), torch.ones(channels.gates)


def weights(budget: BudgetController, values: Tensor, progress: list[float]) -> list[float]:
    seen = []
    for now in progress:
        budget.steer(values, now)
        seen.append(float(budget.weight))
    return seen


def few_open(values: Tensor, count: int = 1) -> Tensor:
    """Only so many gates of each group."""
    closed = -values
    for _, place in small_resnet()[0].slices():
        closed[place.start : place.start + count] = 1
    return closed


def test_weight_is_zero_before_the_descent_and_begins_it_at_one() -> None:
    budget, everything = controller()
    assert float(budget.weight) == 0
    assert weights(budget, everything, [0.0, 0.1, 0.3, 0.39, 0.4]) == [0, 0, 0, 0, 1]


@pytest.mark.parametrize("count", [1, 2])
def test_weight_is_zero_before_the_descent_whatever_has_closed(count: int) -> None:
    budget, everything = controller()
    assert weights(budget, few_open(everything, count), [0.0, 0.2, 0.399]) == [0, 0, 0]


def test_weight_rises_while_too_many_weights_are_open() -> None:
    budget, everything = controller()
    seen = weights(budget, everything, [0.4, 0.42, 0.44, 0.46, 0.48])
    assert all(before < after for before, after in pairwise(seen))
    assert seen[0] == 1


def test_weight_keeps_rising_while_the_target_stands_and_is_not_met() -> None:
    budget, everything = controller(keep=0.95)
    seen = weights(budget, everything, [0.9, 0.92, 0.94, 0.96, 0.98, 1.0])
    assert all(before < after for before, after in pairwise(seen))


def test_weight_falls_while_too_few_weights_are_open() -> None:
    budget, values = controller(keep=0.5)
    values[::4] = -1
    channels, counts = small_resnet()
    # The target at 0.43 is still above what is open.
    assert counts.left((values > 0).double()).item() < target_share(0.5, DESCENT, 0.43) * channels.parameters
    seen = weights(budget, values, [0.4, 0.41, 0.42, 0.43])
    assert all(before > after for before, after in pairwise(seen))
    assert seen[0] < 1


def test_what_closes_before_the_descent_is_not_made_up_for_later() -> None:
    budget, everything = controller()
    weights(budget, few_open(everything), [0.0, 0.1, 0.2, 0.3])
    budget.steer(everything, 0.4)
    assert float(budget.weight) == 1


@pytest.mark.parametrize("keep", [0.001, 0.5, 0.999])
@pytest.mark.parametrize("value", [6.0, -6.0])
def test_weight_stays_finite_with_every_gate_open_or_closed(keep: float, value: float) -> None:
    budget, everything = controller(keep)
    # The last batch of an epoch and the first of the next are at the same place.
    progress = [0.0, 0.2, 0.2, 0.4, 0.6, 0.6, 0.9, 1.0, 1.0]
    seen = torch.tensor(weights(budget, value * everything, progress))
    assert seen.isfinite().all()
    assert (seen[3:] > 0).all()


def test_weight_stays_finite_on_a_large_backbone_with_every_gate_closed() -> None:
    options = BackboneOptions(name="resnet18", stem="cifar")
    channels = map_channels(build_backbone(options, 3, seed=1), (3, 32, 32))
    # Eleven million weights: float32 rounds their sum.
    budget = BudgetController(0.1, DESCENT, count_weights(channels).to(torch.device("cpu"), torch.float32))
    seen = torch.tensor(weights(budget, -torch.ones(channels.gates), [0.1, 0.5, 0.7, 0.7]))
    assert seen.isfinite().all()


@settings(max_examples=60)
@given(st.lists(logits(), min_size=1, max_size=6), st.floats(0.01, 0.99))
def test_weight_follows_the_error_within_its_limits(walk: list[Tensor], keep: float) -> None:
    budget, _ = controller(keep)
    for number, values in enumerate(walk):
        budget.steer(values, number / len(walk))
        assert 0 <= float(budget.weight) < float("inf")
        assert (float(budget.weight) > 0) == (number / len(walk) >= DESCENT[0])
        assert budget.weight.shape == ()
        assert not budget.weight.requires_grad
