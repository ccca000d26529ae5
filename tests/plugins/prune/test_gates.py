"""Gates, their gradient and their annealing against DER's equations 6, 8 and 9, in float64."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from incrlearn_plugins.prune.gates import NetGradientGate, annealed_scale

SCALES = [0.01, 1.0, 15.0, 100.0, 400.0]
LOGITS = torch.tensor([-6.0, -2.5, -0.3, -0.01, 0.0, 0.004, 0.5, 1.7, 6.0], dtype=torch.float64)


def loss_of(mask: Tensor) -> Tensor:
    """Some smooth function of a mask in which every gate has another gradient and gates act on one another."""
    weights = torch.linspace(-2, 3, len(mask), dtype=torch.float64)
    return (weights * mask**3).sum() + (mask.sum() + 1) ** 2 * 0.1


def gradient_through_gates(logits: Tensor, scale: float) -> Tensor:
    leaf = logits.clone().requires_grad_()
    loss_of(NetGradientGate.apply(leaf, scale)).backward()
    assert leaf.grad is not None
    return leaf.grad


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_mask_by_hand() -> None:
    logits = torch.tensor([0.0, math.log(3), -math.log(3) / 2], dtype=torch.float64)
    # sigmoid(ln 3) = 3/4, sigmoid(2 ln 3) = 9/10, sigmoid(-ln 3) = 1/4
    torch.testing.assert_close(NetGradientGate.apply(logits[:2], 1.0), torch.tensor([0.5, 0.75]).double())
    torch.testing.assert_close(NetGradientGate.apply(logits, 2.0), torch.tensor([0.5, 0.9, 0.25]).double())


@pytest.mark.parametrize("scale", SCALES)
def test_gradient_by_hand_does_not_depend_on_the_scale(scale: float) -> None:
    logits = torch.tensor([0.0, math.log(3), -math.log(9)], dtype=torch.float64, requires_grad=True)
    mask = NetGradientGate.apply(logits, scale)
    (mask * torch.tensor([8.0, -1.0, 100.0])).sum().backward()
    # sigmoid' is 1/4, 3/4 * 1/4 and 1/10 * 9/10 there
    torch.testing.assert_close(logits.grad, torch.tensor([2.0, -3 / 16, 9.0]).double(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("scale", SCALES)
def test_gradient_is_that_of_the_mask_by_finite_differences_times_the_slope_at_scale_one(scale: float) -> None:
    mask = torch.sigmoid(scale * LOGITS)
    step = 1e-5
    differences = [
        (loss_of(mask + step * unit) - loss_of(mask - step * unit)).item() / (2 * step)
        for unit in torch.eye(len(mask), dtype=torch.float64)
    ]
    at_one = sigmoid(LOGITS.numpy())
    expected = np.array(differences) * at_one * (1 - at_one)
    np.testing.assert_allclose(gradient_through_gates(LOGITS, scale).numpy(), expected, rtol=1e-8, atol=1e-12)


def test_at_scale_one_the_gate_is_a_plain_sigmoid() -> None:
    assert torch.autograd.gradcheck(lambda logits: NetGradientGate.apply(logits, 1.0), LOGITS.clone().requires_grad_())


@pytest.mark.parametrize("scale", SCALES)
def test_gradient_equals_the_papers_compensation_where_that_can_be_computed(scale: float) -> None:
    logits = torch.linspace(-6, 6, 25, dtype=torch.float64)
    # 1 - sigmoid loses its digits beyond.
    logits = logits[(scale * logits).abs() < 12]
    assert len(logits) > 0
    leaf = logits.clone().requires_grad_()
    loss_of(torch.sigmoid(scale * leaf)).backward()
    assert leaf.grad is not None
    e, true = logits.numpy(), leaf.grad.numpy()
    printed = sigmoid(e) * (1 - sigmoid(e)) / (scale * sigmoid(scale * e) * (1 - sigmoid(scale * e))) * true
    np.testing.assert_allclose(gradient_through_gates(logits, scale).numpy(), printed, rtol=1e-8)


def test_gradient_is_there_where_the_papers_formula_divides_by_zero() -> None:
    logits, scale = np.array([0.5, 1.0, 6.0]), 400.0
    assert (scale * sigmoid(scale * logits) * (1 - sigmoid(scale * logits)) == 0).all()
    leaf = torch.tensor(logits, requires_grad=True)
    NetGradientGate.apply(leaf, scale).sum().backward()
    np.testing.assert_allclose(leaf.grad, sigmoid(logits) * (1 - sigmoid(logits)), rtol=1e-12)
    assert (leaf.grad > 0.002).all()


@given(
    st.lists(st.floats(-6, 6, width=32), min_size=1, max_size=8),
    st.floats(1 / 400, 400),
    st.floats(-1e3, 1e3, width=32),
)
def test_gates_and_gradients_stay_finite_in_float32(values: list[float], scale: float, incoming: float) -> None:
    logits = torch.tensor(values, requires_grad=True)
    mask = NetGradientGate.apply(logits, scale)
    (incoming * mask).sum().backward()
    assert ((mask >= 0) & (mask <= 1)).all()
    at_one = sigmoid(np.array(values))
    np.testing.assert_allclose(logits.grad, incoming * at_one * (1 - at_one), rtol=1e-4, atol=1e-30)


@pytest.mark.parametrize(
    ("largest", "batches", "scales"),
    [
        (15.0, 1, [1 / 15]),
        (15.0, 2, [1 / 15, 15.0]),
        # a step is (15 - 1/15) / 4 = 56/15
        (15.0, 5, [1 / 15, 57 / 15, 113 / 15, 169 / 15, 15.0]),
        (100.0, 1, [0.01]),
        (100.0, 2, [0.01, 100.0]),
        # a step is 99.99 / 4
        (100.0, 5, [0.01, 25.0075, 50.005, 75.0025, 100.0]),
        (400.0, 1, [0.0025]),
        (400.0, 2, [0.0025, 400.0]),
        # a step is 399.9975 / 4
        (400.0, 5, [0.0025, 100.001875, 200.00125, 300.000625, 400.0]),
    ],
)
def test_scale_by_hand(largest: float, batches: int, scales: list[float]) -> None:
    positions = [(batch - 1) / (batches - 1) if batches > 1 else 0.0 for batch in range(1, batches + 1)]
    assert [annealed_scale(position, largest) for position in positions] == pytest.approx(scales, rel=1e-12)


@settings(max_examples=50)
@given(st.floats(1.01, 1000), st.floats(0, 1), st.floats(0, 1))
def test_scale_rises_within_its_ends(largest: float, first: float, second: float) -> None:
    early, late = sorted((first, second))
    low, high = annealed_scale(early, largest), annealed_scale(late, largest)
    assert low <= high
    assert 1 / largest <= low
    assert high <= largest * (1 + 1e-12)
