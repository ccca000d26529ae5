"""Passes over the data in the middle of a phase: what they measure, and what they leave alone."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from incrlearn import Passes, Phase, Plugin, Registry, RunState, Samples, Task, TaskPasses, hookimpl, run_recipe
from incrlearn.data import make_loader
from incrlearn.engine.passes import PhasePasses, RunPasses
from incrlearn.engine.runtime import Runtime
from incrlearn.network import BranchedNetwork, LinearHead
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe
from incrlearn.types import Backbone


def extractor(seed: int) -> Backbone:
    """Two batch norms, the second behind the first, their statistics far from the data's."""
    layers = [nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2)]
    backbone = Backbone(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), 2)
    generator = torch.Generator().manual_seed(seed)
    for tensor in backbone.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.1)
    return backbone


def passes_over(
    batch: int, padding: int = 0, epoch: int = 0, augment: bool = True
) -> tuple[PhasePasses, BranchedNetwork, Tensor]:
    """Passes over 40 images, and those images as the network gets them."""
    source = SyntheticData("data", SyntheticData.Config(padding=padding)).open(Path())
    samples = Samples(torch.arange(40), torch.from_numpy(source.train.labels)[:40])
    loader = make_loader(source, source.train, torch.device("cpu"))
    network = BranchedNetwork([extractor(1), extractor(2)], frozen=1)
    network.head = LinearHead(4, 4, bias=False, generator=torch.Generator().manual_seed(3))
    phase = Phase("train", 5, batch, augment=augment)
    state = RunState(1, torch.device("cpu"), Task(2, 3, 2, 4), (1, 8, 8), current=network, phase=phase, epoch=epoch)
    passes = PhasePasses(RunPasses(state, Runtime("cpu", "float32"), loader, 4, lambda _: 12.5), phase, samples)
    (images,) = [batch.images for batch in loader.plain(samples, 40)]
    return passes, network, images


def moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and unbiased variance of each channel, (B, C, H, W) in float64."""
    flat = values.transpose(0, 1).flatten(1)
    count = flat.shape[1]
    mean = flat.sum(dim=1) / count
    return mean, ((flat - mean[:, None]) ** 2).sum(dim=1) / (count - 1)


def statistics(backbone: Backbone) -> list[Tensor]:
    norms = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    return [tensor.double() for norm in norms for tensor in (norm.running_mean, norm.running_var)]


def test_settled_norms_are_those_of_the_whole_data_in_training_mode() -> None:
    passes, network, images = passes_over(batch=40)
    passes.settle_norms(network.backbones[1])
    settled = statistics(network.backbones[1])
    first, norm, relu, second = network.backbones[1].double().model[:4]
    inner = first(images.double())
    mean, variance = moments(inner)
    # The biased variance is what batch norm divides by in training, the unbiased one what it remembers.
    biased = variance * (inner[:, 0].numel() - 1) / inner[:, 0].numel()
    normed = (inner - mean[:, None, None]) / (biased[:, None, None] + norm.eps).sqrt()
    outer = second(relu(normed * norm.weight[:, None, None] + norm.bias[:, None, None]))
    for found, wanted in zip(settled, [mean, variance, *moments(outer)], strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_settled_norms_are_means_over_batches_of_one_pass() -> None:
    passes, network, images = passes_over(batch=10)
    passes.settle_norms(network.backbones[1])
    mean = moments(network.backbones[1].double().model[0](images.double()))[0]
    # Equal batches: the mean of their means is that of all images, whatever the order.
    torch.testing.assert_close(statistics(network.backbones[1])[0], mean, rtol=1e-4, atol=1e-5)
    counted = [m.num_batches_tracked.item() for m in network.backbones[1].modules() if isinstance(m, nn.BatchNorm2d)]
    assert counted == [4, 4]


def test_settling_changes_the_statistics_of_that_module_and_nothing_else() -> None:
    passes, network, _ = passes_over(batch=16)
    network.train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    modes = {name: module.training for name, module in network.named_modules()}
    momenta = [m.momentum for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    generator = torch.get_rng_state()
    passes.settle_norms(network.backbones[1])
    after = network.state_dict()
    changed = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    expected = {f"extractors.1.model.{n}.{s}" for n in (1, 4) for s in ("running_mean", "running_var")}
    assert expected <= changed <= expected | {f"extractors.1.model.{n}.num_batches_tracked" for n in (1, 4)}
    assert {name: module.training for name, module in network.named_modules()} == modes
    assert [m.momentum for m in network.modules() if isinstance(m, nn.BatchNorm2d)] == momenta
    assert all(parameter.grad is None for parameter in network.parameters())
    assert torch.equal(torch.get_rng_state(), generator)


def settled(padding: int, epoch: int, augment: bool = True) -> Tensor:
    passes, network, _ = passes_over(batch=16, padding=padding, epoch=epoch, augment=augment)
    passes.settle_norms(network.backbones[1])
    return torch.cat(statistics(network.backbones[1]))


def test_settling_is_repeatable_and_augmented_anew_in_each_epoch() -> None:
    assert torch.equal(settled(padding=2, epoch=0), settled(padding=2, epoch=0))
    assert not torch.equal(settled(padding=2, epoch=0), settled(padding=2, epoch=1))
    assert not torch.allclose(settled(padding=2, epoch=0), settled(padding=0, epoch=0))
    assert torch.equal(settled(padding=2, epoch=0, augment=False), settled(padding=0, epoch=0))


def test_module_without_batch_norm_is_left_as_it_was() -> None:
    passes, network, _ = passes_over(batch=16)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    passes.settle_norms(network.head)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_batches_are_the_images_in_order_without_augmentation() -> None:
    passes, _, images = passes_over(batch=16, padding=2)
    wanted = Samples(torch.tensor([7, 3, 30, 3, 11]), torch.tensor([0, 0, 1, 0, 0]))
    batches = list(passes.batches(wanted, 2))
    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert torch.equal(torch.cat([batch.images for batch in batches]), images[wanted.indices])
    assert torch.equal(torch.cat([batch.labels for batch in batches]), wanted.labels)


class Asks(Plugin):
    """Asks for accuracy and features before each task, and for the accuracy after every epoch, which it tells."""

    kind = "prune"

    @hookimpl
    def prepare(self, state: RunState, passes: TaskPasses) -> None:
        assert 0 <= passes.accuracy() <= 100
        assert passes.features(state.new).shape == (len(state.new), state.network.width)

    @hookimpl
    def prune(self, passes: Passes) -> dict[str, float]:
        return {"top1": passes.accuracy()}


class Rows:
    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    @hookimpl
    def record(self, row: dict[str, Any]) -> None:
        self.rows.append(row)


@pytest.fixture(scope="module")
def with_and_without(tmp_path_factory: pytest.TempPathFactory) -> list[list[dict[str, Any]]]:
    runs = []
    for rows in ({"asks": {"use": "asks"}}, {}):
        watcher = Rows()
        registry = Registry.of({"synthetic": SyntheticData, "asks": Asks})
        recipe = recipe_from_dict(tiny_recipe(balance=None, **rows), registry, "tiny")
        run_recipe(recipe, tmp_path_factory.mktemp("asks") / "run", device="cpu", watchers=[watcher])
        runs.append(watcher.rows)
    return runs


def test_accuracy_after_the_last_epoch_is_that_of_the_task(with_and_without: list[list[dict[str, Any]]]) -> None:
    rows = with_and_without[0]
    last = [row["pruned"][0]["top1"] for row in rows if row["kind"] == "epoch" and row["epoch"] == 3]
    # Without a classifier stage nothing changes in between.
    assert last == [row["top1"] for row in rows if row["kind"] == "task"]
    assert len(set(last)) > 1


def test_asking_changes_nothing(with_and_without: list[list[dict[str, Any]]]) -> None:
    asked, plain = (
        [(row["loss"], row["accuracy"]) if row["kind"] == "epoch" else row["accuracies"] for row in rows[:-1]]
        for rows in with_and_without
    )
    assert asked == plain


def test_no_samples_have_no_features_of_the_network_s_width() -> None:
    passes, network, _ = passes_over(batch=40)
    assert passes.features(Samples.empty()).shape == (0, network.width)
