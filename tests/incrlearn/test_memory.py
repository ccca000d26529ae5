"""The exemplar memory and its quotas."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from incrlearn.memory import ClassExemplars, ExemplarMemory, QuotaMemory, exemplars_per_class, held_out_part


@pytest.mark.parametrize(("seen", "quota"), [(10, 200), (30, 66), (100, 20)])
def test_fixed_total_is_shared_by_the_classes_seen(seen: int, quota: int) -> None:
    assert exemplars_per_class(total=2000, per_class=None, seen=seen) == quota


def test_per_class_quota_does_not_shrink() -> None:
    assert exemplars_per_class(total=None, per_class=20, seen=100) == 20


@pytest.mark.parametrize("options", [{}, {"total": 10, "per_class": 2}])
def test_exactly_one_quota_is_asked_for(options: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match="exactly one of total, per_class"):
        QuotaMemory.Config(**options)


def kept(training: list[int], held_out: list[int] | None = None, share: float = 0.0) -> ClassExemplars:
    return ClassExemplars(torch.tensor(training), torch.tensor(held_out or [], dtype=torch.int64), share)


def test_truncation_keeps_the_best_of_each_class() -> None:
    memory = ExemplarMemory()
    memory.put(1, kept([9, 4, 7]))
    memory.put(0, kept([3, 1]))
    memory.truncate([2, 2])
    samples = memory.samples()
    assert samples.indices.tolist() == [3, 1, 9, 4]
    assert samples.labels.tolist() == [0, 0, 1, 1]
    assert len(memory) == 4
    assert len(memory.held_out()) == 0


def test_truncation_keeps_the_best_of_either_part_in_their_share() -> None:
    memory = ExemplarMemory()
    memory.put(1, kept([9, 4, 7, 8], [6, 5], 1 / 3))
    memory.put(0, kept([3, 1]))
    memory.truncate([3, 3])
    assert memory.samples().indices.tolist() == [3, 1, 9, 4]
    assert memory.held_out().indices.tolist() == [6]
    assert memory.held_out().labels.tolist() == [1]
    assert len(memory) == 5
    memory.truncate([1, 1])
    assert memory.samples().indices.tolist() == [3, 9]
    assert len(memory.held_out()) == 0


def test_each_class_is_cut_to_its_own_number() -> None:
    memory = ExemplarMemory()
    memory.put(0, kept([3, 1, 8], [2], 0.25))
    memory.put(1, kept([9, 4, 7]))
    memory.truncate((2, 3))
    assert memory.samples().indices.tolist() == [3, 9, 4, 7]
    assert memory.held_out().indices.tolist() == [2]
    memory.truncate((0, 1))
    assert memory.samples().indices.tolist() == [9]
    assert len(memory) == 1


def test_empty_memory_gives_no_samples() -> None:
    assert len(ExemplarMemory().samples()) == len(ExemplarMemory().held_out()) == 0


def test_state_comes_back_with_the_share_that_a_later_truncation_needs() -> None:
    memory, copy = ExemplarMemory(), ExemplarMemory()
    memory.put(3, kept([5, 2]))
    memory.put(11, kept([8, 1, 4, 7], [6, 0], 1 / 3))
    copy.load_state_dict(memory.state_dict())
    for quota in (6, 3, 2):
        memory.truncate([quota] * 12)
        copy.truncate([quota] * 12)
        assert torch.equal(copy.samples().indices, memory.samples().indices)
        assert torch.equal(copy.samples().labels, memory.samples().labels)
        assert torch.equal(copy.held_out().indices, memory.held_out().indices)
    assert len(copy.held_out()) == 1


def test_state_of_a_version_that_held_nothing_out_is_read() -> None:
    memory = ExemplarMemory()
    memory.load_state_dict({"3": torch.tensor([5, 2]), "11": torch.tensor([8])})
    assert memory.samples().labels.tolist() == [3, 3, 11]
    assert memory.state_dict().keys() == {"3", "11"}


@pytest.mark.parametrize(
    ("quota", "share", "part"),
    [(200, 0.1, 20), (66, 0.1, 7), (22, 0.1, 2), (4, 0.1, 1), (2, 0.1, 1), (1, 0.1, 0), (0, 0.1, 0), (2, 0.9, 1)],
)
def test_held_out_part_by_hand(quota: int, share: float, part: int) -> None:
    assert held_out_part(quota, share) == part


@given(quota=st.integers(0, 500), share=st.floats(0, 0.99))
def test_either_part_shrinks_with_the_quota_and_training_always_has_some(quota: int, share: float) -> None:
    part, larger = held_out_part(quota, share), held_out_part(quota + 1, share)
    assert part <= larger
    assert quota - part <= quota + 1 - larger
    assert quota == 0 or quota - part >= 1
    assert (part > 0) == (share > 0 and quota >= 2)


def test_what_is_not_held_out_trains() -> None:
    few = ClassExemplars(torch.arange(98), torch.arange(98, 100), share=0.1)
    kept = few.shrunk(90)  # a tenth would be 9
    assert (len(kept.training), len(kept.held_out)) == (88, 2)
