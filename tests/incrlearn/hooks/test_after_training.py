"""Hooks between the training of a task and its evaluation: what is kept of it."""

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from incrlearn import Plugin, Result, RunState, Samples, Task, hookimpl


def test_memory_quota_is_asked_before_the_run_and_about_the_task_before_and_after_each(heard: Any) -> None:
    first = heard.calls.index(heard.of("hold_out")[0])
    before_the_run = [call.task for call in heard.of("memory_quota") if heard.calls.index(call) < first - 1]
    assert before_the_run == [1, 2, 3]
    # Then for hold_out, about the task before (in the first, about itself), and after each task's training.
    assert [call.task for call in heard.of("memory_quota")][3:] == [1, 1, 1, 2, 2, 3]
    for call in heard.of("memory_quota"):
        assert call.given["arrived"] == (20,) * 2 * call.task
        assert call.given["seed"] == 1


class Keeps(Plugin):
    """A memory with numbers of its own, the last images of each class first."""

    kind = "memory"
    provides = frozenset({"exemplars"})
    numbers: ClassVar[dict[int, tuple[int, ...]]] = {1: (6, 5), 2: (5, 5, 3, 2), 3: (4, 5, 2, 2, 1, 7)}
    asked: ClassVar[list[tuple[int, int, int]]] = []
    kept: ClassVar[dict[int, list[list[int]]]] = {}
    trained: ClassVar[dict[int, list[list[int]]]] = {}

    @hookimpl
    def memory_quota(self, task: Task) -> tuple[int, ...]:
        return self.numbers[task.number]

    @hookimpl
    def rank_exemplars(self, state: RunState, label: int, features: Tensor, quota: int) -> Tensor:
        self.asked.append((state.task.number, label, quota))
        return torch.arange(len(features)).flip(0)[:quota]

    @hookimpl
    def prepare(self, state: RunState) -> None:
        self.trained[state.task.number] = by_class(state.memory, state.task.known)

    @hookimpl
    def task_end(self, state: RunState) -> None:
        self.kept[state.task.number] = by_class(state.memory, state.task.seen)


def by_class(samples: Samples, classes: int) -> list[list[int]]:
    """Positions of the images of each class, in their order."""
    return [samples.of_class(label).indices.tolist() for label in range(classes)]


@pytest.fixture(scope="module")
def keeping(quick: Callable[..., Result]) -> Result:
    """A run with that memory."""
    return quick(memory=Keeps)


def test_memory_quota_answer_is_how_many_are_kept_of_each_class(keeping: Result) -> None:
    counts = {task: tuple(map(len, kept)) for task, kept in Keeps.kept.items()}
    assert counts == Keeps.numbers
    assert [row["exemplars"] for row in keeping.summary["tasks"]] == [11, 15, 21]


def test_rank_exemplars_answer_is_kept_in_its_order_and_later_tasks_keep_a_prefix(keeping: Result) -> None:
    assert len(keeping.summary["tasks"]) == 3
    assert Keeps.asked == [(1, 0, 6), (1, 1, 5), (2, 2, 3), (2, 3, 2), (3, 4, 1), (3, 5, 7)]
    # Class k has the images 20 k to 20 k + 19; the last are the best.
    for task, kept in Keeps.kept.items():
        for label, images in enumerate(kept):
            assert images == [20 * label + 19 - place for place in range(Keeps.numbers[task][label])]
    assert Keeps.trained == {1: [], 2: Keeps.kept[1], 3: Keeps.kept[2]}


def test_rank_exemplars_is_asked_once_for_each_new_class_with_its_features(heard: Any) -> None:
    assert [(call.task, call.given["label"]) for call in heard.of("rank_exemplars")] == [
        (task, label) for task in (1, 2, 3) for label in (2 * task - 2, 2 * task - 1)
    ]
    for call in heard.of("rank_exemplars"):
        features = call.given["features"]
        assert features.shape == (20, 8 * call.task)
        assert (features.dtype, features.device.type, features.requires_grad) == (torch.float32, "cpu", False)
        assert call.given["quota"] == 18 // (2 * call.task)
        assert not call.training
        ends = heard.of("phase_end", task=call.task)
        assert heard.calls.index(ends[-1]) < heard.calls.index(call)


def test_task_end_comes_when_the_exemplars_are_chosen_and_before_attachments_are_dropped(heard: Any) -> None:
    for task in (1, 2, 3):
        (end,) = heard.of("task_end", task=task)
        order = heard.names("phase_end", "rank_exemplars", "task_end", "scores", task=task)
        assert order[-4:] == ["rank_exemplars", "rank_exemplars", "task_end", "scores"]
        assert sorted(set(end.given["memory"].labels.tolist())) == list(range(2 * task))
        # The auxiliary head is there from the second task on, and gone when the task is evaluated.
        assert bool(end.attached) == (task > 1)
        assert heard.of("scores", task=task)[0].attached == ()
        # Its passes measure the network that is evaluated.
        assert end.given["accuracy"] == pytest.approx(heard.result.summary["tasks"][task - 1]["top1"])


def test_task_end_may_change_the_weights_that_are_evaluated(quick: Callable[..., Result]) -> None:
    class Blanks(Plugin):
        """Lets the first class have all the features, which are not negative."""

        @hookimpl
        def task_end(self, state: RunState) -> None:
            weight = state.network.head.weight
            assert isinstance(weight, Tensor)
            with torch.no_grad():
                weight.zero_()
                weight[0] = 1.0

    result = quick(blanks=Blanks)
    assert [row["accuracies"][0] for row in result.summary["tasks"]] == [50.0] * 3
    assert [row["top1"] for row in result.summary["tasks"]] == pytest.approx([50.0, 25.0, 100 / 6])
