"""The NCA loss against float64 and by hand, its margin and its scale."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from incrlearn import Batch, Phase, PluginError, RecipeError, Registry, RunState, Task
from incrlearn.network import BranchedNetwork, LinearHead
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe
from incrlearn.types import Backbone
from incrlearn_plugins.head.cosine import CosineHead
from incrlearn_plugins.loss.nca import Nca, nca_loss


def reference(cosines: Tensor, labels: list[int], eta: float, delta: float, hinge: bool) -> float:
    """1/B sum_i [ -log( exp(eta (c_y - delta)) / sum_{k != y} exp(eta c_k) ) ]_+, image by image."""
    total = 0.0
    for row, label in zip(cosines.double().tolist(), labels, strict=True):
        others = sum(np.exp(eta * c) for k, c in enumerate(row) if k != label)
        loss = -np.log(np.exp(eta * (row[label] - delta)) / others)
        total += max(loss, 0.0) if hinge else loss
    return total / len(labels)


def draw(images: int, classes: int, seed: int) -> Tensor:
    return 2 * torch.rand(images, classes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 1


@pytest.mark.parametrize("hinge", [True, False])
@given(classes=st.integers(2, 6), eta=st.floats(0.1, 20), delta=st.floats(0, 1), seed=st.integers(0, 999))
def test_equals_float64_reference(hinge: bool, classes: int, eta: float, delta: float, seed: int) -> None:
    cosines = draw(5, classes, seed)
    labels = [i % classes for i in range(5)]
    value = nca_loss(eta * cosines, torch.tensor(labels), eta * delta, hinge).item()
    np.testing.assert_allclose(value, reference(cosines, labels, eta, delta, hinge), rtol=1e-9, atol=1e-12)


def test_by_hand() -> None:
    # Cosines 1 and 0.5 at eta 2, margin 0.6: -(2 * 0.4) + 2 * 0.5 = 0.2; of the other class -(2 * -0.1) + 2 = 2.2.
    logits = torch.tensor([[2.0, 1.0]])
    assert nca_loss(logits, torch.tensor([0]), 1.2, True).item() == pytest.approx(0.2)
    assert nca_loss(logits, torch.tensor([1]), 1.2, True).item() == pytest.approx(2.2)
    # With a margin of 0.4 the image is right by more than that: 1.0 - 1.2 = -0.2.
    assert nca_loss(logits, torch.tensor([0]), 0.8, True).item() == 0
    assert nca_loss(logits, torch.tensor([0]), 0.8, False).item() == pytest.approx(-0.2)


def test_an_image_that_is_right_by_the_margin_has_no_gradient_and_another_has() -> None:
    logits = torch.tensor([[4.0, 1.0, 0.0], [1.0, 4.0, 0.0]], requires_grad=True)
    nca_loss(logits, torch.tensor([0, 0]), 1.0, True).backward()
    assert logits.grad is not None
    assert logits.grad[0].tolist() == [0, 0, 0]
    assert logits.grad[1, 0] < 0 < logits.grad[1, 1]


def test_a_single_class_has_no_loss_and_no_nan() -> None:
    logits = torch.randn(3, 1, requires_grad=True)
    value = nca_loss(logits, torch.zeros(3, dtype=torch.int64), 0.6, True)
    value.backward()
    assert value.item() == 0
    assert logits.grad is not None
    assert not bool(logits.grad.any())


def state_of(eta: float, temperature: float = 1.0, classes: int = 3) -> RunState:
    network = BranchedNetwork([Backbone(torch.nn.Identity(), 4)])
    network.head = CosineHead(4, classes, eta, torch.Generator().manual_seed(1))
    state = RunState(1, torch.device("cpu"), Task(1, 2, 0, classes), (3, 32, 32), current=network)
    state.phase = Phase("train", 1, 2, temperature=temperature)
    return state


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_margin_is_in_units_of_the_cosine_whatever_scale_and_temperature(temperature: float) -> None:
    state = state_of(eta=5.0, temperature=temperature)
    features = torch.randn(6, 4, generator=torch.Generator().manual_seed(2))
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    out = state.network.classify((features,), temperature)
    (term,) = Nca("loss", Nca.Config()).loss_terms(state, Batch(features, labels), out)
    head = state.network.head
    assert isinstance(head, CosineHead)
    wanted = reference(head.cosines(features).detach(), labels.tolist(), 5.0 / temperature, 0.6, True)
    assert (term.name, term.weight) == ("loss", 1.0)
    assert term.value.item() == pytest.approx(wanted, rel=1e-5)


def test_the_scale_learns_from_the_margin_too_but_not_below_the_least() -> None:
    state = state_of(eta=1.5, classes=2)
    head = state.network.head
    assert isinstance(head, CosineHead)
    with torch.no_grad():
        head.weight.copy_(torch.eye(4)[:2])
    # Equally alike to both classes: a smaller scale would make the loss, eta delta, smaller.
    features = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    out = state.network.classify((features,))
    plugin = Nca("loss", Nca.Config(least_scale=1.2))
    (term,) = plugin.loss_terms(state, Batch(features, torch.tensor([0])), out)
    term.value.backward()
    assert term.value.item() == pytest.approx(1.5 * 0.6)
    assert head.scale.grad is not None
    assert head.scale.grad.item() == pytest.approx(0.6)
    torch.optim.SGD(head.parameters(), lr=1.0).step()
    assert head.scale.item() == pytest.approx(0.9)
    plugin.after_step(state)
    assert head.scale.item() == pytest.approx(1.2)
    plugin.after_step(state)
    assert head.scale.item() == pytest.approx(1.2)


def test_head_without_cosines_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"plugins\.loss needs 'cosines', which no plug-in here provides; 'cosine'"):
        recipe_from_dict(tiny_recipe(loss="nca"), Registry.of({"synthetic": SyntheticData}), "tiny")
    state = state_of(eta=1.0)
    state.network.head = LinearHead(4, 3, False, torch.Generator().manual_seed(1))
    with pytest.raises(PluginError, match=r"'loss' wants a head of scaled cosines.*LinearHead"):
        Nca("loss", Nca.Config()).prepare(state, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"margin": -0.1}, {"margin": 2.5}, {"weight": -1.0}, {"least_scale": 0.0}])
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Nca.Config(**options)
