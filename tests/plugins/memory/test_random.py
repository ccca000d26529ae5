"""Random exemplars: distinct, and each class with its own draw."""

import torch

from incrlearn import RunState, Task
from incrlearn_plugins.memory.random import Random

STATE = RunState(seed=1, device=torch.device("cpu"), task=Task(2, 3, 2, 4), image_shape=(3, 32, 32))


def ranked(label: int, count: int, quota: int, state: RunState = STATE) -> list[int]:
    return (
        Random("memory", Random.Config(per_class=quota))
        .rank_exemplars(state, label, torch.zeros(count, 3), quota)
        .tolist()
    )


def test_positions_are_distinct_and_a_smaller_quota_is_a_prefix() -> None:
    order = ranked(2, 50, 20)
    assert len(set(order)) == 20
    assert set(order) <= set(range(50))
    assert ranked(2, 50, 5) == order[:5]


def test_classes_and_seeds_draw_differently_and_repeatably() -> None:
    other_seed = RunState(seed=2, device=STATE.device, task=STATE.task, image_shape=(3, 32, 32))
    assert ranked(2, 50, 20) == ranked(2, 50, 20)
    assert ranked(2, 50, 20) != ranked(3, 50, 20)
    assert ranked(2, 50, 20) != ranked(2, 50, 20, other_seed)


def test_every_sample_is_as_likely() -> None:
    draws = [ranked(label, 4, 1)[0] for label in range(2000)]
    counts = torch.bincount(torch.tensor(draws), minlength=4)
    # Expected 500 each with standard deviation sqrt(2000 * 1/4 * 3/4) = 19.4: five of them.
    assert bool(((counts - 500).abs() < 97).all())
