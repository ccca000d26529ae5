"""What the channel masks refuse, and that they do so before anything is trained."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from incrlearn import (
    Batch,
    LossTerm,
    Output,
    Phase,
    Plugin,
    PluginError,
    Registry,
    RunState,
    Samples,
    Task,
    hookimpl,
    run_recipe,
)
from incrlearn.calls import Calls
from incrlearn.network import BranchedNetwork, LinearHead, build_backbone
from incrlearn.recipe import BackboneOptions, recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe
from incrlearn.types import Network
from incrlearn_plugins.prune.channel_mask import ChannelMask

MASK = {"use": "channel_mask", "keep": 0.5}


class Other(Network):
    """A network of somebody else's making."""

    widths = (3,)

    def extract(self, images: Tensor) -> tuple[Tensor, ...]:
        return (images.mean(dim=(2, 3)),)

    def layout(self) -> dict[str, Any]:
        return {}


class NoPasses:
    """Stands where nobody asks for a pass over the data."""

    def accuracy(self) -> float:
        raise AssertionError

    def features(self, samples: Samples) -> Tensor:
        raise AssertionError

    def batches(self, samples: Samples, batch: int) -> Iterator[Batch]:
        raise AssertionError


class Asks(Plugin):
    """Asks for the phases it is given."""

    def __init__(self, name: str, *phases: Phase) -> None:
        super().__init__(name, Plugin.Config())
        self._phases: Iterator[Phase] = iter(phases)

    @hookimpl
    def phases(self) -> Phase | None:
        return next(self._phases, None)


