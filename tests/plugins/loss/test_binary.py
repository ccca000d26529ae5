"""iCaRL's loss against its equation, in float64, and in a whole run."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from incrlearn import Batch, LossTerm, Output, Phase, Registry, Result, RunState, Task, hookimpl, run_recipe
from incrlearn.network import BranchedNetwork
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe
from incrlearn_plugins.loss.binary import Binary, binary_loss, binary_targets


def output_of(logits: Tensor) -> Output:
    return Output((logits,), logits, logits)


class Says:
    """A teacher that says what it is told to."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        self.network = BranchedNetwork([])

    def __call__(self, batch: Batch) -> Output:
        return output_of(self.logits)


def term_of(
    logits: Tensor, labels: list[int], old: Tensor | None, temperature: float = 1.0, **options: object
) -> LossTerm:
    known = 0 if old is None else old.shape[1]
    task = Task(1 if old is None else 2, 2, known, logits.shape[1])
    state = RunState(1, torch.device("cpu"), task, (1, 8, 8), teacher=None if old is None else Says(old))
    state.phase = Phase("train", 1, 8, temperature=temperature)
    batch = Batch(torch.zeros(len(labels), 1, 8, 8), torch.tensor(labels))
    (term,) = Binary("loss", Binary.Config.model_validate(options)).loss_terms(state, batch, output_of(logits))
    return term


def sigmoid(a: float) -> float:
    return 1 / (1 + math.exp(-a))


def defined_loss(logits: np.ndarray, labels: list[int], old: np.ndarray | None) -> float:
    """iCaRL, Algorithm 3, class by class and image by image, over the number of images."""
    known = 0 if old is None else old.shape[1]
    total = 0.0
    for i, label in enumerate(labels):
        for y, a in enumerate(logits[i]):
            target = sigmoid(old[i, y]) if old is not None and y < known else float(y == label)
            total -= target * math.log(sigmoid(a)) + (1 - target) * math.log(1 - sigmoid(a))
    return total / len(labels)


@pytest.mark.parametrize(
    ("known", "classes", "labels"),
    [
        pytest.param(0, 3, [0, 2, 1, 1], id="first task"),
        pytest.param(0, 1, [0], id="first task of one class and one image"),
        pytest.param(3, 5, [4, 0, 2, 3, 1], id="old and new"),
        pytest.param(3, 5, [4, 3, 3], id="no old class in the batch"),
        pytest.param(3, 5, [0, 1, 1], id="no new class in the batch"),
        pytest.param(3, 4, [3, 0], id="one new class"),
    ],
)
def test_equals_float64_reference(known: int, classes: int, labels: list[int]) -> None:
    generator = torch.Generator().manual_seed(known + classes)
    logits = 2 * torch.randn(len(labels), classes, generator=generator)
    old = 2 * torch.randn(len(labels), known, generator=generator) if known else None
    wanted = defined_loss(logits.double().numpy(), labels, None if old is None else old.double().numpy())
    assert term_of(logits, labels, old).value.item() == pytest.approx(wanted, rel=1e-5)
    mean = term_of(logits, labels, old, over_classes="mean").value.item()
    assert mean == pytest.approx(wanted / classes, rel=1e-5)


def test_by_hand() -> None:
    # Two images, one old class and one new; every logit of the student is 0, so each sigmoid costs log 2 whatever its
    # target: 2 log 2 an image.
    assert term_of(torch.zeros(2, 2), [0, 1], torch.tensor([[3.0], [-3.0]])).value.item() == pytest.approx(
        2 * math.log(2)
    )
    # a = log 3 is g = 3/4. First task, one image of class 0: -log(3/4) - log(1 - 3/4) = log(16/3).
    term = term_of(torch.full((1, 2), math.log(3)), [0], None)
    assert (term.name, term.weight) == ("loss", 1.0)
    assert term.value.item() == pytest.approx(math.log(16 / 3))


def test_exemplar_of_an_old_class_has_the_teachers_word_and_no_label() -> None:
    # sigmoid(log 3) = 3/4, sigmoid(-log 3) = 1/4
    old = torch.tensor([[math.log(3), -math.log(3)]] * 2)
    targets = binary_targets(torch.tensor([1, 2]), 4, old)
    torch.testing.assert_close(targets, torch.tensor([[0.75, 0.25, 0.0, 0.0], [0.75, 0.25, 1.0, 0.0]]))


@pytest.mark.parametrize("temperature", [1.0, 5.0])
def test_network_that_says_what_the_teacher_says_is_not_moved_on_old_classes(temperature: float) -> None:
    old = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
    # What a phase with a temperature hands to losses is divided by it.
    logits = (torch.cat([old, torch.zeros(6, 2)], dim=1) / temperature).requires_grad_()
    term_of(logits, [0, 1, 2, 3, 4, 4], old, temperature).value.backward()
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad[:, :3], torch.zeros(6, 3))
    assert bool((logits.grad[:, 3:] != 0).all())


def test_large_logits_cost_what_they_should() -> None:
    logits, targets = torch.tensor([[200.0, -200.0]]), torch.tensor([[0.0, 0.0]])
    assert binary_loss(logits, targets).item() == pytest.approx(200.0)


def test_weight_is_handed_on() -> None:
    assert term_of(torch.zeros(1, 2), [0], None, weight=0.3).weight == 0.3


@pytest.mark.parametrize("options", [{"over_classes": "max"}, {"weight": -0.1}])
def test_option_out_of_range_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Binary.Config.model_validate(options)


REGISTRY = Registry.of({"synthetic": SyntheticData})
ICARL: dict[str, Any] = {
    "network": "single",
    "head": {"use": "linear", "bias": True, "start": "inherit"},
    "loss": "binary",
    "auxiliary": None,
    "balance": None,
    "train": {
        "use": "sgd",
        "lr": 0.05,
        "batch": 16,
        "epochs": 12,
        "milestones": [10],
        "warmup": 1,
        "fresh_heads": False,
    },
    "scores": "nearest_mean",
}


def run(out: Path, *watchers: object, resume: bool = False) -> Result:
    recipe = recipe_from_dict(tiny_recipe(**ICARL), REGISTRY, "tiny")
    return run_recipe(recipe, out, device="cpu", watchers=watchers, resume=resume)


def comparable(result: Result) -> list[dict[str, Any]]:
    wall_times = {"seconds", "latency_ms"}
    return [{k: v for k, v in row.items() if k not in wall_times} for row in result.summary["tasks"]]


class PowerCut:
    """Stops a run at the end of the second task's first epoch."""

    @hookimpl
    def epoch_end(self, state: RunState) -> None:
        if state.task.number == 2:
            raise KeyboardInterrupt


def test_icarl_learns_three_tasks_and_is_resumed_the_same(tmp_path: Path) -> None:
    through = run(tmp_path / "through")
    # Two classes of six in the last task: who forgets the rest has 33 %.
    assert through.summary["metrics"]["last"]["value"] > 45
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", PowerCut())
    assert comparable(run(tmp_path / "cut", resume=True)) == comparable(through)


def test_classifier_stage_of_a_growing_network_takes_it_for_its_classification_loss(tmp_path: Path) -> None:
    recipe = recipe_from_dict(tiny_recipe(loss="binary"), REGISTRY, "tiny")
    result = run_recipe(recipe, tmp_path / "run", device="cpu")
    assert [row["classes"] for row in result.summary["tasks"]] == [2, 4, 6]
