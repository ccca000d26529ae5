"""Knowledge distillation against float64, and LwF as a whole."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from incrlearn import (
    Batch,
    LossTerm,
    Network,
    Output,
    Phase,
    RecipeError,
    Registry,
    Result,
    RunState,
    Task,
    hookimpl,
    load_network,
    run_recipe,
)
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe
from incrlearn_plugins.loss.distill import Distill, distillation_loss


def reference(logits: Tensor, teacher: Tensor, temperature: float) -> float:
    """-1/B sum_i sum_k p_ik log q_ik, from the definition of both softmaxes."""
    total = 0.0
    for new, old in zip(logits.double().tolist(), teacher.double().tolist(), strict=True):
        p = np.exp(np.array(old) / temperature)
        q = np.exp(np.array(new) / temperature)
        total -= float((p / p.sum() * np.log(q / q.sum())).sum())
    return total / len(logits)


def draw(images: int, classes: int, seed: int) -> Tensor:
    return 3 * torch.randn(images, classes, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 5.0])
def test_equals_float64_reference(temperature: float) -> None:
    logits, teacher = draw(7, 4, seed=1), draw(7, 4, seed=2)
    value = distillation_loss(logits, teacher, temperature).item()
    np.testing.assert_allclose(value, reference(logits, teacher, temperature), rtol=1e-5)


def test_by_hand() -> None:
    # At T = 2 the teacher has odds 9^(1/2) = 3 to 1, the network 1 to 1: the cross-entropy is log 2.
    assert distillation_loss(torch.zeros(1, 2), torch.tensor([[np.log(9.0), 0.0]]), 2.0).item() == pytest.approx(
        np.log(2)
    )
    # The other way round: 1/2 log 4/3 + 1/2 log 4.
    assert distillation_loss(torch.tensor([[np.log(9.0), 0.0]]), torch.zeros(1, 2), 2.0).item() == pytest.approx(
        np.log(16 / 3) / 2
    )


def test_one_old_class_has_nothing_to_distil() -> None:
    assert distillation_loss(draw(5, 1, seed=1), draw(5, 1, seed=2), 2.0).item() == 0


@given(classes=st.integers(2, 6), temperature=st.floats(0.5, 8), seed=st.integers(0, 999))
def test_least_where_the_network_says_what_the_teacher_says_and_then_without_a_gradient(
    classes: int, temperature: float, seed: int
) -> None:
    teacher = draw(4, classes, seed)
    same = (teacher + 1.5).requires_grad_()  # a constant on all logits changes nothing
    least = distillation_loss(same, teacher, temperature)
    least.backward()
    assert same.grad is not None
    assert same.grad.abs().max() < 1e-6
    assert distillation_loss(draw(4, classes, seed + 1), teacher, temperature) > least - 1e-5


class Says:
    """A teacher that gives the logits it was made with."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    @property
    def network(self) -> Network:
        raise AssertionError("nobody should need the copy itself")

    def __call__(self, batch: Batch) -> Output:
        return Output((self.logits,), self.logits, self.logits)


def terms_of(logits: Tensor, teacher: Tensor | None, softening: float = 1.0, **options: Any) -> list[LossTerm]:
    seen, known = logits.shape[1], 0 if teacher is None else teacher.shape[1]
    state = RunState(1, torch.device("cpu"), Task(2, 3, known, seen), (3, 32, 32))
    state.teacher = None if teacher is None else Says(teacher)
    state.phase = Phase("train", 1, 2, temperature=softening)
    batch = Batch(torch.zeros(len(logits), 1, 1, 1), torch.zeros(len(logits), dtype=torch.int64))
    plugin = Distill("distill", Distill.Config(**options))
    return plugin.loss_terms(state, batch, Output((logits,), logits, logits))


def test_only_the_logits_of_old_classes_count() -> None:
    logits, teacher = draw(6, 5, seed=3), draw(6, 3, seed=4)
    (term,) = terms_of(logits, teacher)
    np.testing.assert_allclose(term.value.item(), reference(logits[:, :3], teacher, 2.0), rtol=1e-5)
    assert (term.name, term.weight) == ("distill", 1.0)


