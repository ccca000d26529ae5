"""The learning rate at every epoch of the paper's schedules, from the optimizer itself."""

import pytest
import torch
from pydantic import ValidationError

from incrlearn import Phase, RunState, Task
from incrlearn.network import BranchedNetwork, LinearHead
from incrlearn.types import Backbone
from incrlearn_plugins.phase.sgd import FirstTask, Schedule, Sgd

PAPER = Sgd.Config()
B50 = Sgd.Config(first=FirstTask(epochs=200, milestones=(60, 120, 160), warmup=0))


def rates(config: Sgd.Config, task: int) -> list[float]:
    """The rate the optimizer has in each epoch, stepping the schedule as the loop does."""
    plugin = Sgd("train", config)
    state = RunState(1, torch.device("cpu"), Task(task, 3, 10 * (task - 1), 10 * task), (3, 32, 32))
    phase = plugin.phases(state)
    made = plugin.make_optimizer(state, phase, [{"params": [torch.nn.Parameter(torch.zeros(1))]}])
    assert made is not None
    optimizer, schedule = made
    seen = []
    for _ in range(phase.epochs):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen


def test_paper_b0_schedule_at_every_epoch() -> None:
    expected = [0.01 * (epoch + 1) for epoch in range(10)] + [0.1] * 100 + [0.01] * 20 + [0.001] * 40
    assert rates(PAPER, task=2) == pytest.approx(expected, rel=1e-9)
    assert rates(PAPER, task=1) == pytest.approx(expected, rel=1e-9)


def test_paper_b50_first_task_at_every_epoch() -> None:
    expected = [0.1] * 60 + [0.01] * 60 + [0.001] * 40 + [0.0001] * 40
    assert rates(B50, task=1) == pytest.approx(expected, rel=1e-9)
    assert len(rates(B50, task=2)) == 170


def test_cosine_falls_from_the_full_rate_to_nearly_nothing() -> None:
    seen = rates(Sgd.Config(shape="cosine", epochs=12, warmup=2, milestones=()), task=1)
    assert seen[:3] == pytest.approx([0.05, 0.1, 0.1])
    assert seen[7] == pytest.approx(0.05)  # half way: cos(pi/2) = 0
    assert seen[11] < 0.003
    assert seen[2:] == sorted(seen[2:], reverse=True)


def test_groups_keep_their_own_weight_decay() -> None:
    plugin = Sgd("train", PAPER)
    state = RunState(1, torch.device("cpu"), Task(1, 1, 0, 2), (3, 32, 32))
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "weight_decay": 0.0}]
    made = plugin.make_optimizer(state, plugin.phases(state), groups)
    assert made is not None
    assert made[0].param_groups[0]["weight_decay"] == 0.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 20}, "never reached"),
        ({"milestones": (130, 110)}, "must rise"),
        ({"warmup": 170}, "shorter than epochs"),
    ],
)
def test_schedule_that_makes_no_sense_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Sgd.Config.model_validate(options)


@pytest.mark.parametrize(("epoch", "fresh"), [(0, False), (9, False), (10, True), (11, False)])
def test_heads_are_drawn_anew_right_after_the_warm_up(epoch: int, fresh: bool) -> None:
    network = BranchedNetwork([Backbone(torch.nn.Identity(), 4)])
    network.head = LinearHead(4, 3, bias=False, generator=torch.Generator().manual_seed(0))
    before = network.head.weight.detach().clone()
    state = RunState(
        1,
        torch.device("cpu"),
        Task(2, 2, 1, 3),
        (3, 32, 32),
        phase=Phase("train", 170, 128),
        epoch=epoch,
        current=network,
    )
    Sgd("train", PAPER).epoch_start(state)
    assert torch.equal(network.head.weight, before) is not fresh


def test_other_phases_are_left_alone() -> None:
    plugin = Sgd("train", PAPER)
    network = BranchedNetwork([Backbone(torch.nn.Identity(), 4)])
    network.head = LinearHead(4, 3, bias=False, generator=torch.Generator().manual_seed(0))
    before = network.head.weight.detach().clone()
    state = RunState(
        1,
        torch.device("cpu"),
        Task(2, 2, 1, 3),
        (3, 32, 32),
        phase=Phase("balance", 30, 128),
        epoch=10,
        current=network,
    )
    plugin.epoch_start(state)
    assert torch.equal(network.head.weight, before)
    assert plugin.make_optimizer(state, Phase("balance", 30, 128), []) is None


def test_first_task_takes_what_it_leaves_out_from_the_others() -> None:
    config = Sgd.Config.model_validate(
        {"lr": 0.01, "fresh_heads": False, "shape": "cosine", "milestones": (), "first": {"epochs": 60, "warmup": 0}}
    )
    others = Schedule(lr=0.01, fresh_heads=False, shape="cosine", milestones=())
    assert config.schedule(task=2) == others
    assert config.schedule(task=1) == others.model_copy(update={"epochs": 60, "warmup": 0})


def test_all_that_does_not_fit_is_told_with_what_is_a_default() -> None:
    warmup = r"warmup \(10, the default\) must be shorter than epochs \(2\); 0 is none"
    with pytest.raises(
        ValidationError, match=rf"{warmup}; and milestones \[3\] are never reached in 2 epochs; [^(]* \[type"
    ):
        Sgd.Config.model_validate({"epochs": 2, "milestones": (3,)})
    with pytest.raises(ValidationError, match=r"warmup \(170\) must be shorter than epochs \(170, the default\)"):
        Sgd.Config.model_validate({"warmup": 170})
    with pytest.raises(ValidationError, match=r"milestones .* in 20 epochs; .* \(these are the default\)"):
        Sgd.Config.model_validate({"epochs": 20})
    first = {"epochs": 3, "warmup": 0, "milestones": (5,)}
    with pytest.raises(ValidationError, match=rf"{warmup}; and first: milestones \[5\] are never reached in 3 epochs"):
        Sgd.Config.model_validate({"epochs": 2, "milestones": (), "first": first})


def test_first_task_that_does_not_fit_is_told_with_its_name() -> None:
    with pytest.raises(ValidationError, match=r"first: .*milestones \[110, 130\] are never reached in 60 epochs"):
        Sgd.Config.model_validate({"first": {"epochs": 60}})
