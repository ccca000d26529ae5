"""The loss against a reference in plain Python, and against numbers worked by hand."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from incrlearn_er_ace import asymmetric_cross_entropy


def reference(logits: list[list[float]], labels: list[int], known: int, among: str) -> float:
    """The two means of the equation, image by image."""
    new, old = [], []
    for row, label in zip(logits, labels, strict=True):
        if label < known:
            rivals = list(range(len(row)))
        else:
            rivals = [k for k in range(known, len(row)) if among == "task" or k in labels]
        loss = math.log(sum(math.exp(row[k]) for k in rivals)) - row[label]
        (old if label < known else new).append(loss)
    return sum(sum(part) / len(part) for part in (new, old) if part)


@pytest.mark.parametrize("among", ["batch", "task"])
@pytest.mark.parametrize("known", [0, 2, 4])
def test_loss_is_the_reference(known: int, among: str) -> None:
    generator = torch.Generator().manual_seed(known)
    logits = torch.randn(9, 6, generator=generator, dtype=torch.float64)
    labels = torch.randint(5, (9,), generator=generator)  # class 5 is in no batch
    wanted = reference(logits.tolist(), labels.tolist(), known, among)
    assert math.isclose(float(asymmetric_cross_entropy(logits, labels, known, among)), wanted, rel_tol=1e-12)


def test_by_hand() -> None:
    logits = torch.tensor([[5.0, 0.0, math.log(3.0)], [0.0, 0.0, math.log(2.0)]], dtype=torch.float64)
    # The new image: 3/4 among classes 1 and 2, whatever class 0 says. The exemplar: 1/4 among all.
    wanted = -math.log(3 / 4) - math.log(1 / 4)
    assert math.isclose(float(asymmetric_cross_entropy(logits, torch.tensor([2, 0]), 1, "task")), wanted)


def test_new_images_leave_the_logits_of_old_classes_alone() -> None:
    logits = torch.randn(4, 5, generator=torch.Generator().manual_seed(1)).requires_grad_()
    asymmetric_cross_entropy(logits, torch.tensor([3, 4, 0, 3]), 2, "batch").backward()
    assert logits.grad is not None
    assert torch.equal(logits.grad[[0, 1, 3], :3], torch.zeros(3, 3))  # class 2 is new, but not in the batch
    assert logits.grad[2].abs().min() > 0


@pytest.mark.parametrize("labels", [[0, 1, 1], [2, 3, 2]])
def test_batch_of_one_kind_has_one_part(labels: list[int]) -> None:
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    loss = asymmetric_cross_entropy(logits, torch.tensor(labels), 2, "task")
    only_new = labels[0] >= 2
    wanted = (
        cross_entropy(logits[:, 2:], torch.tensor(labels) - 2)
        if only_new
        else cross_entropy(logits, torch.tensor(labels))
    )
    torch.testing.assert_close(loss, wanted)


def test_first_task_is_cross_entropy() -> None:
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(3))
    labels = torch.tensor([0, 2, 1, 1, 0])
    torch.testing.assert_close(asymmetric_cross_entropy(logits, labels, 0, "batch"), cross_entropy(logits, labels))
