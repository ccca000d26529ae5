"""The exemplar memory and its quotas."""

import pytest
import torch
from pydantic import ValidationError

from incrlearn.memory import ExemplarMemory, QuotaMemory, exemplars_per_class


@pytest.mark.parametrize(("seen", "quota"), [(10, 200), (30, 66), (100, 20)])
def test_fixed_total_is_shared_by_the_classes_seen(seen: int, quota: int) -> None:
    assert exemplars_per_class(total=2000, per_class=None, seen=seen) == quota


def test_per_class_quota_does_not_shrink() -> None:
    assert exemplars_per_class(total=None, per_class=20, seen=100) == 20


@pytest.mark.parametrize("options", [{}, {"total": 10, "per_class": 2}])
def test_exactly_one_quota_is_asked_for(options: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match="exactly one of total, per_class"):
        QuotaMemory.Config(**options)


def test_truncation_keeps_the_best_of_each_class() -> None:
    memory = ExemplarMemory()
    memory.put(1, torch.tensor([9, 4, 7]))
    memory.put(0, torch.tensor([3, 1]))
    memory.truncate(2)
    samples = memory.samples()
    assert samples.indices.tolist() == [3, 1, 9, 4]
    assert samples.labels.tolist() == [0, 0, 1, 1]
    assert len(memory) == 4


def test_empty_memory_gives_no_samples() -> None:
    assert len(ExemplarMemory().samples()) == 0


def test_state_comes_back() -> None:
    memory, copy = ExemplarMemory(), ExemplarMemory()
    memory.put(3, torch.tensor([5, 2]))
    memory.put(11, torch.tensor([8]))
    copy.load_state_dict(memory.state_dict())
    assert torch.equal(copy.samples().indices, memory.samples().indices)
    assert copy.samples().labels.tolist() == [3, 3, 11]
