"""Hooks of an epoch and of the steps in it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from incrlearn import LossTerm, Plugin, Result, RunState, hookimpl

STEP = ["batch_start", "loss_terms", "after_backward", "after_step"]
EPOCHS = {"train": 3, "balance": 2}


def runs(heard: Any) -> list[tuple[int, str]]:
    """Tasks and phases, in order."""
    return [(call.task, call.phase) for call in heard.of("phase_start")]


def test_epoch_start_comes_once_an_epoch_in_the_mode_of_its_phase(heard: Any) -> None:
    for task, phase in runs(heard):
        calls = heard.of("epoch_start", task=task, phase=phase)
        assert [call.epoch for call in calls] == list(range(EPOCHS[phase]))
        # The balanced phase trains the head alone: everything else is in eval mode.
        assert [call.training for call in calls] == [phase == "train"] * EPOCHS[phase]


def test_batch_start_begins_every_step(heard: Any) -> None:
    for task, phase in runs(heard):
        hooks = heard.names("epoch_start", *STEP, "epoch_end", task=task, phase=phase)
        steps = len(heard.of("batch_start", task=task, phase=phase)) // EPOCHS[phase]
        # The balanced phase takes the classification loss alone, and the plug-in that listens provides none.
        step = [hook for hook in STEP if phase == "train" or hook != "loss_terms"]
        assert hooks == (["epoch_start"] + step * steps + ["epoch_end"]) * EPOCHS[phase]
    # 40 images in batches of 16 at most.
    assert [call.given["position"] for call in heard.of("batch_start", task=1)[:3]] == [0.0, 0.5, 1.0]


def test_loss_terms_are_given_the_batch_and_what_the_network_says_of_it(heard: Any) -> None:
    for call in heard.of("loss_terms", task=2):
        batch, out = call.given["batch"], call.given["out"]
        assert batch.images.shape == (len(batch), 1, 8, 8)
        assert out.logits.shape == (len(batch), 4)
        assert [part.shape for part in out.parts] == [(len(batch), 8)] * 2
        assert torch.equal(out.features, torch.cat(out.parts, dim=1))
        if call.phase == "train":
            # Steps follow the loss: the head is trained, and old extractors are not.
            assert out.logits.requires_grad
            assert [part.requires_grad for part in out.parts] == [False, True]


def test_loss_terms_are_asked_of_those_alone_who_take_part_in_the_phase(heard: Any) -> None:
    assert {call.phase for call in heard.of("loss_terms")} == {"train"}
    assert {call.phase for call in heard.of("batch_start")} == {"train", "balance"}


def test_loss_terms_are_summed_by_their_weights(quick: Callable[..., Result]) -> None:
    rows: list[dict[str, Any]] = []

    class Pulls(Plugin):
        """Pulls every logit to one, twenty times as hard as its name says."""

        kind = "loss"

        @hookimpl
        def loss_terms(self, out: Any) -> list[LossTerm]:
            return [
                LossTerm("pull", (out.logits - 1).square().mean(), 20.0),
                LossTerm("nothing", out.logits.sum(), 0.0),
            ]

        @hookimpl
        def record(self, row: dict[str, Any]) -> None:
            if row["kind"] == "epoch":
                rows.append(row)

    quick(pulls=Pulls)
    for row in rows:
        assert set(row["terms"]) == {"loss", "pull", "nothing"}
        assert row["loss"] == pytest.approx(row["terms"]["loss"] + 20 * row["terms"]["pull"], rel=1e-5)


def test_loss_terms_decide_the_gradient(quick: Callable[..., Result]) -> None:
    gradients: list[torch.Tensor] = []

    class Total(Plugin):
        """A loss of which the gradient is known: twice the bias, whatever the images are."""

        kind = "loss"
        provides = frozenset({"classification"})

        @hookimpl
        def loss_terms(self, state: RunState) -> list[LossTerm]:
            return [LossTerm("bias", state.network.head.bias.sum(), 2.0)]  # type: ignore[operator,union-attr]

        @hookimpl
        def after_backward(self, state: RunState) -> None:
            gradient = state.network.head.bias.grad
            assert isinstance(gradient, torch.Tensor)
            gradients.append(gradient.clone())

    quick(loss=Total, head={"use": "linear", "bias": True})
    assert {tuple(gradient.tolist()) for gradient in gradients} == {(2.0,) * 2, (2.0,) * 4, (2.0,) * 6}


def test_after_backward_finds_gradients_and_the_weights_before_the_step(heard: Any) -> None:
    for task, phase in runs(heard):
        began = heard.of("batch_start", task=task, phase=phase)
        for before, after in zip(began, heard.of("after_backward", task=task, phase=phase), strict=True):
            assert after.gradient
            assert torch.equal(before.head, after.head)


def test_after_backward_may_change_the_gradients(quick: Callable[..., Result]) -> None:
    heads: list[torch.Tensor] = []

    class Stops(Plugin):
        """Takes all gradients away."""

        @hookimpl
        def after_backward(self, state: RunState) -> None:
            for parameter in state.network.parameters():
                parameter.grad = None

        @hookimpl
        def phase_start(self, state: RunState) -> None:
            heads.append(state.network.head.weight.detach().clone())  # type: ignore[operator,union-attr]

        @hookimpl
        def phase_end(self, state: RunState) -> None:
            heads.append(state.network.head.weight.detach().clone())  # type: ignore[operator,union-attr]

    quick(stops=Stops)
    assert len(heads) == 6
    assert all(torch.equal(before, after) for before, after in zip(heads[::2], heads[1::2], strict=True))


def test_after_step_finds_the_weights_after_the_step(heard: Any) -> None:
    for task, phase in runs(heard):
        before = heard.of("after_backward", task=task, phase=phase)
        after = heard.of("after_step", task=task, phase=phase)
        changed = [not torch.equal(one.head, two.head) for one, two in zip(before, after, strict=True)]
        # Warm-up begins at a rate of zero.
        assert changed[-1]
        # The next step of the epoch finds them; between epochs a head may be drawn anew.
        following = heard.of("batch_start", task=task, phase=phase)[1:]
        pairs = [(one, two) for one, two in zip(after, following, strict=False) if one.epoch == two.epoch]
        assert pairs
        assert all(torch.equal(one.head, two.head) for one, two in pairs)


def test_after_step_may_change_weights(quick: Callable[..., Result]) -> None:
    found: list[float] = []

    class Pins(Plugin):
        """Keeps the first class's weights at 0.25."""

        @hookimpl
        def after_step(self, state: RunState) -> None:
            with torch.no_grad():
                state.network.head.weight[0] = 0.25  # type: ignore[index,operator]

        @hookimpl
        def scores(self, state: RunState) -> None:
            weight = state.network.head.weight
            assert isinstance(weight, torch.Tensor)
            found.extend(weight[0].tolist())

    quick(pins=Pins)
    assert set(found) == {0.25}