def test_weight_is_a_number_or_the_share_of_old_classes() -> None:
    logits, teacher = draw(6, 5, seed=3), draw(6, 3, seed=4)
    assert terms_of(logits, teacher, weight=3.0)[0].weight == 3.0
    assert terms_of(logits, teacher, weight="old_share")[0].weight == pytest.approx(3 / 5)


def test_temperature_of_a_phase_holds_for_the_teacher_too() -> None:
    logits, teacher = draw(6, 5, seed=3), draw(6, 3, seed=4)
    # The loss gets logits that the phase has divided by 4 already.
    (term,) = terms_of(logits / 4, teacher, softening=4.0, temperature=2.0)
    np.testing.assert_allclose(term.value.item(), reference(logits[:, :3], teacher, 8.0), rtol=1e-5)


def test_first_task_has_none() -> None:
    assert terms_of(draw(6, 5, seed=3), None) == []


@pytest.mark.parametrize("options", [{"temperature": 0.0}, {"weight": -1.0}, {"weight": "new_share"}])
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Distill.Config(**options)


# -- LwF as a whole ------------------------------------------------------------------------------------------------

REGISTRY = Registry.of({"synthetic": SyntheticData})


def lwf(**rows: Any) -> dict[str, Any]:
    own: dict[str, Any] = {
        "network": "single",
        "head": {"use": "linear", "bias": True, "start": "inherit"},
        "loss": {"use": "cross_entropy", "over": "new"},
        "distill": "distill",
        "auxiliary": None,
        "memory": None,
        "balance": None,
        "train": {"use": "sgd", "lr": 0.05, "batch": 16, "epochs": 3, "milestones": [2], "warmup": 0},
    }
    return tiny_recipe(**(own | rows))


class PowerCut:
    """Stops a run in the second epoch of a task."""

    def __init__(self, task: int) -> None:
        self.task = task

    @hookimpl
    def epoch_end(self, state: RunState) -> None:
        if (state.task.number, state.epoch) == (self.task, 1):
            raise KeyboardInterrupt


class Terms:
    """Notes the loss terms of each task's last epoch."""

    def __init__(self) -> None:
        self.of: dict[int, dict[str, float]] = {}

    @hookimpl
    def record(self, row: dict[str, Any]) -> None:
        if row["kind"] == "epoch":
            self.of[row["task"]] = row["terms"]


def run(out: Path, *watchers: object, resume: bool = False, **rows: Any) -> Result:
    recipe = recipe_from_dict(lwf(**rows), REGISTRY, "tiny")
    return run_recipe(recipe, out, device="cpu", watchers=watchers, resume=resume)


def comparable(result: Result) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k not in {"seconds", "latency_ms"}} for row in result.summary["tasks"]]


def test_three_tasks_train_and_a_resumed_run_equals_one_that_went_through(tmp_path: Path) -> None:
    terms = Terms()
    through = run(tmp_path / "through", terms)
    assert {task: sorted(found) for task, found in terms.of.items()} == {
        1: ["loss"],
        2: ["distill", "loss"],
        3: ["distill", "loss"],
    }
    assert [row["exemplars"] for row in through.summary["tasks"]] == [0, 0, 0]
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", PowerCut(task=3))
    resumed = run(tmp_path / "cut", resume=True)
    assert comparable(resumed) == comparable(through)
    first, second = (load_network(path, registry=REGISTRY).state_dict() for path in (through.run_dir, resumed.run_dir))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_recipe_needs_no_plugin_that_provides_the_teacher_and_names_what_a_weight_may_be() -> None:
    with pytest.raises(RecipeError, match=r"plugins\.distill\.weight: must be a number of at least 0 or 'old_share'"):
        recipe_from_dict(lwf(distill={"use": "distill", "weight": "oldshare"}), REGISTRY, "tiny")
    whole = recipe_from_dict(lwf(distill={"use": "distill", "weight": 3}), REGISTRY, "tiny")
    assert whole.resolved()["plugins"]["distill"]["weight"] == 3.0
