"""Weights that follow from the share of old classes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incrlearn import Task
from incrlearn_plugins.loss.shares import new_share, old_share


def test_shares_by_hand() -> None:
    # B50 with tasks of 5: 50 of 55 classes are old in the second task.
    assert old_share(Task(2, 11, 50, 55)) == pytest.approx(10 / 11)
    assert new_share(Task(2, 11, 50, 55)) == pytest.approx(1 / 11)


def test_all_is_new_in_the_first_task() -> None:
    assert (old_share(Task(1, 3, 0, 7)), new_share(Task(1, 3, 0, 7))) == (0.0, 1.0)


@given(known=st.integers(0, 1000), new=st.integers(1, 1000))
def test_shares_add_up_to_one(known: int, new: int) -> None:
    task = Task(2, 3, known, known + new)
    assert old_share(task) + new_share(task) == pytest.approx(1)
    assert 0 <= old_share(task) < 1
