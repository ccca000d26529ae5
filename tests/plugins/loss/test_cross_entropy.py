"""Cross-entropy against float64, over all classes and over the new ones alone."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from incrlearn import Batch, LossTerm, Output, RunState, Task
from incrlearn_plugins.loss.cross_entropy import CrossEntropy, new_classes_loss


def term_of(logits: Tensor, labels: Tensor, known: int, **options: Any) -> LossTerm:
    plugin = CrossEntropy("loss", CrossEntropy.Config(**options))
    state = RunState(1, torch.device("cpu"), Task(2, 3, known, logits.shape[1]), (3, 32, 32))
    batch, out = Batch(torch.zeros(len(labels), 1, 1, 1), labels), Output((logits,), logits, logits)
    (term,) = plugin.loss_terms(state, batch, out)
    return term


def reference(rows: NDArray[np.float64], labels: list[int]) -> float:
    return float(np.mean([np.log(np.exp(row).sum()) - row[label] for row, label in zip(rows, labels, strict=True)]))


LOGITS = torch.randn(6, 4, generator=torch.Generator().manual_seed(2))
LABELS = torch.tensor([0, 3, 2, 1, 1, 3])


@pytest.mark.parametrize("known", [0, 2])
def test_over_all_equals_float64_reference(known: int) -> None:
    term = term_of(LOGITS, LABELS, known)
    np.testing.assert_allclose(term.value.item(), reference(LOGITS.double().numpy(), LABELS.tolist()), rtol=1e-6)
    assert (term.name, term.weight) == ("loss", 1.0)


def test_over_new_equals_float64_reference_on_the_images_of_new_classes() -> None:
    # The images of new classes are 1, 2 and 5; the classes 2 and 3 are the softmax's 0 and 1.
    rows = LOGITS.double().numpy()[[1, 2, 5]][:, 2:]
    value = term_of(LOGITS, LABELS, 2, over="new").value
    np.testing.assert_allclose(value.item(), reference(rows, [1, 0, 1]), rtol=1e-6)


def test_over_new_by_hand() -> None:
    # Two new classes, odds 3 to 1 for the right one; the old class would have been by far the largest.
    logits = torch.tensor([[50.0, np.log(3.0), 0.0]])
    assert new_classes_loss(logits, torch.tensor([1]), known=1).item() == pytest.approx(np.log(4 / 3))


def test_over_new_is_over_all_in_the_first_task() -> None:
    assert torch.equal(term_of(LOGITS, LABELS, 0, over="new").value, term_of(LOGITS, LABELS, 0).value)


def test_over_new_is_zero_for_one_new_class_and_for_a_batch_without_new_classes() -> None:
    assert new_classes_loss(LOGITS, torch.full((6,), 3), known=3).item() == 0
    logits = LOGITS.clone().requires_grad_()
    value = new_classes_loss(logits, torch.zeros(6, dtype=torch.int64), known=2)
    value.backward()
    assert value.item() == 0
    assert torch.equal(logits.grad, torch.zeros(6, 4))


@given(known=st.integers(1, 4), labels=st.lists(st.integers(0, 4), min_size=1, max_size=8), seed=st.integers(0, 999))
def test_over_new_gives_old_classes_and_their_images_no_gradient(known: int, labels: list[int], seed: int) -> None:
    logits = torch.randn(len(labels), 5, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    new_classes_loss(logits, torch.tensor(labels), known).backward()
    assert logits.grad is not None
    assert logits.grad[:, :known].count_nonzero() == 0
    assert logits.grad[torch.tensor(labels) < known].count_nonzero() == 0


def test_weight_is_a_number_or_the_share_of_new_classes() -> None:
    assert term_of(LOGITS, LABELS, 3, weight=0.5).weight == 0.5
    assert term_of(LOGITS, LABELS, 3, weight="new_share").weight == pytest.approx(0.25)
    assert term_of(LOGITS, LABELS, 0, weight="new_share").weight == 1.0


@pytest.mark.parametrize("options", [{"weight": -0.1}, {"weight": "old_share"}, {"over": "old"}])
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CrossEntropy.Config(**options)


def test_a_head_drawn_anew_is_refused_where_old_classes_are_not_taught() -> None:
    assert CrossEntropy.Config().refuses() == {}
    assert "drawn anew" in CrossEntropy.Config(over="new").refuses()["retrained_head"]
