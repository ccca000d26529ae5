"""Imprinting: what new classes start from, and what is left alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from incrlearn import (
    Batch,
    Network,
    Plugin,
    PluginError,
    Registry,
    RunState,
    Samples,
    Task,
    TaskPasses,
    hookimpl,
    load_network,
    run_recipe,
)
from incrlearn.network import BranchedNetwork
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe
from incrlearn_plugins.adjust.imprint import Imprint
from incrlearn_plugins.head.cosine import CosineHead


class Given:
    """Passes that give the features they were made with, by position."""

    def __init__(self, features: Tensor) -> None:
        self._features = features
        self.asked: list[int] = []

    def accuracy(self) -> float:
        raise AssertionError("nobody should ask for it")

    def features(self, samples: Samples) -> Tensor:
        self.asked += samples.indices.tolist()
        return self._features[samples.indices]

    def batches(self, samples: Samples, batch: int) -> Iterator[Batch]:
        raise AssertionError("nobody should ask for them")


def prepared(head: nn.Module, known: int, labels: list[int], passes: TaskPasses) -> RunState:
    network = BranchedNetwork([])
    network.head = head
    state = RunState(1, torch.device("cpu"), Task(2, 3, known, 5), (3, 32, 32), current=network)
    state.new = Samples(torch.arange(len(labels)), torch.tensor(labels))
    Imprint("imprint", Imprint.Config()).prepare(state, passes)
    return state


@pytest.mark.parametrize("fixed", [0, 3])
def test_new_classes_start_at_their_mean_features_as_long_as_the_old_ones(fixed: int) -> None:
    head = CosineHead(4, 5, 1.0, torch.Generator().manual_seed(1), fixed)
    before = head.weights().detach().clone()
    features = torch.randn(7, 4, generator=torch.Generator().manual_seed(2))
    labels = [4, 3, 3, 4, 3, 4, 3]
    prepared(head, 3, labels, Given(features))
    after = head.weights().detach()
    assert torch.equal(after[:3], before[:3])
    length = np.mean([np.sqrt((row.double().numpy() ** 2).sum()) for row in before[:3]])
    for label in (3, 4):
        own = [row.double().numpy() for row, found in zip(features, labels, strict=True) if found == label]
        mean = np.mean([row / np.sqrt(row @ row) for row in own], axis=0)
        np.testing.assert_allclose(after[label].numpy(), length * mean / np.sqrt(mean @ mean), rtol=1e-5)


def test_by_hand() -> None:
    head = CosineHead(2, 3, 1.0, torch.Generator().manual_seed(1))
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[3.0, 4.0], [0.0, 1.0], [9.0, 9.0]]))
    # Directions (1, 0) and (0, 1), whatever their lengths: half way between them, of length (5 + 1) / 2.
    head.imprint(2, [torch.tensor([[100.0, 0.0], [0.0, 0.1]])], torch.Generator())
    torch.testing.assert_close(head.weight[2].detach(), torch.tensor([3.0, 3.0]) / 2**0.5)
    assert head.weight[:2].tolist() == [[3.0, 4.0], [0.0, 1.0]]


def test_images_of_old_classes_have_no_say() -> None:
    head = CosineHead(4, 5, 1.0, torch.Generator().manual_seed(1))
    passes = Given(torch.randn(5, 4, generator=torch.Generator().manual_seed(2)))
    prepared(head, 3, [0, 3, 2, 4, 4], passes)
    assert passes.asked == [1, 3, 4]


def test_first_task_is_left_as_drawn() -> None:
    head = CosineHead(4, 5, 1.0, torch.Generator().manual_seed(1))
    before = head.weights().detach().clone()
    passes = Given(torch.ones(5, 4))
    prepared(head, 0, [0, 1, 2, 3, 4], passes)
    assert torch.equal(head.weights(), before)
    assert passes.asked == []


def test_head_that_cannot_be_started_is_refused_in_the_first_task() -> None:
    with pytest.raises(PluginError, match=r"'imprint' cannot start the weights of the head Linear: .*'cosine'"):
        prepared(nn.Linear(4, 5), 0, [0, 1, 2, 3, 4], Given(torch.ones(5, 4)))


def extractor_of(network: Network) -> Iterator[Tensor]:
    """The weights of the oldest extractor."""
    assert isinstance(network, BranchedNetwork)
    return network.backbones[0].parameters()


class AtTheStart(Plugin):
    """Notes features, head and network when each task begins, behind the imprinting."""

    kind = "log"
    found: ClassVar[dict[int, tuple[Tensor, Samples, Tensor, Tensor]]]

    @hookimpl
    def prepare(self, state: RunState, passes: TaskPasses) -> None:
        features = passes.features(state.new)
        weights = state.network.head.weights().detach().clone()
        first = next(extractor_of(state.network)).detach().clone()
        type(self).found[state.task.number] = (features, state.new, weights, first)


@pytest.mark.parametrize("network", ["single", "expandable"])
def test_features_in_prepare_are_those_of_the_network_as_the_task_finds_it(network: str, tmp_path: Path) -> None:
    class Kept(AtTheStart):
        found: ClassVar[dict[int, tuple[Tensor, Samples, Tensor, Tensor]]] = {}

    rows: dict[str, Any] = {
        "network": network,
        "head": "cosine",
        "imprint": "imprint",
        "start": {"use": "kept"},
        "auxiliary": None,
        "balance": None,
        "train": {"use": "sgd", "lr": 0.05, "batch": 16, "epochs": 2, "milestones": [], "warmup": 0},
    }
    registry = Registry.of({"synthetic": SyntheticData, "kept": Kept})
    run_recipe(recipe_from_dict(tiny_recipe(**rows), registry, "tiny"), tmp_path / "run", device="cpu")
    assert set(Kept.found) == {1, 2, 3}
    before = load_network(tmp_path / "run", 1, registry=registry)
    features, samples, weights, first = Kept.found[2]
    assert features.shape == (len(samples), weights.shape[1])
    assert torch.equal(first, next(extractor_of(before)))
    for label in (2, 3):
        own = features[samples.labels == label].double()
        mean = (own / own.norm(dim=1, keepdim=True)).mean(dim=0)
        cosine = (mean / mean.norm()) @ (weights[label] / weights[label].norm()).double()
        assert cosine.item() == pytest.approx(1)
