"""EWC: its Fisher information and penalty against their definitions."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn

from incrlearn import Batch, PluginError, RunState, Samples, Task
from incrlearn.network import BranchedNetwork, LinearHead, build_backbone
from incrlearn.recipe import BackboneOptions
from incrlearn.types import Backbone
from incrlearn_plugins.loss.ewc import Ewc, accumulated, fisher_diagonal, quadratic_penalty, trainable


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network_of(classes: int, extractors: int = 1, frozen: int = 0) -> BranchedNetwork:
    options = BackboneOptions(name="resnet18", stem="cifar", options={"layers": [1] * 4, "channels": [4] * 4})
    network = BranchedNetwork([build_backbone(options, 1, seed=seed) for seed in range(extractors)], frozen)
    network.head = LinearHead(network.width, classes, True, generator())
    return network.eval()


def images(count: int, classes: int) -> Batch:
    labels = torch.arange(count) % classes
    return Batch(torch.randn(count, 1, 8, 8, generator=generator(5)), labels)


def split(batch: Batch, size: int) -> Iterator[Batch]:
    for start in range(0, len(batch), size):
        yield Batch(batch.images[start : start + size], batch.labels[start : start + size])


# -- the Fisher information ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3, 7])
def test_empirical_fisher_is_the_mean_of_squared_gradients_of_single_images(size: int) -> None:
    network, batch = network_of(3), images(7, 3)
    found = fisher_diagonal(network, split(batch, size), None)
    exact = copy.deepcopy(network).double()
    assert isinstance(exact.head, LinearHead)
    weight, bias = exact.head.weight, exact.head.bias
    wanted = {name: torch.zeros_like(parameter) for name, parameter in exact.named_parameters()}
    for image, label in zip(batch.images.double(), batch.labels, strict=True):
        exact.zero_grad()
        # Network.classify would round the features to float32.
        probabilities = (exact.extract(image[None])[0] @ weight.T + bias).exp()[0]
        (probabilities[label] / probabilities.sum()).log().backward()
        for name, parameter in exact.named_parameters():
            assert parameter.grad is not None
            wanted[name] += parameter.grad**2 / 7
    assert found.keys() == wanted.keys()
    for name, value in found.items():
        torch.testing.assert_close(value.double(), wanted[name], rtol=1e-3, atol=1e-5 * float(wanted[name].max()))
    # The square of the mean gradient is another number.
    assert any(float(value.sum()) > 0 for value in found.values())


class Scores(BranchedNetwork):
    """A network whose features are its images, two numbers."""

    def __init__(self, classes: int) -> None:
        super().__init__([Backbone(nn.Flatten(), 2)])
        self.head = LinearHead(2, classes, True, generator())


def test_fisher_by_hand() -> None:
    network = Scores(2)
    with torch.no_grad():
        network.head.weight.zero_()
    # p = (1/2, 1/2): d log p(0) / d w = ((1/2) x, -(1/2) x), d / d b = (1/2, -1/2).
    batch = Batch(torch.tensor([[2.0, 0.0], [4.0, 6.0]]).reshape(2, 1, 1, 2), torch.tensor([0, 1]))
    found = fisher_diagonal(network, [batch], None)
    assert found["head.weight"].tolist() == [[2.5, 4.5], [2.5, 4.5]]
    assert found["head.bias"].tolist() == [0.25, 0.25]


def test_labels_drawn_from_the_network_give_the_fisher_information() -> None:
    network = Scores(3)
    with torch.no_grad():
        network.head.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.5]]))
    image = torch.tensor([0.7, -0.4])
    count = 1000
    batch = Batch(image.expand(count, 1, 1, 2), torch.zeros(count, dtype=torch.int64))
    found = fisher_diagonal(network, [batch], generator())
    # E_y [(1[y = k] - p_k)^2] = p_k (1 - p_k), whatever the labels are.
    p = (network.head.weight.detach() @ image).softmax(dim=0)
    torch.testing.assert_close(found["head.bias"], p * (1 - p), rtol=0.15, atol=0.02)
    again = fisher_diagonal(network, [batch], generator())
    assert torch.equal(found["head.bias"], again["head.bias"])
    assert not torch.allclose(found["head.bias"], fisher_diagonal(network, [batch], None)["head.bias"])


def test_nothing_is_changed_and_frozen_parameters_have_none() -> None:
    network = network_of(3, extractors=2, frozen=1)
    network.attach("auxiliary", nn.Linear(4, 2))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    found = fisher_diagonal(network, [images(4, 3)], None)
    assert {name.split(".")[0] + "." + name.split(".")[1] for name in found} == {
        "extractors.1",
        "head.weight",
        "head.bias",
    }
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    # Its features reach the logits through the head alone.
    assert float(found["head.weight"].sum()) > 0


def test_no_images_give_zeros() -> None:
    assert not any(value.any() for value in fisher_diagonal(network_of(2), [], None).values())


# -- the penalty ---------------------------------------------------------------------------------------------------


@given(
    old=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    grown=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    seed=st.integers(0, 999),
)
def test_penalty_equals_float64_reference_on_the_old_rows_and_columns(
    old: tuple[int, int], grown: tuple[int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    fisher, weights, bias = rng.uniform(0, 1, old), rng.normal(size=old), rng.normal(size=3)
    now = rng.normal(size=(old[0] + grown[0], old[1] + grown[1]))
    wanted = sum(
        0.5 * fisher[row, column] * (now[row, column] - weights[row, column]) ** 2
        for row in range(old[0])
        for column in range(old[1])
    )
    parameter = torch.tensor(now, requires_grad=True)
    parameters = {"head.weight": parameter, "head.bias": torch.tensor(bias)}
    anchored = {"head.weight": torch.tensor(fisher)}, {"head.weight": torch.tensor(weights)}
    found = quadratic_penalty(parameters, *anchored)
    assert found.item() == pytest.approx(wanted)
    found.backward()
    gradient = np.zeros_like(now)
    gradient[: old[0], : old[1]] = fisher * (now[: old[0], : old[1]] - weights)
    assert parameter.grad is not None
    np.testing.assert_allclose(parameter.grad.numpy(), gradient, rtol=1e-12)


def test_penalty_by_hand() -> None:
    parameters = {"w": torch.tensor([3.0, 1.0, 9.0])}
    found = quadratic_penalty(parameters, {"w": torch.tensor([2.0, 4.0])}, {"w": torch.tensor([1.0, 1.5])})
    assert found.item() == pytest.approx(0.5 * (2 * 4 + 4 * 0.25))


def test_what_is_no_longer_there_or_is_new_is_not_held() -> None:
    anchors = {"gone": torch.ones(2)}, {"gone": torch.zeros(2)}
    assert quadratic_penalty({"new": torch.ones(3)}, *anchors).item() == 0


def test_accumulated_by_hand() -> None:
    before = {"w": torch.tensor([[4.0]]), "gone": torch.ones(1)}
    own = {"w": torch.tensor([[1.0, 2.0], [3.0, 5.0]]), "new": torch.ones(1)}
    total = accumulated(before, own, gamma=0.5)
    assert {name: value.tolist() for name, value in total.items()} == {"w": [[3.0, 2.0], [3.0, 5.0]], "new": [1.0]}
    assert own["w"].tolist() == [[1.0, 2.0], [3.0, 5.0]]


# -- the plug-in ---------------------------------------------------------------------------------------------------


class Given:
    """Passes that give the images of one batch, by position."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.asked: list[int] = []

    def accuracy(self) -> float:
        raise AssertionError("nobody asks for it here")

    def features(self, samples: Samples) -> Tensor:
        raise AssertionError("nobody asks for it here")

    def batches(self, samples: Samples, batch: int) -> Iterator[Batch]:
        self.asked += samples.indices.tolist()
        images = Batch(self.batch.images[samples.indices], samples.labels)
        return split(images, batch)


