"""Class-balanced subsets."""

import torch

from incrlearn_plugins.phase.subset import balanced_positions

LABELS = torch.tensor([2] * 30 + [3] * 25 + [0] * 4 + [1] * 4)


def positions(seed: int) -> torch.Tensor:
    return balanced_positions(LABELS, torch.Generator().manual_seed(seed))


def test_each_class_has_as_many_as_the_smallest() -> None:
    chosen = positions(0)
    assert torch.bincount(LABELS[chosen]).tolist() == [4, 4, 4, 4]
    assert len(set(chosen.tolist())) == 16


def test_larger_classes_are_drawn_at_random() -> None:
    assert positions(0).tolist() == positions(0).tolist()
    assert positions(0).tolist() != positions(1).tolist()
