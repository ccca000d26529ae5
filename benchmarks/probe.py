"""How much the features of finished runs hold, and what their heads make of it: ``python benchmarks/probe.py RUN...``.

The network after the last task of each run is loaded. Linear probes (multinomial logistic regression over standardised
features) are fitted to images that no method of class-incremental learning may have, all training images of all classes
and half of the test images, and to the exemplars, which all methods have. What the first probe reaches above the run's
own head is lost in the head, by its bias towards new classes or because it saw few exemplars; what one run's probe has
above another's is in the features.

Every accuracy is top-1 in percent over the test images. Penalties are chosen on one half of them for the other, but for
the probe that is fitted to test images, whose penalty is fixed. Means and probes are taken in float32 on the CPU. The
head is that of the network: where another plug-in scores test images, as in iCaRL, it is not what the run reports.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch.nn.functional import normalize, one_hot

from incrlearn import Network, Registry, Samples, load_network, load_recipe
from incrlearn.data import Loader, make_loader
from incrlearn.engine.checkpoint import read_checkpoint
from incrlearn.engine.plan import Plan, make_plan
from incrlearn.memory import ExemplarMemory

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)
"""Inverse strengths of the L2 penalty to choose from."""
PENALTY_UNSEEN = 1e-3
"""The same of the probe that is fitted to test images."""
BATCH = 500


@dataclass(frozen=True)
class Features:
    """Of some images: features (n, D), logits (n, K) and labels (n,), float32 and int64 on the CPU."""

    features: torch.Tensor
    logits: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True)
class Row:
    """What is told of one run."""

    head: float
    nearest_mean: float
    """Nearest mean of the L2-normalised features of all training images (of exemplars in iCaRL)."""
    probe: float
    """Linear probe fitted to all training images."""
    probe_unseen: float
    """Linear probe fitted to one half of the test images and used on the other."""
    probe_exemplars: float
    """Linear probe fitted to the exemplars that are kept after the last task."""
    given_to_newest: float
    """Of the test images, the share in percent that the head gives to classes of the last task."""


@torch.inference_mode()
def extract(network: Network, loader: Loader, samples: Samples) -> Features:
    """Features of images as they are evaluated, in float32."""
    outputs = [(network(batch.images), batch.labels) for batch in loader.plain(samples, BATCH)]
    return Features(
        torch.cat([out.features.float() for out, _ in outputs]),
        torch.cat([out.logits.float() for out, _ in outputs]),
        torch.cat([labels for _, labels in outputs]),
    )


def top1(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Percent."""
    return 100.0 * float((predicted == labels).mean())


def nearest_mean(train: Features, test: Features) -> np.ndarray:
    """The class whose mean is nearest, (n,)."""
    membership = one_hot(train.labels).float()
    means = normalize(membership.T @ normalize(train.features), dim=1)
    return (normalize(test.features) @ means.T).argmax(dim=1).numpy()


def probed(train: Features, test: Features, halves: np.ndarray) -> np.ndarray:
    """Classes by a linear probe, (n,): for each half of the test images by the penalty that was best on the other."""
    scaler = StandardScaler().fit(train.features.numpy())
    images, labels = scaler.transform(train.features.numpy()), test.labels.numpy()
    guesses = []
    for penalty in PENALTIES:
        probe = LogisticRegression(C=penalty, max_iter=200, tol=1e-3).fit(images, train.labels.numpy())
        guesses.append(probe.predict(scaler.transform(test.features.numpy())))
    chosen = np.empty_like(labels)
    for half in (0, 1):
        other = halves != half
        best = max(guesses, key=lambda guess: top1(guess[other], labels[other]))
        chosen[~other] = best[~other]
    return chosen


def probed_on_unseen(test: Features, halves: np.ndarray) -> np.ndarray:
    """Classes by probes that are fitted to the other half of the test images."""
    chosen = np.empty(len(test.labels), dtype=np.int64)
    for half in (0, 1):
        fit, use = (torch.from_numpy(halves != half), torch.from_numpy(halves == half))
        scaler = StandardScaler().fit(test.features[fit].numpy())
        probe = LogisticRegression(C=PENALTY_UNSEEN, max_iter=200, tol=1e-3)
        probe.fit(scaler.transform(test.features[fit].numpy()), test.labels[fit].numpy())
        chosen[use.numpy()] = probe.predict(scaler.transform(test.features[use].numpy()))
    return chosen


def probe_run(run: Path, plan: Plan) -> Row:
    """All numbers of one run."""
    network, last = load_network(run), plan.scenario.tasks[-1]
    source = plan.source
    # Where tasks are cumulative, the last one has all images already.
    tasks = [last] if plan.recipe.data.scenario.cumulative else plan.scenario.tasks
    samples = [plan.scenario.training_samples(task) for task in tasks]
    train_loader = make_loader(source, source.train, torch.device("cpu"))
    test_loader = make_loader(source, source.test, torch.device("cpu"))
    train = extract(network, train_loader, sum(samples[1:], samples[0]))
    test = extract(network, test_loader, plan.scenario.test_samples(last))
    memory = ExemplarMemory()
    memory.load_state_dict(read_checkpoint(run, last.number).progress.memory)
    kept = memory.samples() + memory.held_out()
    exemplars = extract(network, train_loader, kept) if len(kept) else None
    labels, said = test.labels.numpy(), test.logits.argmax(dim=1).numpy()
    halves = np.random.default_rng(0).permutation(len(labels)) % 2
    return Row(
        head=top1(said, labels),
        nearest_mean=top1(nearest_mean(train, test), labels),
        probe=top1(probed(train, test, halves), labels),
        probe_unseen=top1(probed_on_unseen(test, halves), labels),
        probe_exemplars=top1(probed(exemplars, test, halves), labels) if exemplars is not None else math.nan,
        given_to_newest=100.0 * float((said >= last.known).mean()),
    )


def main() -> None:
    """Print one line of JSON a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, help="where the data sets lie")
    arguments = parser.parse_args()
    for run in arguments.runs:
        recipe = load_recipe(run / "recipe.yaml", Registry.discover())
        row = probe_run(run, make_plan(recipe, arguments.data))
        print(json.dumps({"run": str(run)} | {name: round(value, 2) for name, value in vars(row).items()}), flush=True)


if __name__ == "__main__":
    main()
