"""Hooks with which a task begins: its data, its network and its head."""

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from incrlearn import (
    HeldOut,
    MakeBackbone,
    Network,
    Plugin,
    Registry,
    Result,
    RunState,
    Samples,
    hookimpl,
    load_network,
)
from incrlearn.network import BranchedNetwork
from incrlearn.testing import SyntheticData


def test_hold_out_is_asked_first_with_the_tasks_data_and_no_network_of_the_task(heard: Any) -> None:
    for task in (1, 2, 3):
        (call,) = heard.of("hold_out", task=task)
        assert heard.names("hold_out", "expand", "prepare", task=task) == ["hold_out", "expand", "prepare"]
        assert sorted(set(call.given["new"].labels.tolist())) == [2 * task - 2, 2 * task - 1]
        assert len(call.given["new"]) == 40
        before = heard.of("prepare", task=task - 1)
        assert call.given["network"] is (before[0].given["network"] if before else None)
    assert [call.given["quota"] for call in heard.of("hold_out")] == [(9, 9), (9, 9), (4,) * 4]


def test_hold_out_answer_is_kept_from_training(quick: Callable[..., Result]) -> None:
    trained: dict[int, set[int]] = {}
    held: dict[int, set[int]] = {}

    class Holds(Plugin):
        """Holds out every tenth image of a task."""

        @hookimpl
        def hold_out(self, state: RunState, new: Samples) -> HeldOut:
            held[state.task.number] = set(new.indices[::10].tolist())
            return HeldOut(torch.arange(0, len(new), 10))

        @hookimpl
        def select_data(self, state: RunState, new: Samples, memory: Samples) -> None:
            trained[state.task.number] = set((new + memory).indices.tolist())

    quick(holds=Holds)
    assert [len(held[task]) for task in (1, 2, 3)] == [4, 4, 4]
    assert [len(trained[task] & set().union(*held.values())) for task in (1, 2, 3)] == [0, 0, 0]
    assert len(trained[1]) == 36


class Fresh(BranchedNetwork):
    """A network with a layout of its own."""

    def layout(self) -> dict[str, Any]:
        return {"network": "fresh", "width": self.width}


class Grows(Plugin):
    """A new network for each task; notes what it is asked and what it gives."""

    kind = "network"
    asked: ClassVar[list[tuple[int, Network | None, Network]]] = []
    rebuilt: ClassVar[list[dict[str, Any]]] = []

    @hookimpl
    def expand(self, state: RunState, old: Network | None, make_backbone: MakeBackbone) -> Network:
        same, again, other = (make_backbone(purpose) for purpose in ("one", "one", "another"))
        assert torch.equal(first_weight(same), first_weight(again))
        assert not torch.equal(first_weight(same), first_weight(other))
        network = Fresh([make_backbone(f"{state.task}")])
        self.asked.append((state.task.number, old, network))
        return network

    @hookimpl
    def rebuild(self, layout: dict[str, Any], make_backbone: MakeBackbone) -> Network | None:
        self.rebuilt.append(layout)
        return Fresh([make_backbone("any")]) if layout["network"] == "fresh" else None


class Heads(Plugin):
    """A new head for each task; notes what it is asked and what it gives."""

    kind = "head"
    asked: ClassVar[list[tuple[int, int, nn.Module | None, nn.Module]]] = []

    @hookimpl
    def grow_head(self, state: RunState, old: nn.Module | None, width: int) -> nn.Module:
        head = nn.Linear(width, state.task.seen)
        self.asked.append((state.task.number, width, old, head))
        return head


def first_weight(module: nn.Module) -> torch.Tensor:
    return next(module.parameters()).detach()


class Looks(Plugin):
    """Notes the network and the head that each task has when they are there."""

    found: ClassVar[list[tuple[Network, nn.Module]]] = []

    @hookimpl
    def prepare(self, state: RunState) -> None:
        self.found.append((state.network, state.network.head))


OWN = {"network": Grows, "head": Heads, "looks": Looks}
REGISTRY = Registry.of({"synthetic": SyntheticData, **{f"{key}_of_test": plugin for key, plugin in OWN.items()}})


@pytest.fixture(scope="module")
def grown(quick: Callable[..., Result]) -> Result:
    """A run with these plug-ins."""
    return quick(**OWN)


def test_expand_gets_the_old_network_and_its_answer_is_the_tasks(grown: Result) -> None:
    assert len(grown.summary["tasks"]) == len(Grows.asked) == 3
    given = [network for _, _, network in Grows.asked]
    assert [task for task, _, _ in Grows.asked] == [1, 2, 3]
    assert [old for _, old, _ in Grows.asked] == [None, *given[:2]]
    assert [network for network, _ in Looks.found] == given


def test_grow_head_gets_the_old_head_and_the_width_and_its_answer_classifies(grown: Result) -> None:
    in_run = Heads.asked[:3]
    assert [(task, width) for task, width, _, _ in in_run] == [(1, 8), (2, 8), (3, 8)]
    given = [head for _, _, _, head in in_run]
    assert [old for _, _, old, _ in in_run] == [None, *given[:2]]
    assert [head for _, head in Looks.found] == given
    # The heads of all tasks are grown again where a checkpoint is read, with the widths that the tasks ended with.
    before = len(Heads.asked)
    network = load_network(grown.run_dir, 2, registry=REGISTRY)
    assert [(task, width) for task, width, _, _ in Heads.asked[before:]] == [(1, 8), (2, 8)]
    assert torch.equal(first_weight(network.head), first_weight(given[1]))


def test_rebuild_gets_the_layout_and_its_answer_takes_the_weights(grown: Result) -> None:
    before = len(Grows.rebuilt)
    network = load_network(grown.run_dir, 3, registry=REGISTRY)
    assert Grows.rebuilt[before:] == [{"network": "fresh", "width": 8}]
    assert isinstance(network, Fresh)
    trained = Looks.found[-1][0].state_dict()
    assert all(torch.equal(tensor, trained[name]) for name, tensor in network.state_dict().items())


def test_prepare_comes_before_the_phases_when_network_and_head_are_there(heard: Any) -> None:
    assert heard.names("expand", "grow_head", "prepare", "phases", task=2) == [
        "expand",
        "grow_head",
        "prepare",
        "phases",
    ]
    for task in (1, 2, 3):
        (call,) = heard.of("prepare", task=task)
        assert call.given["network"].width == 8 * task
        assert call.head.shape == (2 * task, 8 * task)
        assert call.given["features"].shape == (len(call.given["new"]), 8 * task)
        assert call.given["features"].dtype == torch.float32
        # It has not learned yet: the first step finds the same head.
        assert torch.equal(call.head, heard.of("batch_start", task=task)[0].head)


def test_prepare_may_attach_a_module_for_the_task(heard: Any) -> None:
    # The recipe's auxiliary head is attached in prepare from the second task on.
    assert [bool(call.attached) for call in heard.of("phase_start", phase="train")] == [False, True, True]