def state_of(network: BranchedNetwork, number: int, known: int, seen: int) -> RunState:
    state = RunState(1, torch.device("cpu"), Task(number, 3, known, seen), (1, 8, 8), current=network)
    state.new = Samples(torch.arange(12), torch.arange(12) % seen)
    return state


def ewc(**options: Any) -> Ewc:
    return Ewc("ewc", Ewc.Config(**options))


def shaken(network: BranchedNetwork) -> None:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1)


@pytest.mark.parametrize("online", [True, False])
def test_penalties_of_two_tasks(online: bool) -> None:
    plugin, network, passes = (
        ewc(labels="true", online=online, gamma=0.5, weight=7.0),
        network_of(2),
        Given(images(12, 4)),
    )
    assert plugin.loss_terms(state_of(network, 1, 0, 2)) == []
    plugin.task_end(state_of(network, 1, 0, 2), passes)
    first = fisher_diagonal(network, [Batch(passes.batch.images, torch.arange(12) % 2)], None)
    first_weights = {name: value.detach().clone() for name, value in trainable(network).items()}
    grown = LinearHead(network.width, 4, True, generator(2))
    assert isinstance(network.head, LinearHead)
    grown.inherit(network.head)
    network.head = grown
    state = state_of(network, 2, 2, 4)
    plugin.prepare(state)
    (term,) = plugin.loss_terms(state)
    assert (term.weight, term.value.item()) == (7.0, 0.0)
    shaken(network)
    plugin.task_end(state, passes)
    second = fisher_diagonal(network, [Batch(passes.batch.images, torch.arange(12) % 4)], None)
    weights = {name: value.detach().clone() for name, value in trainable(network).items()}
    shaken(network)
    (term,) = plugin.loss_terms(state_of(network, 3, 4, 4))
    parameters = trainable(network)
    if online:
        wanted = quadratic_penalty(parameters, accumulated(first, second, 0.5), weights)
    else:
        parts = ((first, first_weights), (second, weights))
        wanted = sum((quadratic_penalty(parameters, *part) for part in parts), torch.zeros(()))
    torch.testing.assert_close(term.value, wanted)
    assert term.value.item() > 0


