"""Weight aligning against its definition, and WA as a whole."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from incrlearn import Phase, Plugin, PluginError, Registry, Result, RunState, Task, hookimpl, load_network, run_recipe
from incrlearn.network import BranchedNetwork, LinearHead
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe
from incrlearn.types import Backbone
from incrlearn_plugins.adjust.weight_align import WeightAlign, alignment_factor, obstacle_to_aligning


def draw(classes: int, width: int, seed: int = 1) -> Tensor:
    return torch.randn(classes, width, generator=torch.Generator().manual_seed(seed))


def state_of(head: nn.Module, known: int, seen: int, width: int) -> RunState:
    network = BranchedNetwork([Backbone(nn.Identity(), width)])
    network.head = head
    state = RunState(1, torch.device("cpu"), Task(2, 3, known, seen), (3, 32, 32), current=network)
    state.phase = Phase("train", 1, 2)
    return state


def linear(classes: int, width: int, bias: bool = False) -> LinearHead:
    return LinearHead(width, classes, bias, torch.Generator().manual_seed(1))


def test_factor_equals_float64_reference() -> None:
    weight = draw(7, 5)
    norms = [float(np.sqrt((row**2).sum())) for row in weight.double().numpy()]
    wanted = np.mean(norms[:4]) / np.mean(norms[4:])
    assert alignment_factor(weight, 4).item() == pytest.approx(wanted, rel=1e-6)


def test_factor_by_hand() -> None:
    # Norms 5 and 1 of the old classes, 6 of the new one: 3 / 6.
    weight = torch.tensor([[3.0, -4.0], [0.0, 1.0], [6.0, 0.0]])
    assert alignment_factor(weight, 2).item() == pytest.approx(0.5)


@pytest.mark.parametrize("zero", [slice(0, 2), slice(2, 3)])
def test_factor_is_one_where_there_is_nothing_to_scale(zero: slice) -> None:
    weight = draw(3, 4)
    weight[zero] = 0
    assert alignment_factor(weight, 2).item() == 1


@given(known=st.integers(1, 6), new=st.integers(1, 6), width=st.integers(1, 9), seed=st.integers(0, 999))
def test_mean_norms_are_equal_afterwards_and_only_the_new_classes_have_moved(
    known: int, new: int, width: int, seed: int
) -> None:
    head = linear(known + new, width, bias=True)
    with torch.no_grad():
        head.weight.copy_(draw(known + new, width, seed))
        head.bias.copy_(draw(1, known + new, seed)[0])
    before, bias = head.weight.detach().clone(), head.bias.detach().clone()
    WeightAlign("align", WeightAlign.Config()).phase_end(state_of(head, known, known + new, width))
    norms = head.weight.detach().norm(dim=1)
    torch.testing.assert_close(norms[:known].mean(), norms[known:].mean())
    assert torch.equal(head.weight[:known], before[:known])
    # Scaled by one number, not class by class.
    torch.testing.assert_close(head.weight[known:] * before[known:].norm(), before[known:] * head.weight[known:].norm())
    assert torch.equal(head.bias, bias)


def test_head_is_aligned_after_a_classifier_stage_too() -> None:
    head = linear(4, 3)
    state = state_of(head, 2, 4, 3)
    state.phase = Phase("balance", 1, 2, trains="head")
    WeightAlign("align", WeightAlign.Config()).phase_end(state)
    assert alignment_factor(head.weight.detach(), 2).item() == pytest.approx(1)


def test_first_task_is_not_aligned() -> None:
    head = linear(4, 3)
    before = head.weight.detach().clone()
    WeightAlign("align", WeightAlign.Config()).phase_end(state_of(head, 0, 4, 3))
    assert torch.equal(head.weight, before)


def test_weights_are_clipped_after_a_step_where_they_are_to_be_positive() -> None:
    head = linear(4, 3, bias=True)
    with torch.no_grad():
        head.bias.fill_(-1)
    before = head.weight.detach().clone()
    assert bool((before < 0).any())
    WeightAlign("align", WeightAlign.Config(positive=False)).after_step(state_of(head, 2, 4, 3))
    assert torch.equal(head.weight, before)
    WeightAlign("align", WeightAlign.Config()).after_step(state_of(head, 2, 4, 3))
    assert torch.equal(head.weight, before.clamp(min=0))
    assert torch.equal(head.bias, torch.full((4,), -1.0))


class Cosine(nn.Linear):
    """Logits that do not grow with the weights."""

    def forward(self, features: Tensor) -> Tensor:
        return nn.functional.linear(nn.functional.normalize(features), nn.functional.normalize(self.weight))


class Proxies(nn.Module):
    """Several rows for each class."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(draw(12, 5))


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (nn.Identity(), "it has no weight"),
        (Proxies(), r"\(12, 5\), not one row for each class and feature, \(4, 5\)"),
        (Cosine(5, 4, bias=False), "does not grow with its weight"),
    ],
)
def test_head_that_cannot_be_aligned_is_refused(head: nn.Module, words: str) -> None:
    with pytest.raises(PluginError, match=rf"'align' cannot align the head .*{words}.*; use the head 'linear'"):
        WeightAlign("align", WeightAlign.Config()).prepare(state_of(head, 2, 4, 5))


