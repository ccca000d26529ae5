"""Hooks that lay out a phase: which there are, what they train, on what, and with which optimizer."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from incrlearn import Batch, Phase, Plugin, Result, RunState, Samples, hookimpl


def test_phases_are_asked_for_once_a_task_and_run_in_the_order_of_the_recipe(heard: Any) -> None:
    assert [call.task for call in heard.of("phases")] == [1, 2, 3]
    # The balanced phase of the recipe gives None in the first task.
    started = [(call.task, call.phase) for call in heard.of("phase_start")]
    assert started == [(1, "train"), (2, "train"), (2, "balance"), (3, "train"), (3, "balance")]
    for task in (1, 2, 3):
        asked = heard.names("phases", "select_data", task=task)
        assert asked == ["phases"] + ["select_data"] * len([1 for number, _ in started if number == task])


def test_select_data_is_given_all_and_decides_what_is_trained_on(quick: Callable[..., Result]) -> None:
    given: list[tuple[int, set[int], set[int]]] = []
    seen: dict[int, list[int]] = {}

    class Selects(Plugin):
        """Takes six new images and no exemplar."""

        @hookimpl
        def select_data(self, state: RunState, phase: Phase, new: Samples, memory: Samples) -> Samples:
            assert phase.name == "train"
            assert (new, memory) == (state.new, state.memory)
            given.append((state.task.number, set(new.labels.tolist()), set(memory.labels.tolist())))
            return new.take(torch.arange(6))

        @hookimpl
        def loss_terms(self, state: RunState, batch: Batch) -> None:
            seen.setdefault(state.task.number, []).extend(batch.labels.tolist())

    quick(selects=Selects)
    assert given == [(1, {0, 1}, set()), (2, {2, 3}, {0, 1}), (3, {4, 5}, {0, 1, 2, 3})]
    # The first six images of a task are of its first class.
    assert seen == {1: [0] * 6, 2: [2] * 6, 3: [4] * 6}


def test_select_data_unanswered_is_all_new_samples_and_all_exemplars(heard: Any) -> None:
    for task, exemplars in ((1, 0), (2, 18), (3, 16)):
        (call,) = [one for one in heard.of("select_data", task=task) if one.given["phase"].name == "train"]
        assert (len(call.given["new"]), len(call.given["memory"])) == (40, exemplars)
        batches = heard.of("loss_terms", task=task, phase="train")
        assert sum(len(one.given["batch"]) for one in batches) == 3 * (40 + exemplars)


def network_weights(state: RunState) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in state.network.named_parameters()}


def test_param_groups_answer_is_what_is_trained(quick: Callable[..., Result]) -> None:
    before: dict[str, Tensor] = {}
    changed: list[set[str]] = []

    class OnlyTheHead(Plugin):
        """Gives the optimizer the head's weights alone."""

        @hookimpl
        def param_groups(self, state: RunState, phase: Phase) -> list[dict[str, Any]]:
            assert (state.phase, phase.name) == (phase, "train")
            return [{"params": [state.network.head.weight], "lr": 0.01}]

        @hookimpl
        def phase_start(self, state: RunState) -> None:
            before.update(network_weights(state))

        @hookimpl
        def phase_end(self, state: RunState) -> None:
            after = network_weights(state)
            changed.append({name for name, weight in after.items() if not torch.equal(weight, before[name])})

    result = quick(groups=OnlyTheHead)
    assert changed == [{"head.weight"}] * 3
    assert len(result.summary["tasks"]) == 3


def test_param_groups_are_asked_for_before_the_optimizer_that_gets_them(heard: Any) -> None:
    for start, groups, made in zip(
        *(heard.of(h) for h in ("select_data", "param_groups", "make_optimizer")), strict=True
    ):
        assert start.given["phase"] is groups.given["phase"] is made.given["phase"]
        calls = [heard.calls.index(call) for call in (start, groups, made)]
        assert calls == sorted(calls)


def test_make_optimizer_gets_the_groups_and_its_schedule_is_stepped_once_an_epoch(quick: Callable[..., Result]) -> None:
    rates: list[tuple[int, float]] = []
    groups_are_those: list[bool] = []

    class Own(Plugin):
        """An optimizer whose rate is a tenth after each epoch."""

        @hookimpl
        def make_optimizer(self, state: RunState, phase: Phase, groups: Any) -> tuple[Optimizer, LRScheduler]:
            trainable = [p for p in state.network.parameters() if p.requires_grad]
            groups_are_those.append([id(p) for p in groups[0]["params"]] == [id(p) for p in trainable])
            optimizer = SGD(groups, lr=0.5)
            return optimizer, LambdaLR(optimizer, lambda epoch: 0.1**epoch)

        @hookimpl
        def record(self, row: dict[str, Any]) -> None:
            if row["kind"] == "epoch":
                rates.append((row["task"], round(row["lr"], 6)))

    train = {"use": "sgd", "lr": 0.05, "batch": 40, "epochs": 3, "milestones": [], "warmup": 0}
    quick(own=Own, train=train)
    assert groups_are_those == [True] * 3
    assert rates == [(task, rate) for task in (1, 2, 3) for rate in (0.5, 0.05, 0.005)]


def test_phase_start_comes_once_a_phase_when_the_optimizer_is_made_and_before_its_first_epoch(heard: Any) -> None:
    for start in heard.of("phase_start"):
        around = heard.names("make_optimizer", "phase_start", "epoch_start", task=start.task)
        first = around.index("phase_start")
        assert around[first - 1 : first + 2] == ["make_optimizer", "phase_start", "epoch_start"]
        assert start.epoch == 0


def test_phase_start_may_change_weights_that_the_phase_trains_on(quick: Callable[..., Result]) -> None:
    found: list[float] = []

    class Zeroes(Plugin):
        """Sets the head to zero and looks at the first logits."""

        @hookimpl
        def phase_start(self, state: RunState) -> None:
            with torch.no_grad():
                state.network.head.weight.zero_()  # type: ignore[operator]
            self.is_first = True

        @hookimpl
        def loss_terms(self, out: Any) -> None:
            if self.is_first:
                found.append(float(out.logits.detach().abs().max()))
            self.is_first = False

    quick(zeroes=Zeroes)
    assert found == [0.0] * 3


def test_phase_end_comes_once_a_phase_after_its_last_row_with_the_phase_still_there(heard: Any) -> None:
    ends = heard.of("phase_end")
    assert [(c.task, c.phase) for c in ends] == [(c.task, c.phase) for c in heard.of("phase_start")]
    for end in ends:
        before = [call for call in heard.calls[: heard.calls.index(end)] if call.hook != "phase_end"]
        assert before[-1].hook == "record"
        assert before[-1].given["row"]["epoch"] == before[-1].given["row"]["epochs"]
    # What it finds is what is evaluated, or what the next phase starts from.
    for one, following in pairwise(c for c in heard.calls if c.hook in ("phase_start", "phase_end", "task_end")):
        if following.hook == "task_end":
            assert torch.equal(one.head, following.head)
