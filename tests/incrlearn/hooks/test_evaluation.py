"""Hooks that judge a task, and those that are told of it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from incrlearn import Output, Plugin, Result, RunState, hookimpl


def test_scores_are_asked_for_each_batch_of_test_images_without_a_gradient(heard: Any) -> None:
    for task in (1, 2, 3):
        calls = heard.of("scores", task=task)
        # Ten test images a class fit into one batch.
        assert [call.given["logits"].shape for call in calls] == [(20 * task, 2 * task)]
        assert [(call.training, call.given["logits"].requires_grad) for call in calls] == [(False, False)]


def test_scores_unanswered_are_the_logits(heard: Any) -> None:
    for scores, metrics in zip(heard.of("scores"), heard.of("metrics"), strict=True):
        assert torch.equal(scores.given["logits"], metrics.given["scores"])


class Prefers(Plugin):
    """Gives the last class that it knows to every image, and says how it is done."""

    @hookimpl
    def scores(self, out: Output) -> Tensor:
        count, classes = out.logits.shape
        return one_hot(torch.full((count,), classes - 1), classes).float()

    @hookimpl
    def metrics(self, state: RunState, scores: Tensor, labels: Tensor) -> dict[str, float]:
        return {
            "images": float(len(labels)),
            "largest_label": float(labels.max()),
            "hits": float((scores.argmax(dim=1) == labels).sum()),
            "known": float(state.task.known),
        }


@pytest.fixture(scope="module")
def preferred(quick: Callable[..., Result]) -> list[dict[str, Any]]:
    """The rows of the tasks of a run with this plug-in."""
    rows: list[dict[str, Any]] = quick(prefers=Prefers).summary["tasks"]
    return rows


def test_scores_answer_decides_the_accuracies(preferred: list[dict[str, Any]]) -> None:
    assert [row["accuracies"] for row in preferred] == [[50.0], [0.0, 50.0], [0.0, 0.0, 50.0]]


def test_metrics_see_scores_and_labels_of_all_test_images_and_stand_in_the_row(preferred: list[dict[str, Any]]) -> None:
    assert [row["images"] for row in preferred] == [20.0, 40.0, 60.0]
    assert [row["largest_label"] for row in preferred] == [1.0, 3.0, 5.0]
    assert [row["hits"] for row in preferred] == [10.0] * 3
    assert [row["known"] for row in preferred] == [0.0, 2.0, 4.0]


def test_metrics_are_asked_once_a_task_after_the_last_scores(heard: Any) -> None:
    for task in (1, 2, 3):
        assert heard.names("scores", "metrics", task=task) == ["scores", "metrics"]
        (call,) = heard.of("metrics", task=task)
        assert call.given["scores"].dtype == torch.float32
        assert call.given["labels"].bincount().tolist() == [10] * 2 * task


def test_record_is_told_each_epoch_each_task_and_the_result(heard: Any) -> None:
    rows = [call.given["row"] for call in heard.of("record")]
    places = [(row["kind"], row.get("task"), row.get("phase"), row.get("epoch")) for row in rows]
    wanted: list[tuple[Any, ...]] = []
    for task in (1, 2, 3):
        wanted += [("epoch", task, "train", epoch) for epoch in (1, 2, 3)]
        wanted += [("epoch", task, "balance", epoch) for epoch in (1, 2) if task > 1]
        wanted += [("task", task, None, None)]
    assert places == [*wanted, ("result", None, None, None)]
    assert heard.calls[-1].hook == "record"


def test_record_of_a_task_and_of_the_result_are_what_the_run_tells_at_its_end(heard: Any) -> None:
    rows = [call.given["row"] for call in heard.of("record")]
    assert [row for row in rows if row["kind"] == "task"] == heard.result.summary["tasks"]
    written = json.loads((heard.result.run_dir / "result.json").read_text())
    assert {key: value for key, value in rows[-1].items() if key != "kind"} == written