@pytest.mark.parametrize("bias", [False, True])
def test_linear_head_is_taken_and_left_as_it_was(bias: bool) -> None:
    head = linear(4, 5, bias)
    before = head.weight.detach().clone()
    assert obstacle_to_aligning(head, 4, 5) is None
    assert torch.equal(head.weight, before)


# -- WA as a whole -------------------------------------------------------------------------------------------------


class Norms(Plugin):
    """Notes the mean norms of old and new classes, and the smallest weight, at the end of each task."""

    kind = "log"
    found: ClassVar[dict[int, tuple[float, float, float]]]

    @hookimpl
    def record(self, state: RunState, row: dict[str, Any]) -> None:
        if row["kind"] == "task" and state.task.known:
            weight = state.network.head.weight.detach()
            norms = weight.norm(dim=1)
            old, new = norms[: state.task.known].mean(), norms[state.task.known :].mean()
            type(self).found[state.task.number] = (old.item(), new.item(), weight.min().item())


class PowerCut:
    """Stops a run in the second epoch of a task."""

    def __init__(self, task: int) -> None:
        self.task = task

    @hookimpl
    def epoch_end(self, state: RunState) -> None:
        if (state.task.number, state.epoch) == (self.task, 1):
            raise KeyboardInterrupt


WA: dict[str, Any] = {
    "network": "single",
    "head": {"use": "linear", "start": "inherit"},
    "loss": {"use": "cross_entropy", "weight": "new_share"},
    "distill": {"use": "distill", "weight": "old_share"},
    "align": "weight_align",
    "auxiliary": None,
    "balance": None,
}
DER: dict[str, Any] = {"align": {"use": "weight_align", "positive": False}, "balance": None}
REGISTRY = Registry.of({"synthetic": SyntheticData})


def run(out: Path, rows: dict[str, Any], *watchers: object, resume: bool = False) -> Result:
    recipe = recipe_from_dict(tiny_recipe(**rows), REGISTRY, "tiny")
    return run_recipe(recipe, out, device="cpu", watchers=watchers, resume=resume)


def comparable(result: Result) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k not in {"seconds", "latency_ms"}} for row in result.summary["tasks"]]


@pytest.mark.parametrize(("rows", "positive"), [(WA, True), (DER, False)], ids=["wa", "der with wa"])
def test_three_tasks_end_aligned_and_a_resumed_run_equals_one_that_went_through(
    rows: dict[str, Any], positive: bool, tmp_path: Path
) -> None:
    class Kept(Norms):
        found: ClassVar[dict[int, tuple[float, float, float]]] = {}

    through = run(tmp_path / "through", rows, Kept("norms", Plugin.Config()))
    assert set(Kept.found) == {2, 3}
    for old, new, smallest in Kept.found.values():
        assert old == pytest.approx(new, rel=1e-5)
        assert (smallest >= 0) == positive
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", rows, PowerCut(task=3))
    resumed = run(tmp_path / "cut", rows, resume=True)
    assert comparable(resumed) == comparable(through)
    first, second = (load_network(path, registry=REGISTRY).state_dict() for path in (through.run_dir, resumed.run_dir))
    assert all(torch.equal(first[name], second[name]) for name in first)
