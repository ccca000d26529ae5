"""Images per second of a DER training step, beside a plain loop, in one run: ``python benchmarks/step.py``.

The plain loop is what published code does: float32, NCHW, a DataLoader with PIL transforms, ``.item()`` each batch.
Both loops train the same network (frozen extractors without gradients in both) with the same losses and augmentation
on the same random images; only the ratio is worth quoting, machines differ and are noisy. The two are timed in turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from incrlearn import Network, Phase, RunState, Samples, Task
from incrlearn.calls import Calls
from incrlearn.data import ArrayImages, Augment, Loader, Source, Split, make_loader
from incrlearn.engine.defaults import CoreDefaults
from incrlearn.engine.passes import RunPasses
from incrlearn.engine.phase import EpochTotals, train_step
from incrlearn.engine.runtime import Runtime
from incrlearn.network import BranchedNetwork, LinearHead, build_backbone
from incrlearn.recipe import BackboneOptions
from incrlearn_plugins.loss.auxiliary import Auxiliary, auxiliary_targets
from incrlearn_plugins.loss.cross_entropy import CrossEntropy

MEAN, STD = (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)
CLASSES_A_TASK = 10


class PilImages(Dataset[tuple[torch.Tensor, int]]):
    """Decoded images behind torchvision's transforms, as `torchvision.datasets.CIFAR100` gives them."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray) -> None:
        self.pixels, self.labels = pixels, labels
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ColorJitter(brightness=63 / 255),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), int(self.labels[index])


def make_network(extractors: int, width: tuple[int, ...]) -> BranchedNetwork:
    """Extractors side by side, all but the newest frozen."""
    options = BackboneOptions(name="resnet18", stem="cifar", options={"channels": list(width)})
    backbones = [build_backbone(options, channels=3, seed=number) for number in range(extractors)]
    network = BranchedNetwork(backbones, frozen=extractors - 1)
    network.head = LinearHead(network.width, CLASSES_A_TASK * extractors, False, torch.Generator())
    return network


def plain_steps(
    network: BranchedNetwork, data: PilImages, batch: int, device: torch.device, workers: int
) -> Iterator[int]:
    """The plain loop, a step at a time; yields the images of the step."""
    known = CLASSES_A_TASK * (len(network.backbones) - 1)
    network = network.to(device).train()
    head = torch.nn.Linear(network.widths[-1], CLASSES_A_TASK + 1, bias=False).to(device)
    weights = [p for p in [*network.parameters(), *head.parameters()] if p.requires_grad]
    optimizer = torch.optim.SGD(weights, lr=0.1, momentum=0.9, weight_decay=5e-4)
    total = 0.0
    while True:
        for images, labels in DataLoader(data, batch, shuffle=True, num_workers=workers, drop_last=True):
            images, labels = images.to(device), labels.to(device)
            out = network(images)
            loss = cross_entropy(out.logits, labels)
            if known:
                loss = loss + cross_entropy(head(out.parts[-1]), auxiliary_targets(labels, known))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
            yield len(labels)


def our_steps(network: Network, loader: Loader, samples: Samples, batch: int, runtime: Runtime) -> Iterator[int]:
    """The engine's step: its loader, its forward pass, its hooks."""
    tasks = len(network.widths)
    task = Task(tasks, tasks, CLASSES_A_TASK * (tasks - 1), CLASSES_A_TASK * tasks)
    plugins = [CrossEntropy("loss", CrossEntropy.Config()), Auxiliary("auxiliary", Auxiliary.Config())]
    calls = Calls(plugins, core=[CoreDefaults()])
    phase = Phase("train", epochs=1, batch=batch)
    state = RunState(1, runtime.device, task, (3, 32, 32), phase=phase, current=network)
    runtime.place(network)
    calls.prepare(state, RunPasses(state, runtime, loader, batch, lambda _: 0.0))
    network.train()
    optimizer = torch.optim.SGD(calls.param_groups(state, phase), lr=0.1, momentum=0.9, weight_decay=5e-4)
    while True:
        totals = EpochTotals()
        for images in loader.train(samples, batch, state.generator("order"), state.generator("augment")):
            if len(images) == batch:
                totals.add(*train_step(state, phase, images, 0.0, calls, runtime, optimizer), images)
                yield batch


def rate(steps: Iterator[int], count: int, device: torch.device) -> float:
    """Images per second over ``count`` steps."""
    _synchronise(device)
    started = time.perf_counter()
    images = sum(next(steps) for _ in range(count))
    _synchronise(device)
    return images / (time.perf_counter() - started)


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    """Time both loops at 1 and 5 extractors and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bf16"])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=3, help="steps a measurement")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each loop, in turns; the median counts")
    parser.add_argument("--workers", type=int, default=0, help="workers of the plain loop's DataLoader")
    parser.add_argument("--channels", type=int, nargs=4, default=[64, 128, 256, 512], help="ResNet-18's widths")
    options = parser.parse_args()

    runtime = Runtime(options.device, options.precision)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (options.batch * 8, 32, 32, 3), dtype=np.uint8)
    print(f"{runtime.hardware()}  torch {torch.__version__}  batch {options.batch}  ours in {runtime.precision}")
    print(f"{'extractors':>10} {'plain img/s':>12} {'ours img/s':>12} {'ratio':>6}")
    for extractors in (1, 5):
        # Every class is there, however few the images.
        labels = rng.permutation(np.arange(len(pixels)) % (CLASSES_A_TASK * extractors))
        split = Split(ArrayImages(pixels), labels)
        classes = tuple(map(str, range(CLASSES_A_TASK * extractors)))
        augment = Augment(padding=4, flip=True, brightness=63 / 255)
        source = Source("random", classes, split, split, {}, augment, 3, 32, MEAN, STD)
        samples = Samples(torch.arange(len(labels)), torch.from_numpy(labels))
        loader = make_loader(source, split, runtime.device)
        width = tuple(options.channels)
        loops = {
            "plain": plain_steps(
                make_network(extractors, width),
                PilImages(pixels, labels),
                options.batch,
                runtime.device,
                options.workers,
            ),
            "ours": our_steps(make_network(extractors, width), loader, samples, options.batch, runtime),
        }
        for steps in loops.values():
            rate(steps, 1, runtime.device)
        rates: dict[str, list[float]] = {name: [] for name in loops}
        for _ in range(options.rounds):
            for name, steps in loops.items():
                rates[name].append(rate(steps, options.steps, runtime.device))
        plain, ours = (statistics.median(rates[name]) for name in ("plain", "ours"))
        print(f"{extractors:>10} {plain:>12.1f} {ours:>12.1f} {ours / plain:>6.2f}")


if __name__ == "__main__":
    main()