def test_epoch_end_comes_once_an_epoch_after_its_last_step(heard: Any) -> None:
    for task, phase in runs(heard):
        ends = heard.of("epoch_end", task=task, phase=phase)
        assert [call.epoch for call in ends] == list(range(EPOCHS[phase]))
        for end in ends:
            assert heard.calls[heard.calls.index(end) - 1].hook == "after_step"


def test_prune_comes_between_the_end_of_an_epoch_and_its_row_where_the_network_trains(heard: Any) -> None:
    assert {call.phase for call in heard.of("prune")} == {"train"}
    for task in (1, 2, 3):
        order = heard.names("epoch_end", "prune", "record", task=task, phase="train")
        assert order == ["epoch_end", "prune", "record"] * EPOCHS["train"]
        assert [call.epoch for call in heard.of("prune", task=task)] == [0, 1, 2]


def test_prune_answer_is_in_the_row_and_a_change_of_weights_stays(quick: Callable[..., Result]) -> None:
    found: list[float] = []

    class Cuts(Plugin):
        """Sets the first class's weights to zero after each epoch and says so."""

        @hookimpl
        def prune(self, state: RunState) -> dict[str, Any]:
            with torch.no_grad():
                state.network.head.weight[0] = 0.0  # type: ignore[index,operator]
            return {"removed": state.task.number}

        @hookimpl
        def task_end(self, state: RunState) -> None:
            weight = state.network.head.weight
            assert isinstance(weight, torch.Tensor)
            found.extend(weight[0].tolist())

    result = quick(cuts=Cuts)
    assert [row["pruned"] for row in result.summary["tasks"]] == [[{"removed": task}] for task in (1, 2, 3)]
    assert set(found) == {0.0}
