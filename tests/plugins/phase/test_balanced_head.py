"""The classifier stage: which samples, which phase."""

import pytest
import torch
from pydantic import ValidationError

from incrlearn import Phase, RunState, Samples, Task
from incrlearn_plugins.phase.balanced_head import BalancedHead


def state_of(known: int, seen: int) -> RunState:
    return RunState(1, torch.device("cpu"), Task(2, 2, known, seen), (3, 32, 32))


def test_first_task_has_no_classifier_stage() -> None:
    plugin = BalancedHead("balance", BalancedHead.Config())
    assert plugin.phases(state_of(0, 2)) is None


def test_phase_trains_the_head_alone_with_the_papers_settings() -> None:
    phase = BalancedHead("balance", BalancedHead.Config()).phases(state_of(2, 4))
    assert phase == Phase("balance", 30, 128, "head", frozenset({"classification"}), 5.0)


def test_paper_schedule_at_every_epoch() -> None:
    plugin = BalancedHead("balance", BalancedHead.Config())
    phase = plugin.phases(state_of(2, 4))
    assert phase is not None
    made = plugin.make_optimizer(phase, [{"params": [torch.nn.Parameter(torch.zeros(1))]}])
    assert made is not None
    optimizer, schedule = made
    rates = []
    for _ in range(30):
        rates.append(round(optimizer.param_groups[0]["lr"], 9))
        optimizer.step()
        schedule.step()
    assert rates == [0.1] * 15 + [0.01] * 15


def test_only_its_own_phase_is_balanced() -> None:
    plugin = BalancedHead("balance", BalancedHead.Config())
    new = Samples(torch.arange(10), torch.full((10,), 3))
    memory = Samples(torch.arange(100, 104), torch.tensor([0, 0, 1, 1]))
    assert plugin.select_data(state_of(3, 4), Phase("train", 1, 2), new, memory) is None
    subset = plugin.select_data(state_of(3, 4), Phase("balance", 1, 2), new, memory)
    assert subset is not None
    assert torch.bincount(subset.labels).tolist() == [2, 2, 0, 2]
    assert set(subset.indices.tolist()) >= {100, 101, 102, 103}


@pytest.mark.parametrize(
    ("options", "message"), [({"epochs": 10}, "never reached"), ({"milestones": (20, 5)}, "must rise")]
)
def test_milestone_that_is_never_reached_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        BalancedHead.Config.model_validate(options)
