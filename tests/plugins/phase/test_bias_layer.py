"""BiC's bias layer: its equation, its folding into the head, and what it learns on."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn

from incrlearn import Batch, Output, Phase, PluginError, RunState, Samples, Task
from incrlearn.network import BranchedNetwork, LinearHead
from incrlearn.types import Backbone
from incrlearn_plugins.phase.bias_layer import BiasLayer, Correction, fold, obstacle_to_folding


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def linear(classes: int, width: int, bias: bool = True, seed: int = 1) -> LinearHead:
    head = LinearHead(width, classes, bias, generator(seed))
    with torch.no_grad():
        if bias:
            head.bias.copy_(torch.randn(classes, generator=generator(seed + 1)))
    return head


def state_of(head: nn.Module, known: int, seen: int, width: int = 5, number: int = 2) -> RunState:
    network = BranchedNetwork([Backbone(nn.Identity(), width)])
    network.head = head
    return RunState(1, torch.device("cpu"), Task(number, 3, known, seen), (3, 32, 32), current=network)


def plugin(**options: Any) -> BiasLayer:
    return BiasLayer("bias", BiasLayer.Config(**options))


# -- the layer and its folding -------------------------------------------------------------------------------------


def test_correction_by_hand() -> None:
    layer = Correction(known=2)
    with torch.no_grad():
        layer.alpha.fill_(0.5)
        layer.beta.fill_(-1.0)
    assert layer(torch.tensor([[3.0, -2.0, 4.0], [0.0, 1.0, -6.0]])).tolist() == [[3.0, -2.0, 1.0], [0.0, 1.0, -4.0]]


def test_a_new_layer_says_what_it_is_told() -> None:
    logits = torch.randn(4, 5, generator=generator())
    assert torch.equal(Correction(known=2)(logits), logits)


@given(
    known=st.integers(1, 5),
    new=st.integers(1, 5),
    width=st.integers(1, 6),
    alpha=st.floats(-2, 3),
    beta=st.floats(-5, 5),
    seed=st.integers(0, 999),
)
def test_folded_head_says_the_corrected_logits(
    known: int, new: int, width: int, alpha: float, beta: float, seed: int
) -> None:
    head = linear(known + new, width, seed=seed).double()
    weight, bias = head.weight.detach().numpy().copy(), head.bias.detach().numpy().copy()
    features = torch.randn(7, width, generator=generator(seed)).double()
    fold(head, known, torch.tensor(alpha, dtype=torch.float64), beta)
    wanted = features.numpy() @ weight.T + bias
    wanted[:, known:] = alpha * wanted[:, known:] + beta
    np.testing.assert_allclose(head(features).detach().numpy(), wanted, rtol=1e-12, atol=1e-12)
    # Old classes to the bit.
    assert np.array_equal(head.weight.detach().numpy()[:known], weight[:known])
    assert np.array_equal(head.bias.detach().numpy()[:known], bias[:known])


class Cosine(nn.Linear):
    """Logits that do not grow with the weights."""

    def forward(self, features: Tensor) -> Tensor:
        return nn.functional.linear(nn.functional.normalize(features), nn.functional.normalize(self.weight), self.bias)


class Twice(nn.Linear):
    """Counts its bias twice: alpha and beta would act on another number."""

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features) + self.bias


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (nn.Identity(), "it has no weight"),
        (linear(4, 5, bias=False), "it has no bias"),
        (linear(8, 5), r"its weight is \(8, 5\), not one row for each class and feature, \(4, 5\)"),
        (Cosine(5, 4), "does not follow its weight and bias"),
        (Twice(5, 4), "does not follow its weight and bias"),
    ],
)
def test_head_that_cannot_be_corrected_is_refused_in_the_first_task(head: nn.Module, words: str) -> None:
    with pytest.raises(PluginError, match=rf"'bias' cannot correct the head .*{words}.*; use the head 'linear' with"):
        plugin().prepare(state_of(head, 0, 4, number=1))


def test_linear_head_is_taken_and_left_as_it_was() -> None:
    head = linear(4, 5)
    before = {name: tensor.clone() for name, tensor in head.state_dict().items()}
    assert obstacle_to_folding(head, 4, 5) is None
    assert all(torch.equal(tensor, before[name]) for name, tensor in head.state_dict().items())


# -- what it holds out, and when it learns -------------------------------------------------------------------------


def held_out(quota: int | tuple[int, ...] | None, per_class: dict[int, int], share: float = 0.1) -> list[int]:
    """How many of each class are held out of new data."""
    labels = torch.tensor([label for label, count in per_class.items() for _ in range(count)])
    new = Samples(torch.arange(100, 100 + len(labels)), labels)
    of_each = (quota, quota) if isinstance(quota, int) else quota
    chosen = plugin(share=share).hold_out(state_of(linear(2, 5), 0, 2), new, of_each)
    assert chosen.share == share
    return torch.bincount(labels[chosen.positions]).tolist()


@pytest.mark.parametrize(
    ("quota", "per_class", "share", "counts"),
    [
        (200, {0: 500, 1: 500}, 0.1, [20, 20]),
        (66, {0: 500, 1: 500}, 0.1, [7, 7]),
        (4, {0: 500, 1: 500}, 0.1, [1, 1]),
        # Classes with fewer images than the quota hold out their share of what there is.
        (200, {0: 50, 1: 500}, 0.1, [5, 20]),
        (200, {0: 2, 1: 1, 2: 3}, 0.1, [1, 0, 1]),
        (200, {0: 10}, 0.99, [9]),
        # Where known classes have different numbers, that of the smallest counts.
        ((200, 66, 150), {0: 500, 1: 500}, 0.1, [7, 7]),
    ],
)
def test_as_many_as_a_known_class_has(
    quota: int | tuple[int, ...], per_class: dict[int, int], share: float, counts: list[int]
) -> None:
    assert held_out(quota, per_class, share) == counts


def test_memory_that_keeps_none_is_refused() -> None:
    with pytest.raises(PluginError, match="the memory of this recipe keeps none"):
        held_out(None, {0: 10})


def test_first_task_has_no_correction() -> None:
    state = state_of(linear(2, 5), 0, 2, number=1)
    bias = plugin()
    bias.prepare(state)
    assert bias.phases(state) is None
    assert bias.metrics(state) is None
    assert len(state.network.attachments) == 0


def test_phase_is_the_authors() -> None:
    bias = plugin()
    assert bias.phases(state_of(linear(4, 5), 2, 4)) == Phase(
        "bias", 200, 256, "head", frozenset({"bias correction"}), augment=False
    )
    state = state_of(linear(4, 5), 2, 4)
    bias.prepare(state)
    phase = Phase("bias", 200, 256)
    groups = bias.param_groups(state, phase)
    assert groups is not None
    made = bias.make_optimizer(phase, groups)
    assert made is not None
    optimizer, schedule = made
    assert [(len(group["params"]), group["weight_decay"]) for group in optimizer.param_groups] == [(1, 0.0), (1, 0.1)]
    rates = []
    for _ in range(200):
        rates.append(round(optimizer.param_groups[0]["lr"], 9))
        optimizer.step()
        schedule.step()
    assert rates == [0.1] * 60 + [0.01] * 60 + [0.001] * 40 + [0.0001] * 20 + [0.00001] * 20


def test_it_answers_in_its_own_phase_alone() -> None:
    state = state_of(linear(4, 5), 2, 4)
    bias = plugin()
    bias.prepare(state)
    other = Phase("train", 1, 2)
    state.phase = other
    batch = Batch(torch.zeros(2, 5), torch.tensor([0, 3]))
    out = Output((torch.zeros(2, 5),), torch.zeros(2, 5), torch.zeros(2, 4))
    assert bias.loss_terms(state, batch, out) == []
    assert bias.select_data(state, other) is None
    assert bias.param_groups(state, other) is None
    assert bias.make_optimizer(other, []) is None
    bias.phase_end(state)
    assert isinstance(state.network.attached("bias"), Correction)
    # Nor does another phase's optimizer hold what it learns.
    assert not any(parameter.requires_grad for parameter in state.network.attached("bias").parameters())


def test_loss_is_cross_entropy_of_the_corrected_logits_and_leaves_the_head_alone() -> None:
    head = linear(4, 5)
    state = state_of(head, 2, 4)
    bias = plugin()
    bias.prepare(state)
    state.phase = Phase("bias", 1, 2)
    bias.phase_start(state)
    layer = state.network.attached("bias")
    assert isinstance(layer, Correction)
    with torch.no_grad():
        layer.alpha.fill_(0.7)
        layer.beta.fill_(-0.4)
    features = torch.randn(6, 5, generator=generator(7))
    labels = torch.tensor([0, 1, 2, 3, 2, 0])
    out = state.network.classify((features,))
    (term,) = bias.loss_terms(state, Batch(features, labels), out)
    logits = out.logits.detach().double().numpy()
    logits[:, 2:] = 0.7 * logits[:, 2:] - 0.4
    wanted = -np.mean([row[y] - np.log(np.exp(row).sum()) for row, y in zip(logits, labels.numpy(), strict=True)])
    assert (term.weight, term.value.item()) == (1.0, pytest.approx(wanted, rel=1e-5))
    term.value.backward()
    assert layer.alpha.grad is not None
    assert layer.beta.grad is not None
    assert head.weight.grad is None


def test_it_learns_on_as_many_of_each_class() -> None:
    state = state_of(linear(4, 5), 2, 4)
    state.held_out = Samples(torch.arange(14), torch.tensor([2] * 4 + [3] * 4 + [0] * 4 + [1] * 2))
    chosen = plugin().select_data(state, Phase("bias", 1, 2))
    assert chosen is not None
    assert torch.bincount(chosen.labels).tolist() == [2, 2, 2, 2]


@pytest.mark.parametrize("labels", [[2, 3], [0, 1], []])
def test_old_and_new_classes_are_needed(labels: list[int]) -> None:
    state = state_of(linear(4, 5), 2, 4)
    state.held_out = Samples(torch.arange(len(labels)), torch.tensor(labels, dtype=torch.int64))
    with pytest.raises(PluginError, match="held-out images of old and of new classes, and task 2 has"):
        plugin().select_data(state, Phase("bias", 1, 2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share": 0}, "greater than 0"),
        ({"share": 1}, "less than 1"),
        ({"beta_decay": -1}, "greater than or equal to 0"),
        ({"epochs": 10}, "never reached"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        BiasLayer.Config.model_validate(options)
