"""Options that the stages after the main phase share: rates epoch by epoch, penalties, milestones that are reached."""

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from incrlearn_plugins.phase.stage import StageOptions


def test_rate_falls_at_each_milestone_and_groups_keep_their_own_penalty() -> None:
    stage = StageOptions(epochs=5, lr=0.5, milestones=(1, 3), gamma=0.1)
    weight, bias = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    optimizer, scheduler = stage.make_sgd([{"params": [weight], "weight_decay": 0.0}, {"params": [bias]}], 0.25)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.0, 0.25]
    assert {group["momentum"] for group in optimizer.param_groups} == {0.9}
    rates = []
    for _ in range(stage.epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([0.5, 0.05, 0.05, 0.005, 0.005])


@pytest.mark.parametrize(
    ("milestones", "told"), [((2, 1), "milestones must rise"), ((5,), "never reached in 5 epochs")]
)
def test_milestones_that_cannot_be_are_refused(milestones: tuple[int, ...], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        StageOptions(epochs=5, lr=0.1, milestones=milestones)


def test_how_long_and_how_fast_is_for_each_stage_to_say() -> None:
    assert {name for name, field in StageOptions.model_fields.items() if field.is_required()} == {"epochs", "lr"}
