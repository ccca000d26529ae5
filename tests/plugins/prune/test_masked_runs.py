"""Runs with channel masks as recipes may want them: the paper's way, budgets, long ones, and none."""

import math
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils import parametrize

from incrlearn import Batch, Registry, Result, RunState, hookimpl, load_network, run_recipe
from incrlearn.network import BranchedNetwork
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe

REGISTRY = Registry.of({"synthetic": SyntheticData})
TRAIN = {"use": "sgd", "lr": 0.05, "batch": 16, "epochs": 5, "milestones": [2, 4], "warmup": 1}


class Watcher:
    """Takes note of the batches' labels, of the rows and of what the network says of some noise after each task."""

    def __init__(self) -> None:
        self.labels: list[Tensor] = []
        self.rows: list[dict[str, Any]] = []
        self.outputs: list[Tensor] = []

    @hookimpl
    def loss_terms(self, batch: Batch) -> None:
        self.labels.append(batch.labels.clone())

    @hookimpl
    def record(self, state: RunState, row: dict[str, Any]) -> None:
        self.rows.append(row)
        if row["kind"] == "task":
            images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(3))
            with torch.no_grad():
                self.outputs.append(state.network.eval()(images).logits)


def recipe(pruning: dict[str, Any] | None, **rows: Any) -> dict[str, Any]:
    values = tiny_recipe(pruning={"use": "channel_mask", **pruning} if pruning else None, **{"train": TRAIN, **rows})
    values["backbone"]["options"]["channels"] = [16, 32, 32, 64]
    return values


def run(out: Path, values: dict[str, Any], *watchers: object) -> Result:
    return run_recipe(recipe_from_dict(values, REGISTRY, "tiny"), out, device="cpu", watchers=watchers)


def reports(result: Result) -> list[dict[str, Any]]:
    return [report for row in result.summary["tasks"] for report in row["pruned"]]


@pytest.mark.parametrize(("binarise_at", "epoch"), [(1.0, 5), (0.5, 2)])
def test_masks_can_be_made_binary_at_the_end_as_in_the_paper_or_earlier(
    tmp_path: Path, binarise_at: float, epoch: int
) -> None:
    result = run(tmp_path / "run", recipe({"sparsity": 1.0, "s_max": 15, "binarise_at": binarise_at}))
    found = reports(result)
    assert [report["epoch"] for report in found] == [epoch] * 3
    assert all(report["top1_binary"] == report["top1_removed"] for report in found)
    assert all(report["kept"] == report["kept_above_zero"] < 1 for report in found)
    assert {report["sparsity_weight"] for report in found} == {1.0}
    modules = load_network(result.run_dir, registry=REGISTRY).modules()
    assert not any(parametrize.is_parametrized(module) for module in modules)


class Statistics:
    """Takes note of how far the running means of the last norm are from those of the batches before the removal."""

    def __init__(self) -> None:
        self.before: list[Tensor] = []
        self.after: list[Tensor] = []

    @hookimpl(wrapper=True)
    def prune(self, state: RunState) -> Generator[None, list[dict[str, Any]], list[dict[str, Any]]]:
        assert isinstance(state.network, BranchedNetwork)
        backbone = state.network.backbones[-1]
        before = backbone.model.layer4[0].bn2.running_mean.clone()
        reports = yield
        if reports:
            self.before.append(before)
            self.after.append(backbone.model.layer4[0].bn2.running_mean.clone())
        return reports


@pytest.mark.parametrize("settle", [True, False])
def test_norms_are_settled_after_the_removal_or_left_as_in_the_paper(tmp_path: Path, settle: bool) -> None:
    values = recipe({"sparsity": 1.0, "binarise_at": 1, "settle": settle})
    values["data"] |= {"tasks": 2}
    watcher = Statistics()
    found = reports(run(tmp_path / "run", values, watcher))
    assert ["top1_settled" in report for report in found] == [settle, settle]
    assert len(watcher.after) == 2
    for before, after in zip(watcher.before, watcher.after, strict=True):
        # What is kept of the running means is a part of those before, unless they were estimated anew.
        assert bool(torch.isin(after, before).all()) != settle


@pytest.mark.parametrize("keep", [0.5, 0.2, 0.1])
def test_extractors_end_within_ten_percent_of_the_budget(tmp_path: Path, keep: float) -> None:
    values = recipe({"keep": keep}, train=TRAIN | {"epochs": 10, "milestones": [8]})
    values["data"] |= {"tasks": 2}
    found = reports(run(tmp_path / "run", values))
    assert len(found) == 2
    for report in found:
        assert 0.9 * keep <= report["kept"] <= keep


def test_without_sparsity_loss_the_masks_are_learned_by_the_losses_alone(tmp_path: Path) -> None:
    values = recipe({"sparsity": 0.0, "lr": 0.5})
    values["data"] |= {"tasks": 1}
    (report,) = reports(run(tmp_path / "run", values))
    assert report["sparsity_weight"] == 0
    assert 0.8 < report["kept"] <= 1


def test_masks_change_neither_the_data_order_nor_another_run(tmp_path: Path) -> None:
    # A quota that keeps every image: otherwise other features choose other exemplars, which is no matter of order.
    rows = {"memory": {"use": "herding", "per_class": 20}, "train": TRAIN | {"epochs": 3, "milestones": [2]}}
    plainly, masked = recipe(None, **rows), recipe({"keep": 0.5}, **rows)
    for values in (plainly, masked):
        values["data"] |= {"tasks": 2}
    before, within, after = Watcher(), Watcher(), Watcher()
    first = run(tmp_path / "before", plainly, before)
    run(tmp_path / "with", masked, within)
    second = run(tmp_path / "after", plainly, after)
    assert len(within.labels) == len(before.labels) > 0
    assert all(torch.equal(a, b) for a, b in zip(within.labels, before.labels, strict=True))
    wall_times = {"seconds", "latency_ms"}
    plain = [
        [{key: value for key, value in row.items() if key not in wall_times} for row in result.summary["tasks"]]
        for result in (first, second)
    ]
    assert plain[0] == plain[1]
    assert not any("pruned" in row for row in plain[0])
    assert all(torch.equal(a, b) for a, b in zip(before.outputs, after.outputs, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("s_max", [15, 100, 400])
@pytest.mark.parametrize("binarise_at", [0.7, 1.0])
def test_fifty_epochs_bring_neither_nan_nor_a_collapse(tmp_path: Path, s_max: float, binarise_at: float) -> None:
    masks = {"sparsity": 1.0, "s_max": s_max, "binarise_at": binarise_at}
    values = recipe(masks, train=TRAIN | {"epochs": 50, "milestones": [40]})
    values["data"] |= {"tasks": 1}
    watcher = Watcher()
    result = run(tmp_path / "run", values, watcher)
    epochs = [row for row in watcher.rows if row["kind"] == "epoch"]
    assert len(epochs) == 50
    assert all(math.isfinite(row["loss"]) for row in epochs)
    assert all(math.isfinite(value) for row in epochs for value in row["terms"].values())
    (report,) = reports(result)
    groups = 9
    assert 0 < report["kept_above_zero"] < 1
    assert 0 < report["kept"] < 1
    # More than the one channel a group that is always kept.
    assert sum(kept for kept, _ in report["channels"].values()) > 2 * groups
    chance = 100 / 6
    assert result.summary["tasks"][0]["top1"] > 1.5 * chance
