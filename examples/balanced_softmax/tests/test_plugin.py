"""The loss against a reference in plain Python, and what it does in a run."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from incrlearn import PluginError, Registry, load_recipe, run_recipe
from torch.nn.functional import cross_entropy

from incrlearn_balanced_softmax import balanced_softmax

RECIPE = Path(__file__).parents[1] / "recipes" / "balanced_softmax_digits.yaml"
SHORT = ["data.classes=4", "data.tasks=2", "plugins.train.epochs=4", "plugins.train.milestones=[]"]
SHORT += ["plugins.train.warmup=0", "precision=float32"]


def reference(logits: list[list[float]], labels: list[int], counts: list[int]) -> float:
    """The mean of the equation, image by image."""
    losses = []
    for row, label in zip(logits, labels, strict=True):
        weighted = [n * math.exp(z) for n, z in zip(counts, row, strict=True)]
        losses.append(-math.log(weighted[label] / sum(weighted)))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("counts", [[500, 500, 20, 20], [1, 1, 1, 1], [3, 100, 7, 1]])
def test_loss_is_the_reference(counts: list[int]) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(9, 4, generator=generator, dtype=torch.float64)
    labels = torch.randint(4, (9,), generator=generator)
    found = balanced_softmax(logits, labels, torch.tensor(counts, dtype=torch.float64).log())
    assert math.isclose(float(found), reference(logits.tolist(), labels.tolist(), counts), rel_tol=1e-12)


def test_balanced_data_is_cross_entropy() -> None:
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(2))
    labels = torch.tensor([0, 2, 1, 1, 0])
    torch.testing.assert_close(balanced_softmax(logits, labels, torch.full((3,), 4.0)), cross_entropy(logits, labels))


def test_by_hand() -> None:
    # Equal logits: the probability of a class is its share of the images, 1/4 here.
    found = balanced_softmax(torch.zeros(1, 2), torch.tensor([1]), torch.tensor([3.0, 1.0]).log())
    assert math.isclose(float(found), math.log(4), rel_tol=1e-6)


def last_task(folder: Path, *overrides: str) -> dict[str, Any]:
    recipe = load_recipe(RECIPE, Registry.discover(), [*SHORT, *overrides])
    task: dict[str, Any] = run_recipe(recipe, folder, device="cpu").summary["tasks"][-1]
    return task


def test_old_classes_lose_less_to_new_ones_than_without_the_counts(tmp_path: Path) -> None:
    balanced = last_task(tmp_path / "balanced")
    plain = last_task(tmp_path / "plain", "plugins.loss.strength=0")
    assert balanced["top1_old"] > plain["top1_old"] + 5
    assert balanced["top1"] > plain["top1"]


def test_without_strength_a_run_is_that_of_cross_entropy(tmp_path: Path) -> None:
    found = last_task(tmp_path / "own", "plugins.loss.strength=0")
    wanted = last_task(tmp_path / "core", "plugins.loss=cross_entropy")
    assert found["accuracies"] == wanted["accuracies"]


def test_classes_without_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"no image of the classes \[0, 1\].*give the recipe a memory"):
        last_task(tmp_path / "run", "plugins.memory=null")
