"""Fine-tuning on balanced data: which samples, which weights, which losses, from where the network stands."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from incrlearn import Phase, Registry, RunState, Samples, Task, hookimpl, run_recipe
from incrlearn.network import BranchedNetwork
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe
from incrlearn.types import Backbone
from incrlearn_plugins.head.cosine import CosineHead
from incrlearn_plugins.phase.balanced_finetune import BalancedFinetune

REGISTRY = Registry.of({"synthetic": SyntheticData})


def plugin_of(**options: Any) -> BalancedFinetune:
    return BalancedFinetune("finetune", BalancedFinetune.Config.model_validate(options))


def state_of(known: int = 2, seen: int = 4) -> RunState:
    network = BranchedNetwork([Backbone(torch.nn.Linear(3, 3), 3)])
    network.head = CosineHead(3, seen, 1.0, torch.Generator().manual_seed(1), fixed=known)
    return RunState(1, torch.device("cpu"), Task(2, 2, known, seen), (3, 32, 32), current=network)


def test_first_task_has_none() -> None:
    assert plugin_of().phases(state_of(known=0)) is None


def test_phase_is_that_of_podnets_authors() -> None:
    assert plugin_of().phases(state_of()) == Phase("finetune", 20, 128, "head")
    wanted = Phase("finetune", 3, 128, "network", frozenset({"classification"}))
    assert plugin_of(trains="network", losses="classification", epochs=3).phases(state_of()) == wanted


@pytest.mark.parametrize(
    ("options", "wanted"), [({}, [0.05] * 20), ({"epochs": 4, "milestones": [1, 3]}, [0.05, 0.005, 0.005, 0.0005])]
)
def test_rate_stays_unless_there_are_milestones(options: dict[str, Any], wanted: list[float]) -> None:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))]}]
    made = plugin_of(**options).make_optimizer(Phase("finetune", 1, 2), groups)
    assert made is not None
    optimizer, schedule = made
    rates = []
    for _ in wanted:
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx(wanted)


def test_only_its_own_phase_is_balanced_and_optimised() -> None:
    plugin, other = plugin_of(), Phase("train", 1, 2)
    new = Samples(torch.arange(10), torch.full((10,), 3))
    memory = Samples(torch.arange(100, 104), torch.tensor([0, 0, 1, 1]))
    assert plugin.select_data(state_of(), other, new, memory) is None
    assert plugin.param_groups(state_of(), other) is None
    assert plugin.make_optimizer(other, []) is None
    subset = plugin.select_data(state_of(), Phase("finetune", 1, 2), new, memory)
    assert subset is not None
    assert torch.bincount(subset.labels).tolist() == [2, 2, 0, 2]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, {"head.weight", "head.fixed_weight", "head.scale"}),
        ({"unfix": False}, {"head.weight", "head.scale"}),
        (
            {"trains": "network"},
            {
                "head.weight",
                "head.fixed_weight",
                "head.scale",
                "extractors.0.model.weight",
                "extractors.0.model.bias",
            },
        ),
    ],
    ids=["head", "head, fixed weights stay", "network"],
)
def test_what_learns_and_that_fixed_weights_are_fixed_again(options: dict[str, Any], names: set[str]) -> None:
    plugin, state = plugin_of(**options), state_of()
    state.phase = plugin.phases(state)
    assert state.phase is not None
    groups = plugin.param_groups(state, state.phase)
    assert groups is not None
    name_of = {id(p): name for name, p in state.network.named_parameters()}
    assert {name_of[id(p)] for p in groups[0]["params"]} == names
    plugin.phase_start(state)
    fixed = state.network.get_parameter("head.fixed_weight")
    assert fixed.requires_grad is ("head.fixed_weight" in names)
    # Asked again after a pruning it gives the same.
    again = plugin.param_groups(state, state.phase)
    assert again is not None
    assert [id(p) for p in again[0]["params"]] == [id(p) for p in groups[0]["params"]]
    plugin.phase_end(state)
    assert not fixed.requires_grad


@pytest.mark.parametrize(
    "options", [{"epochs": 0}, {"lr": 0.0}, {"trains": "tail"}, {"losses": "none"}, {"epochs": 5, "milestones": [7]}]
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        plugin_of(**options)


class Changes:
    """What a phase changed, where it began, and what its losses were."""

    def __init__(self) -> None:
        self.before: dict[str, Tensor] = {}
        self.after_train: dict[str, Tensor] = {}
        self.changed: dict[str, set[str]] = {}
        self.terms: dict[str, set[str]] = {}
        self.is_continued: list[bool] = []

    @hookimpl
    def phase_start(self, state: RunState) -> None:
        assert state.phase is not None
        self.before = {name: value.clone() for name, value in state.network.state_dict().items()}
        if state.phase.name == "balance":
            self.is_continued.append(all(torch.equal(self.before[n], v) for n, v in self.after_train.items()))

    @hookimpl
    def phase_end(self, state: RunState) -> None:
        assert state.phase is not None
        after = {name: value.clone() for name, value in state.network.state_dict().items()}
        self.after_train = after
        moved = {name for name, value in after.items() if not torch.equal(value, self.before[name])}
        self.changed.setdefault(state.phase.name, set()).update(moved)

    @hookimpl
    def record(self, row: dict[str, Any]) -> None:
        if row["kind"] == "epoch" and row["task"] > 1:
            self.terms.setdefault(row["phase"], set()).update(row["terms"])


@pytest.mark.parametrize("trains", ["head", "network"])
@pytest.mark.parametrize("losses", ["all", "classification"])
def test_network_goes_on_from_where_it_is(tmp_path: Path, trains: str, losses: str) -> None:
    watcher = Changes()
    rows = tiny_recipe(
        network="single",
        head={"use": "linear", "start": "inherit"},
        auxiliary=None,
        distil="distill",
        balance={"use": "balanced_finetune", "trains": trains, "losses": losses, "epochs": 2, "lr": 0.01, "batch": 16},
    )
    run_recipe(recipe_from_dict(rows, REGISTRY, "tiny"), tmp_path / "run", device="cpu", watchers=[watcher])
    assert watcher.is_continued == [True, True]
    assert watcher.terms["balance"] == ({"loss", "distil"} if losses == "all" else {"loss"})
    changed = watcher.changed["balance"]
    assert "head.weight" in changed
    assert (changed == {"head.weight"}) is (trains == "head")