class Stack(nn.Module):
    """Two layers over features."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, 4), nn.ReLU(), nn.Linear(4, 1))

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features)


class NarrowStack(Stack):
    """Two layers over features that follow where some of them go."""

    @property
    def in_features(self) -> int:
        return self.layers[0].in_features

    def narrow(self, kept: Tensor) -> None:
        first = nn.Linear(len(kept), 4)
        first.weight.data.copy_(self.layers[0].weight[:, kept])
        self.layers[0] = first


class Second(Plugin):
    """A loss on what a stack of layers says of the newest features."""

    kind = "loss"
    stack: type[Stack] = Stack

    @hookimpl
    def prepare(self, state: RunState) -> None:
        state.network.attach(self.name, self.stack(state.network.widths[-1]))

    @hookimpl
    def loss_terms(self, state: RunState, out: Output) -> list[LossTerm]:
        return [LossTerm(self.name, state.network.attached(self.name)(out.parts[-1]).square().mean())]


class NarrowSecond(Second):
    """The same with a stack that can be narrowed."""

    stack = NarrowStack


class Begun:
    """Takes note of the steps taken and of the widths seen."""

    def __init__(self) -> None:
        self.widths: list[int] = []

    @hookimpl
    def after_step(self, state: RunState) -> None:
        self.widths.append(state.network.widths[-1])


def state_of(network: Network) -> RunState:
    return RunState(1, torch.device("cpu"), Task(1, 1, 0, 2), (3, 8, 8), current=network)


def small_network() -> BranchedNetwork:
    options = BackboneOptions(name="resnet18", stem="cifar", options={"layers": [1] * 4, "channels": [4] * 4})
    network = BranchedNetwork([build_backbone(options, 3, seed=1)])
    network.head = LinearHead(4, 2, bias=False, generator=torch.Generator().manual_seed(0))
    return network


def phases_of(*phases: Phase, network: BranchedNetwork | None = None) -> list[Phase]:
    """What a task goes on with, the masks and some plug-ins behind them having got ready."""
    mask = ChannelMask("pruning", ChannelMask.Config(keep=0.5))
    calls = Calls([Asks("first", *phases[:1]), mask, Asks("last", *phases[1:])])
    state = state_of(network or small_network())
    calls.prepare(state, NoPasses())
    return calls.phases(state)


def run(out: Path, watcher: object, **rows: Any) -> None:
    """A run in which ``second`` and ``narrow_second`` may be used."""
    registry = Registry.of({"synthetic": SyntheticData, "second": Second, "narrow_second": NarrowSecond})
    values = tiny_recipe(**rows)
    values["data"]["tasks"] = 2
    run_recipe(recipe_from_dict(values, registry, "tiny"), out, device="cpu", watchers=[watcher])


def test_another_kind_of_network_is_refused() -> None:
    plugin = ChannelMask("pruning", ChannelMask.Config(keep=0.5))
    with pytest.raises(PluginError, match="'pruning' prunes the extractors of a BranchedNetwork, not Other"):
        plugin.prepare(state_of(Other()))


def test_two_rows_of_masks_are_refused_by_name_before_anything_is_trained(tmp_path: Path) -> None:
    watcher = Begun()
    with pytest.raises(PluginError, match=r"^'pruning' and 'more' both put masks on the newest extractor: take one of"):
        run(tmp_path / "run", watcher, pruning=MASK, more={"use": "channel_mask", "sparsity": 1.0})
    assert watcher.widths == []


def test_network_whose_head_cannot_follow_is_refused_before_it_trains() -> None:
    network = small_network()
    network.head = nn.Linear(4, 2)
    with pytest.raises(PluginError, match=r"'pruning': .* the head Linear cannot follow: give it narrow\(kept\)"):
        phases_of(Phase("train", 2, 4), network=network)


@pytest.mark.parametrize("rows", [("second", "pruning"), ("pruning", "second")])
def test_attachment_that_cannot_follow_is_refused_by_name_before_anything_is_trained(
    tmp_path: Path, rows: tuple[str, str]
) -> None:
    watcher = Begun()
    both = {"second": {"use": "second"}, "pruning": MASK}
    with pytest.raises(PluginError) as caught:
        run(tmp_path / "run", watcher, **{row: both[row] for row in rows})
    assert str(caught.value) == (
        "'pruning': it removes features, and what is attached for second (Stack) reads features: it cannot follow: "
        "give it in_features and narrow(kept), which may do nothing where it reads something else"
    )
    assert watcher.widths == []


def test_attachment_that_can_be_narrowed_follows_in_the_middle_of_a_task(tmp_path: Path) -> None:
    watcher = Begun()
    run(tmp_path / "run", watcher, pruning=MASK, second={"use": "narrow_second"})
    assert watcher.widths[0] == 8
    assert min(watcher.widths) < 8


def test_task_in_which_no_phase_trains_the_network_is_refused_at_its_beginning() -> None:
    for phases in (
        (),
        (Phase("head", 3, 4, trains="head"),),
        (Phase("none", 0, 4), Phase("head", 3, 4, trains="head")),
    ):
        with pytest.raises(
            PluginError, match=r"^'pruning': no phase trains the network in task 1, so nothing would be"
        ):
            phases_of(*phases)


def test_phase_of_named_terms_must_name_the_sparsity_where_the_masks_are_learned() -> None:
    named = Phase("train", 3, 4, terms=frozenset({"classification", "auxiliary"}))
    with pytest.raises(PluginError) as caught:
        phases_of(named)
    assert str(caught.value) == (
        "'pruning': phase 'train' takes only the terms ['auxiliary', 'classification']; add 'sparsity', or the masks "
        "learn without their loss"
    )
    with pytest.raises(PluginError, match="phase 'train' takes only"):
        phases_of(Phase("head", 2, 4, trains="head"), named)


def test_phases_that_learn_the_masks_with_their_loss_are_taken_as_they_are() -> None:
    terms = frozenset({"classification"})
    with_sparsity = Phase("train", 3, 4, terms=terms | {"sparsity"})
    head = Phase("head", 2, 4, trains="head", terms=terms)
    # By the time of the second the masks are gone.
    for phases in (
        [with_sparsity, head],
        [Phase("train", 3, 4), Phase("after", 2, 4, terms=terms)],
        [head, with_sparsity],
    ):
        assert phases_of(*phases) == phases


def test_every_problem_is_told_at_once() -> None:
    network = small_network()
    network.attach("stack", nn.Sequential(nn.Linear(4, 1)))
    with pytest.raises(PluginError) as caught:
        phases_of(network=network)
    assert len(str(caught.value).splitlines()) == 2


def test_masks_that_no_phase_has_trained_after_all_are_an_error() -> None:
    plugin = ChannelMask("pruning", ChannelMask.Config(keep=0.5))
    state = state_of(small_network())
    plugin.prepare(state)
    with pytest.raises(PluginError, match="'pruning': no phase trained the network in task 1, so nothing was pruned"):
        plugin.task_end(state)
