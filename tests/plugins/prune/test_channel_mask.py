"""The channel masks in a run on a synthetic data set, watched from batch to batch."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils import parametrize

from incrlearn import (
    Output,
    Registry,
    Result,
    RunState,
    hookimpl,
    load_network,
    run_recipe,
)
from incrlearn.network import BranchedNetwork
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe
from incrlearn.types import Network

REGISTRY = Registry.of({"synthetic": SyntheticData})
TRAIN = {"use": "sgd", "lr": 0.05, "batch": 16, "epochs": 5, "milestones": [2, 4], "warmup": 1}


def recipe(**pruning: Any) -> dict[str, Any]:
    values = tiny_recipe(train=TRAIN, pruning={"use": "channel_mask", **pruning})
    values["backbone"]["options"]["channels"] = [8, 8, 12, 12]
    return values


def run(out: Path, values: dict[str, Any], watcher: object) -> Result:
    return run_recipe(recipe_from_dict(values, REGISTRY, "tiny"), out, device="cpu", watchers=[watcher])


def built(result: Result, task: int) -> Network:
    return load_network(result.run_dir, task, registry=REGISTRY)


def newest(state: RunState) -> dict[str, Tensor]:
    assert isinstance(state.network, BranchedNetwork)
    return {name: value.clone() for name, value in state.network.backbones[-1].state_dict().items()}


def leftovers(network: Network) -> list[str]:
    """Modules on which a mask still is."""
    return [
        name
        for name, module in network.named_modules()
        if parametrize.is_parametrized(module) or module._forward_hooks or module._forward_pre_hooks
    ]


class Watcher:
    """Looks on from batch to batch."""

    def __init__(self) -> None:
        self.optimizer: Any = None
        self.logits: Any = None
        self.largest = 0.0
        self.scales: dict[tuple[int, int], list[float]] = {}
        self.rates: dict[tuple[int, int], list[float]] = {}
        self.decays: set[tuple[float, ...]] = set()
        self.first_momentum: list[bool] = []
        self.masked: dict[tuple[int, str, int], bool] = {}
        self.shapes: list[tuple[int, int, int, tuple[int, ...]]] = []
        self.feature_widths: dict[tuple[int, str], list[int]] = {}
        self.optimizer_after: list[tuple[bool, bool]] = []
        self.at_end: dict[int, dict[str, Tensor]] = {}
        self.outputs: dict[int, Tensor] = {}

    @hookimpl(wrapper=True)
    def make_optimizer(self):
        made = yield
        self.optimizer = made[0]
        return made

    @hookimpl
    def prepare(self, state: RunState) -> None:
        there = "for pruning" in state.network.attachments
        self.logits = state.network.attached("pruning").logits if there else None

    @hookimpl
    def loss_terms(self, state: RunState, out: Output) -> None:
        assert state.phase is not None
        widths = self.feature_widths.setdefault((state.task.number, state.phase.name), [])
        widths.append(out.features.shape[1])

    @hookimpl
    def after_step(self, state: RunState) -> None:
        assert state.phase is not None
        self.masked[state.task.number, state.phase.name, state.epoch] = bool(leftovers(state.network))
        if self.logits is None or state.phase.name != "train" or not leftovers(state.network):
            return
        place = (state.task.number, state.epoch)
        self.scales.setdefault(place, []).append(state.network.attached("pruning").scale)
        groups = self.optimizer.param_groups
        self.rates[place] = [group["lr"] for group in groups]
        self.decays.add(tuple(group["weight_decay"] for group in groups))
        if self.logits.grad is not None and len(self.first_momentum) < state.task.number:
            # SGD's momentum after its first step is the gradient; a weight decay would show in it.
            momentum = self.optimizer.state[self.logits]["momentum_buffer"]
            self.first_momentum.append(torch.equal(momentum, self.logits.grad))
        self.largest = max(self.largest, float(self.logits.detach().abs().max()))

    @hookimpl
    def epoch_start(self, state: RunState) -> None:
        assert isinstance(state.network, BranchedNetwork)
        if state.phase is not None and state.phase.name == "train" and state.epoch == 3:
            network = state.network
            head, auxiliary = network.head, network.attachments["for auxiliary"] if state.task.number > 1 else None
            read = auxiliary.in_features if auxiliary is not None else network.widths[-1]
            self.shapes.append((head.in_features, network.width, read, network.widths))
            held = {id(parameter) for group in self.optimizer.param_groups for parameter in group["params"]}
            wanted = {id(parameter) for parameter in network.backbones[-1].parameters()} | {id(head.weight)}
            self.optimizer_after.append((wanted <= held, id(self.logits) in held))

    @hookimpl
    def task_end(self, state: RunState) -> None:
        self.at_end[state.task.number] = newest(state)

    @hookimpl
    def record(self, state: RunState, row: dict[str, Any]) -> None:
        if row["kind"] == "task":
            images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(3))
            with torch.no_grad():
                self.outputs[row["task"]] = state.network.eval()(images).logits


@pytest.fixture(scope="module")
def pruned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Watcher]:
    watcher = Watcher()
    values = recipe(keep=0.5, binarise_at=0.6, lr=0.5, start=[0, 1], clamp=1.02, s_max=50)
    return run(tmp_path_factory.mktemp("pruned") / "run", values, watcher), watcher


def reports(result: Result) -> list[dict[str, Any]]:
    return [report for row in result.summary["tasks"] for report in row["pruned"]]


def test_every_task_reports_once_with_all_its_numbers(pruned: tuple[Result, Watcher]) -> None:
    found = reports(pruned[0])
    assert [len(row["pruned"]) for row in pruned[0].summary["tasks"]] == [1, 1, 1]
    for report in found:
        assert (report["plugin"], report["epoch"]) == ("pruning", 3)
        assert report.keys() == {
            *("plugin", "epoch", "parameters_before", "parameters_after", "kept", "kept_above_zero"),
            *("top1_soft", "top1_binary", "top1_removed", "top1_settled", "undecided", "sparsity_weight", "channels"),
        }
        assert all(0 <= report[f"top1_{stage}"] <= 100 for stage in ("soft", "binary", "removed", "settled"))
        assert report["parameters_after"] < report["parameters_before"]
        assert report["kept"] == report["parameters_after"] / report["parameters_before"]


def test_removal_does_not_change_the_accuracy(pruned: tuple[Result, Watcher]) -> None:
    # To the last digit: sums in another order move a logit by 1e-6, and no two of a test image's are that close.
    assert all(report["top1_binary"] == report["top1_removed"] for report in reports(pruned[0]))


def test_row_counts_the_parameters_that_are_left(pruned: tuple[Result, Watcher]) -> None:
    rows = pruned[0].summary["tasks"]
    left = [report["parameters_after"] for report in reports(pruned[0])]
    for number, row in enumerate(rows, start=1):
        assert isinstance(network := built(pruned[0], number), BranchedNetwork)
        assert row["parameters"] == sum(left[:number]) + network.width * row["classes"]


def test_head_and_auxiliary_head_and_widths_follow_the_removal(pruned: tuple[Result, Watcher]) -> None:
    _, watcher = pruned
    assert len(watcher.shapes) == 3
    for reads, width, auxiliary_reads, widths in watcher.shapes:
        assert reads == width == sum(widths)
        assert auxiliary_reads == widths[-1]
    assert min(watcher.shapes[-1][3]) < 12
    for task in (1, 2, 3):
        before, after = watcher.feature_widths[task, "train"][0], watcher.feature_widths[task, "train"][-1]
        assert after == watcher.shapes[task - 1][1]
        assert before == sum(watcher.shapes[task - 1][3][:-1]) + 12


def test_channels_of_the_last_layer_are_the_width(pruned: tuple[Result, Watcher]) -> None:
    widths = [report["channels"]["model.layer4.0.conv2"][0] for report in reports(pruned[0])]
    assert widths == list(pruned[1].shapes[-1][3])


def test_classifier_stage_trains_on_the_pruned_features(pruned: tuple[Result, Watcher]) -> None:
    _, watcher = pruned
    for task in (2, 3):
        assert set(watcher.feature_widths[task, "balance"]) == {watcher.shapes[task - 1][1]}


def test_pruned_extractors_stand_still_in_later_tasks(pruned: tuple[Result, Watcher]) -> None:
    result, watcher = pruned
    network = built(result, 3)
    assert isinstance(network, BranchedNetwork)
    assert network.frozen == 2
    for number, extractor in enumerate(network.backbones, start=1):
        state = extractor.state_dict()
        assert state.keys() == watcher.at_end[number].keys()
        assert all(torch.equal(value, watcher.at_end[number][name]) for name, value in state.items())


def test_logits_have_a_group_of_their_own_with_their_rate_and_no_weight_decay(pruned: tuple[Result, Watcher]) -> None:
    _, watcher = pruned
    assert watcher.decays == {(5e-4, 0.0)}
    # warm-up over one epoch, a tenth from epoch 2 on
    for task in (1, 2, 3):
        for epoch, factor in enumerate((1, 1, 0.1)):
            assert watcher.rates[task, epoch] == pytest.approx([0.05 * factor, 0.5 * factor])


def test_momentum_of_the_logits_starts_afresh_in_each_task(pruned: tuple[Result, Watcher]) -> None:
    assert pruned[1].first_momentum == [True, True, True]


def test_scale_is_annealed_anew_in_each_epoch(pruned: tuple[Result, Watcher]) -> None:
    # Task 1: 40 images in batches of 16.
    for epoch in range(3):
        assert pruned[1].scales[1, epoch] == pytest.approx([0.02, 25.01, 50])


def test_logits_stay_within_the_clamp_and_reach_it(pruned: tuple[Result, Watcher]) -> None:
    # They are drawn between 0 and 1.
    assert pruned[1].largest == pytest.approx(1.02)


def test_masks_are_there_until_the_removal_and_nowhere_afterwards(pruned: tuple[Result, Watcher]) -> None:
    masked = pruned[1].masked
    assert {place for place, there in masked.items() if there} == {(t, "train", e) for t in (1, 2, 3) for e in range(3)}
    assert len(masked) == 3 * 5 + 2 * 2


def test_optimizer_goes_on_with_the_small_weights_and_without_the_logits(pruned: tuple[Result, Watcher]) -> None:
    assert pruned[1].optimizer_after == [(True, False)] * 3


def test_network_built_from_the_checkpoint_gives_the_same_outputs(pruned: tuple[Result, Watcher]) -> None:
    result, watcher = pruned
    images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(3))
    for task in (1, 2, 3):
        with torch.no_grad():
            logits = built(result, task)(images).logits
        # Weights lie otherwise in memory during training, so that convolutions sum in another order.
        torch.testing.assert_close(logits, watcher.outputs[task], rtol=1e-5, atol=2e-6)
