"""BiC as a whole: who trains on what, what the correction changes, and runs that are resumed."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import torch

from incrlearn import (
    Phase,
    RecipeError,
    Registry,
    Result,
    RunState,
    Samples,
    hookimpl,
    load_network,
    run_recipe,
)
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe
from incrlearn_plugins.phase.bias_layer import Correction

REGISTRY = Registry.of({"synthetic": SyntheticData})


def bic(**rows: Any) -> dict[str, Any]:
    train = {"use": "sgd", "lr": 0.05, "batch": 16, "epochs": 3, "milestones": [2], "warmup": 1, "fresh_heads": False}
    method: dict[str, Any] = {
        "network": {"use": "single"},
        "head": {"use": "linear", "bias": True, "start": "inherit"},
        "loss": {"use": "cross_entropy", "weight": "new_share"},
        "distill": {"use": "distill", "weight": "old_share"},
        "auxiliary": None,
        "balance": None,
        "train": train,
        "bias": {"use": "bias_layer", "share": 0.3, "epochs": 4, "milestones": [3]},
    }
    return tiny_recipe(**(method | rows))


def run(out: Path, *watchers: object, resume: bool = False, **rows: Any) -> Result:
    return run_recipe(
        recipe_from_dict(bic(**rows), REGISTRY, "tiny"), out, device="cpu", watchers=watchers, resume=resume
    )


class Watches:
    """Whose images are in which phase, and what the phase of the correction changes."""

    def __init__(self) -> None:
        self.trained: dict[tuple[int, str], set[int]] = {}
        self.held_out: dict[int, Samples] = {}
        self.layers: dict[int, tuple[float, float]] = {}
        self.changed: dict[int, set[str]] = {}
        self.told: dict[int, dict[str, Any]] = {}

    @hookimpl
    def prepare(self, state: RunState) -> None:
        self.held_out[state.task.number] = state.held_out

    @hookimpl(wrapper=True)
    def select_data(self, state: RunState, phase: Phase) -> Generator[None, Samples, Samples]:
        samples = yield
        self.trained[state.task.number, phase.name] = set(samples.indices.tolist())
        return samples

    @hookimpl
    def phase_start(self, state: RunState) -> None:
        self.before = {name: tensor.clone() for name, tensor in state.network.state_dict().items()}

    @hookimpl
    def epoch_end(self, state: RunState) -> None:
        if state.phase is not None and state.phase.name == "bias":
            layer = state.network.attached("bias")
            assert isinstance(layer, Correction)
            self.layers[state.task.number] = layer.alpha.item(), layer.beta.item()
            now = state.network.state_dict()
            self.changed[state.task.number] = {n for n, t in now.items() if not torch.equal(t, self.before[n])}
            self.logits = state.network(torch.ones(1, 1, 8, 8)).logits.detach().double()

    @hookimpl
    def task_end(self, state: RunState) -> None:
        if state.task.known:
            alpha, beta = self.layers[state.task.number]
            wanted = self.logits.clone()
            wanted[:, state.task.known :] = alpha * wanted[:, state.task.known :] + beta
            state.network.eval()
            found = state.network(torch.ones(1, 1, 8, 8)).logits.detach().double()
            torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
            assert torch.equal(found[:, : state.task.known], self.logits[:, : state.task.known])
            assert len(state.network.attachments) == 0

    @hookimpl
    def record(self, row: dict[str, Any]) -> None:
        if row["kind"] == "task":
            self.told[row["task"]] = row


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Watches]:
    watches = Watches()
    return run(tmp_path_factory.mktemp("bic") / "run", watches), watches


def test_held_out_images_are_in_no_phase_but_that_of_the_correction(finished: tuple[Result, Watches]) -> None:
    _, watches = finished
    assert set(watches.trained) == {(1, "train"), (2, "train"), (2, "bias"), (3, "train"), (3, "bias")}
    ever: set[int] = set()
    for task in (1, 2, 3):
        held_out = set(watches.held_out[task].indices.tolist())
        ever |= held_out
        assert held_out
        assert not watches.trained[task, "train"] & ever
        if task > 1:
            assert watches.trained[task, "bias"] <= held_out
    labels = watches.held_out[3].labels
    assert set(labels.tolist()) == set(range(6))


def test_the_correction_alone_learns_and_is_folded_exactly(finished: tuple[Result, Watches]) -> None:
    _, watches = finished
    assert set(watches.layers) == {2, 3}
    for task in (2, 3):
        assert watches.changed[task] == {"attachments.for bias.alpha", "attachments.for bias.beta"}
        told = watches.told[task]
        assert (told["bias_alpha"], told["bias_beta"]) == pytest.approx(watches.layers[task])
        assert watches.layers[task] != (1.0, 0.0)
    assert "bias_alpha" not in watches.told[1]


def test_nothing_is_added_to_the_network(finished: tuple[Result, Watches], tmp_path: Path) -> None:
    result, _ = finished
    without = run(tmp_path / "without", bias=None)
    counts = [[row["parameters"] for row in made.summary["tasks"]] for made in (result, without)]
    assert counts[0] == counts[1]
    network = load_network(result.run_dir, registry=REGISTRY)
    assert {name for name, _ in network.head.named_parameters()} == {"weight", "bias"}


class PowerCut:
    @hookimpl
    def phase_start(self, state: RunState) -> None:
        if state.phase is not None and (state.task.number, state.phase.name) == (3, "bias"):
            raise KeyboardInterrupt


def test_resumed_run_equals_one_that_went_through(finished: tuple[Result, Watches], tmp_path: Path) -> None:
    result, _ = finished
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", PowerCut())
    resumed = run(tmp_path / "cut", resume=True)
    first, second = (load_network(made.run_dir, registry=REGISTRY).state_dict() for made in (result, resumed))
    assert all(torch.equal(first[name], second[name]) for name in first)
    rows = [[(row["accuracies"], row["exemplars"]) for row in made.summary["tasks"]] for made in (result, resumed)]
    assert rows[0] == rows[1]


def test_der_is_corrected_too(tmp_path: Path) -> None:
    rows = {"network": {"use": "expandable"}, "auxiliary": {"use": "auxiliary"}, "distill": None}
    result = run(tmp_path / "run", **rows, loss="cross_entropy", head={"use": "linear", "bias": True})
    assert [row["exemplars"] for row in result.summary["tasks"]] == [18, 16, 18]
    assert all("bias_alpha" in row for row in result.summary["tasks"][1:])


def test_memory_is_needed() -> None:
    with pytest.raises(RecipeError, match="exemplars"):
        recipe_from_dict(bic(memory=None), REGISTRY, "tiny")


def test_memory_with_one_exemplar_a_class_is_refused_before_training(tmp_path: Path) -> None:
    words = r"plugins\.bias: .* after task 2 the memory keeps 1 of each; give it at least 2 of each, 8 in all by then"
    with pytest.raises(RecipeError, match=words):
        run(tmp_path / "run", memory={"use": "herding", "total": 7})
    assert not (tmp_path / "run").exists()