def test_another_instance_that_takes_the_state_up_gives_the_same_penalty() -> None:
    first, second, network = ewc(online=False), ewc(online=False), network_of(2)
    assert first.state_dict() == {"anchors": []}
    for number in (1, 2):
        first.task_end(state_of(network, number, 0, 2), Given(images(12, 2)))
        shaken(network)
    state = state_of(network, 3, 2, 2)
    second.load_state_dict(first.state_dict())
    second.prepare(state)
    assert torch.equal(first.loss_terms(state)[0].value, second.loss_terms(state)[0].value)


def test_fisher_information_counts_up_to_its_ceiling() -> None:
    network, passes = network_of(2), Given(images(12, 2))
    for ceiling in (None, 1e-6):
        plugin = ewc(labels="true", fisher_max=ceiling)
        for number in (1, 2):
            plugin.task_end(state_of(network, number, 0, 2), passes)
        (anchor,) = plugin.state_dict()["anchors"]
        largest = max(float(value.max()) for value in anchor["fisher"].values())
        assert largest == pytest.approx(1e-6) if ceiling else largest > 1e-6


def test_images_are_drawn_at_random_and_the_last_task_costs_nothing() -> None:
    passes, network = Given(images(12, 2)), network_of(2)
    ewc(samples=5).task_end(state_of(network, 1, 0, 2), passes)
    assert len(set(passes.asked)) == 5
    assert passes.asked != sorted(passes.asked)
    passes.asked.clear()
    ewc(samples=None).task_end(state_of(network, 1, 0, 2), passes)
    assert sorted(passes.asked) == list(range(12))
    passes.asked.clear()
    ewc().task_end(state_of(network, 3, 0, 2), passes)
    assert passes.asked == []


def test_weights_that_were_removed_are_refused_with_a_plain_message() -> None:
    plugin, network = ewc(), network_of(2)
    plugin.task_end(state_of(network, 1, 0, 2), Given(images(12, 2)))
    network.head = LinearHead(network.width - 1, 4, True, generator())
    with pytest.raises(PluginError, match=r"'ewc' cannot hold .*head.weight is \(4, 3\) now and was \(2, 4\) when"):
        plugin.prepare(state_of(network, 2, 2, 4))


@pytest.mark.parametrize(
    "options", [{"weight": -1}, {"gamma": 0}, {"gamma": 1.1}, {"samples": 0}, {"fisher_max": 0}, {"labels": "model"}]
)
def test_options_out_of_range_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Ewc.Config.model_validate(options)
