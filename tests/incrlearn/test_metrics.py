"""Metrics against values worked by hand."""

import math

import pytest
import torch

from incrlearn.metrics import (
    accuracy_by_task,
    average,
    backward_transfer,
    forgetting,
    parameter_count,
    top_k_accuracy,
)
from incrlearn.network import BranchedNetwork, LinearHead
from incrlearn.types import Backbone, Task

# Three tasks, percent.            task 1  task 2  task 3
MATRIX = [[90.0], [70.0, 80.0], [60.0, 85.0, 75.0]]


def test_forgetting_is_best_earlier_minus_last() -> None:
    # task 1: max(90, 70) - 60 = 30; task 2: max(80) - 85 = -5; mean 12.5
    assert forgetting(MATRIX) == 12.5


def test_forgetting_counts_the_best_and_not_the_first() -> None:
    # task 1 rose to 95 before it fell: 95 - 60 = 35; task 2: 80 - 80 = 0
    assert forgetting([[90.0], [95.0, 80.0], [60.0, 80.0, 70.0]]) == 17.5


def test_backward_transfer_is_last_minus_first() -> None:
    # task 1: 60 - 90 = -30; task 2: 85 - 80 = 5; mean -12.5
    assert backward_transfer(MATRIX) == -12.5


def test_single_task_has_no_forgetting() -> None:
    assert forgetting([[50.0]]) is None
    assert backward_transfer([[50.0]]) is None


def test_average_counts_the_first_task() -> None:
    assert average([90.0, 75.0, 60.0]) == 75.0


SCORES = torch.tensor([[0.9, 0.0, 0.1], [0.2, 0.5, 0.3], [0.6, 0.1, 0.3], [0.1, 0.8, 0.1]])
LABELS = torch.tensor([0, 2, 2, 0])


@pytest.mark.parametrize(("k", "percent"), [(1, 25.0), (2, 75.0), (3, 100.0), (5, 100.0)])
def test_top_k_by_hand(k: int, percent: float) -> None:
    # The last row ties labels 0 and 2 behind 1: break the tie so that label 0 is third.
    scores = SCORES.clone()
    scores[3, 0] = 0.05
    assert top_k_accuracy(scores, LABELS, k) == percent


def test_no_samples_have_no_accuracy() -> None:
    assert math.isnan(top_k_accuracy(SCORES[:0], LABELS[:0], 1))


def test_accuracy_by_task_uses_the_actual_increments() -> None:
    tasks = [Task(1, 2, 0, 1), Task(2, 2, 1, 3)]
    # label 0 (task 1): rows 0 right, 3 wrong; labels 1 and 2 (task 2): rows 1 and 2 both wrong
    assert accuracy_by_task(SCORES, LABELS, tasks) == [50.0, 0.0]


def test_parameters_are_those_of_inference() -> None:
    backbone = Backbone(torch.nn.Linear(4, 3), width=3)
    network = BranchedNetwork([backbone])
    network.head = LinearHead(3, 5, bias=True, generator=torch.Generator())
    network.attach("auxiliary", torch.nn.Linear(3, 100))
    assert parameter_count(network) == (4 * 3 + 3) + (3 * 5 + 5)
