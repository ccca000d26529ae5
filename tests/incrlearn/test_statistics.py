"""Spreads and paired differences against numpy and scipy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from incrlearn.statistics import Difference, Spread, paired_difference, spread

PERCENT = st.floats(0, 100)
PAIRS = st.dictionaries(st.integers(0, 50), st.tuples(PERCENT, PERCENT), min_size=2, max_size=8)


def test_nothing_has_no_mean_and_one_value_no_spread() -> None:
    assert spread([]) is None
    assert spread([62.5]) == Spread(1, 62.5, None)


def test_spread_is_that_of_a_sample() -> None:
    # mean 4, squares 9 + 1 + 16 = 26 over 2
    assert spread([1.0, 3.0, 8.0]) == Spread(3, 4.0, math.sqrt(13))


@given(st.lists(PERCENT, min_size=2, max_size=10))
def test_spread_agrees_with_numpy(values: list[float]) -> None:
    summary = spread(values)
    assert summary is not None
    assert summary.mean == pytest.approx(np.mean(values))
    assert summary.sd == pytest.approx(np.std(values, ddof=1), abs=1e-9)


@given(st.lists(st.just(0.1), min_size=2, max_size=10))
def test_equal_values_have_no_spread_at_all(values: list[float]) -> None:
    summary = spread(values)
    assert summary is not None
    assert summary.sd == 0


def test_difference_by_hand() -> None:
    # differences -1, -2, -3: mean -2, sd 1, and t(0.975, 2) = 4.302653
    difference = paired_difference({1: 9.0, 2: 18.0, 3: 27.0}, {1: 10.0, 2: 20.0, 3: 30.0})
    assert difference is not None
    assert difference.n == 3
    assert difference.mean == -2
    assert difference.low == pytest.approx(-2 - 4.302653 / math.sqrt(3))
    assert difference.high == pytest.approx(-2 + 4.302653 / math.sqrt(3))


@given(PAIRS, st.floats(0.5, 0.999))
def test_interval_is_that_of_a_paired_t_test(pairs: dict[int, tuple[float, float]], confidence: float) -> None:
    values, base = ({seed: pair[side] for seed, pair in pairs.items()} for side in (0, 1))
    difference = paired_difference(values, base, confidence)
    differences = [values[seed] - base[seed] for seed in pairs]
    assert difference is not None
    assert difference.mean == pytest.approx(np.mean(differences), abs=1e-9)
    if np.ptp(differences) < 1e-6:  # where scipy warns of lost digits, or has no interval
        assert difference.low == pytest.approx(difference.high, abs=0.01)
        return
    expected = stats.ttest_rel(list(values.values()), list(base.values())).confidence_interval(confidence)
    assert difference.low == pytest.approx(expected.low, abs=1e-6)
    assert difference.high == pytest.approx(expected.high, abs=1e-6)


@given(PAIRS, st.floats(-50, 50))
def test_a_constant_on_all_values_shifts_mean_and_interval_alone(
    pairs: dict[int, tuple[float, float]], constant: float
) -> None:
    values, base = ({seed: pair[side] for seed, pair in pairs.items()} for side in (0, 1))
    before = paired_difference(values, base)
    after = paired_difference({seed: value + constant for seed, value in values.items()}, base)
    assert before is not None
    assert after is not None
    assert after.n == before.n
    for end in ("mean", "low", "high"):
        assert getattr(after, end) == pytest.approx(getattr(before, end) + constant, abs=1e-6)


@given(PAIRS)
def test_identical_runs_differ_by_zero_without_warning(pairs: dict[int, tuple[float, float]]) -> None:
    values = {seed: pair[0] for seed, pair in pairs.items()}
    assert paired_difference(values, values) == Difference(len(values), 0, 0, 0)


def test_only_common_seeds_count() -> None:
    assert paired_difference({1: 50.0, 2: 60.0}, {2: 61.0, 3: 0.0}) == Difference(1, -1, None, None)


@pytest.mark.parametrize(("values", "base"), [({}, {}), ({1: 50.0}, {}), ({1: 50.0}, {2: 50.0})])
def test_without_a_common_seed_there_is_no_difference(values: dict[int, float], base: dict[int, float]) -> None:
    assert paired_difference(values, base) is None


def test_pairing_is_by_seed_and_not_by_order() -> None:
    assert paired_difference({2: 2.0, 1: 1.0}, {1: 1.0, 2: 2.0}) == Difference(2, 0, 0, 0)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0, math.nan])
def test_a_confidence_in_percent_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match=r"write 0\.95"):
        paired_difference({1: 1.0}, {1: 1.0}, confidence)
