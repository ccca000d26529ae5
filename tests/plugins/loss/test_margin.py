"""UCIR's margin ranking loss against float64, its edges, and where it looks for cosines."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from incrlearn import Batch, LossTerm, Output, PluginError, RunState, Task
from incrlearn.network import BranchedNetwork
from incrlearn_plugins.head.cosine import CosineHead
from incrlearn_plugins.loss.margin import Margin, margin_ranking_loss


def draw_cosines(images: int, classes: int, seed: int) -> Tensor:
    return 2 * torch.rand(images, classes, generator=torch.Generator().manual_seed(seed)) - 1


def reference(cosines: Tensor, labels: Tensor, known: int, nearest: int, margin: float) -> float:
    """1/|N_o| sum over old images of sum_k max(m - own + k-th of the new, 0), from sorted lists."""
    each = []
    for row, label in zip(cosines.double().tolist(), labels.tolist(), strict=True):
        if label < known:
            hardest = sorted(row[known:], reverse=True)[:nearest]
            each.append(sum(max(margin - row[label] + other, 0) for other in hardest))
    return sum(each) / len(each) if each else 0.0


@given(
    known=st.integers(1, 4),
    new=st.integers(1, 4),
    nearest=st.integers(1, 5),
    margin=st.floats(0.1, 2),
    seed=st.integers(0, 999),
)
def test_equals_float64_reference(known: int, new: int, nearest: int, margin: float, seed: int) -> None:
    cosines = draw_cosines(6, known + new, seed)
    labels = torch.randint(known + new, (6,), generator=torch.Generator().manual_seed(seed))
    found = margin_ranking_loss(cosines, labels, known, nearest, margin).item()
    np.testing.assert_allclose(found, reference(cosines, labels, known, nearest, margin), atol=1e-5)


def test_by_hand() -> None:
    # Two old classes, three new ones. First image: own 0.9, nearest new 0.6 and 0.1: 0.5 - 0.9 + 0.6 = 0.2, and
    # 0.5 - 0.9 + 0.1 < 0. Second: own 0.0, nearest 0.2 and 0.2: 0.7 twice. The third is of a new class.
    cosines = torch.tensor([[0.9, 0.0, 0.6, 0.1, -1.0], [0.8, 0.0, 0.2, -0.5, 0.2], [0.0, 0.0, 0.1, 0.9, 0.9]])
    labels = torch.tensor([0, 1, 3])
    assert margin_ranking_loss(cosines, labels, 2, 2, 0.5).item() == pytest.approx((0.2 + 1.4) / 2)


def test_only_one_new_class_is_held_against_alone() -> None:
    cosines, labels = draw_cosines(5, 4, seed=1), torch.tensor([0, 1, 2, 3, 0])
    assert torch.equal(margin_ranking_loss(cosines, labels, 3, 2, 0.5), margin_ranking_loss(cosines, labels, 3, 1, 0.5))


def test_batch_without_old_classes_gives_nothing_and_no_gradient() -> None:
    cosines = draw_cosines(4, 5, seed=2).requires_grad_()
    value = margin_ranking_loss(cosines, torch.tensor([3, 4, 3, 4]), 3, 2, 0.5)
    value.backward()
    assert value.item() == 0
    assert cosines.grad is not None
    assert not cosines.grad.any()


def test_batch_without_new_classes_counts_every_image() -> None:
    cosines, labels = draw_cosines(4, 5, seed=3), torch.tensor([0, 1, 2, 0])
    value = margin_ranking_loss(cosines, labels, 3, 2, 0.5).item()
    assert value == pytest.approx(reference(cosines, labels, 3, 2, 0.5), abs=1e-6)


def test_images_of_new_classes_get_no_gradient() -> None:
    cosines = torch.zeros(3, 4, requires_grad=True)
    margin_ranking_loss(cosines, torch.tensor([0, 3, 1]), 2, 2, 0.5).backward()
    assert cosines.grad is not None
    assert cosines.grad.tolist()[1] == [0, 0, 0, 0]
    # Half for each of two images, once for each of two new classes, and against the own class for both.
    assert cosines.grad.tolist()[0] == [-1.0, 0, 0.5, 0.5]


def state_of(head: nn.Module, known: int, seen: int) -> RunState:
    network = BranchedNetwork([])
    network.head = head
    return RunState(1, torch.device("cpu"), Task(2, 3, known, seen), (3, 32, 32), current=network)


def terms_of(head: CosineHead, features: Tensor, labels: Tensor, known: int, **options: Any) -> list[LossTerm]:
    state = state_of(head, known, len(head.weights()))
    # Logits of a phase with a temperature: nothing here may look at them.
    out = Output((features,), features, head(features) / 5)
    plugin = Margin("margin", Margin.Config(**options))
    return plugin.loss_terms(state, Batch(torch.zeros(len(labels), 1, 1, 1), labels), out)


def made() -> tuple[CosineHead, Tensor, Tensor]:
    head = CosineHead(4, 5, 10.0, torch.Generator().manual_seed(1))
    return head, torch.randn(6, 4, generator=torch.Generator().manual_seed(2)), torch.tensor([0, 1, 2, 3, 4, 0])


@pytest.mark.parametrize(("over", "divisor"), [("sum", 1), ("mean", 2)])
def test_it_goes_by_the_heads_cosines_without_its_scale(over: str, divisor: int) -> None:
    head, features, labels = made()
    cosines = linear(normalize(features), normalize(head.weights()))
    (term,) = terms_of(head, features, labels, known=3, over_nearest=over, weight=0.7)
    wanted = reference(cosines, labels, 3, 2, 0.5) / divisor
    assert (term.name, term.weight) == ("margin", 0.7)
    assert term.value.item() == pytest.approx(wanted, abs=1e-5)
    term.value.backward()
    assert head.scale.grad is None
    assert head.weight.grad is not None


def test_mean_is_over_as_many_as_there_are() -> None:
    head, features, labels = made()
    mean, total = (terms_of(head, features, labels, known=4, over_nearest=over)[0].value for over in ("mean", "sum"))
    assert torch.equal(mean, total)


def test_first_task_has_none() -> None:
    head, features, labels = made()
    assert terms_of(head, features, labels, known=0) == []


def test_head_without_cosines_is_refused_in_the_first_task() -> None:
    plugin = Margin("margin", Margin.Config())
    plugin.prepare(state_of(made()[0], 0, 5), None)
    with pytest.raises(PluginError, match="'margin' compares cosines, and the head Linear has no cosines"):
        plugin.prepare(state_of(nn.Linear(4, 5), 0, 5), None)


@pytest.mark.parametrize(
    "options", [{"margin": 0.0}, {"margin": 2.1}, {"nearest": 0}, {"weight": -1.0}, {"over_nearest": "max"}]
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Margin.Config(**options)
