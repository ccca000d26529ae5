"""The network of the task before: who gets it, that it stands still, that it answers once a batch."""

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from incrlearn import Batch, LossTerm, Output, Plugin, Registry, RunState, TaskPasses, hookimpl, run_recipe
from incrlearn.engine.runtime import Runtime
from incrlearn.engine.teacher import FrozenTeacher
from incrlearn.network import BranchedNetwork, LinearHead, build_backbone
from incrlearn.recipe import BackboneOptions, recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe


class Compares(Plugin):
    """Asks for the teacher and notes what it finds."""

    kind = "loss"
    needs: ClassVar[frozenset[str]] = frozenset({"teacher"})

    def __init__(self, name: str, config: Plugin.Config) -> None:
        super().__init__(name, config)
        self.at_start: dict[int, dict[str, Tensor]] = {}
        self.seen: list[tuple[int, tuple[int, ...]]] = []

    @hookimpl
    def prepare(self, state: RunState) -> None:
        if state.teacher is not None:
            own = state.teacher.network.state_dict()
            self.at_start[state.task.number] = {name: value.clone() for name, value in own.items()}

    @hookimpl
    def loss_terms(self, state: RunState, batch: Batch, out: Output) -> list[LossTerm]:
        if state.teacher is None:
            return []
        old = state.teacher(batch)
        assert state.teacher(batch) is old
        assert not old.logits.requires_grad
        self.seen.append((state.task.number, tuple(old.logits.shape[1:])))
        return [LossTerm(self.name, (out.logits[:, : old.logits.shape[1]] - old.logits).square().mean(), 0.1)]

    @hookimpl
    def task_end(self, state: RunState, passes: TaskPasses) -> None:
        if state.teacher is not None:
            now = state.teacher.network.state_dict()
            assert all(torch.equal(now[name], value) for name, value in self.at_start[state.task.number].items())
        # The exemplars of the task's own classes are there by now.
        assert set(state.memory.labels.tolist()) == set(range(state.task.seen))
        assert passes.features(state.memory).shape == (len(state.memory), state.network.width)


class Watches(Plugin):
    """Does not ask for the teacher."""

    kind = "log"

    @hookimpl
    def prepare(self, state: RunState) -> None:
        assert state.teacher is None


@pytest.mark.parametrize("network", ["single", "expandable"])
def test_teacher_stands_still_and_knows_the_old_classes(tmp_path: Path, network: str) -> None:
    made: list[Compares] = []

    class Kept(Compares):
        def __init__(self, name: str, config: Plugin.Config) -> None:
            super().__init__(name, config)
            made.append(self)

    rows: dict[str, Any] = {"network": {"use": network}, "compares": "compares", "auxiliary": None}
    registry = Registry.of({"synthetic": SyntheticData, "compares": Kept})
    run_recipe(recipe_from_dict(tiny_recipe(**rows), registry, "tiny"), tmp_path / "run", device="cpu")
    seen = {pair for plugin in made for pair in plugin.seen}
    assert seen == {(2, (2,)), (3, (4,))}


class PowerCut:
    """Stops a run in its second task."""

    @hookimpl
    def epoch_end(self, state: RunState) -> None:
        if state.task.number == 2:
            raise KeyboardInterrupt


class Strides:
    """Notes how the teacher of the second task lies in memory, as the run's device wants it."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[int, ...]] = {}

    @hookimpl
    def prepare(self, state: RunState) -> None:
        if state.teacher is not None and state.task.number == 2:
            self.found = {name: value.stride() for name, value in state.teacher.network.state_dict().items()}


def test_teacher_of_a_resumed_run_is_placed_as_that_of_one_that_went_through(tmp_path: Path) -> None:
    registry = Registry.of({"synthetic": SyntheticData, "compares": Compares})
    recipe = recipe_from_dict(tiny_recipe(compares="compares"), registry, "tiny")
    through, resumed = Strides(), Strides()
    with pytest.raises(KeyboardInterrupt):
        run_recipe(recipe, tmp_path / "run", device="cpu", watchers=[through, PowerCut()])
    run_recipe(recipe, tmp_path / "run", device="cpu", resume=True, watchers=[resumed])
    assert resumed.found == through.found != {}


def test_nobody_asks_nobody_gets(tmp_path: Path) -> None:
    registry = Registry.of({"synthetic": SyntheticData, "watches": Watches})
    recipe = recipe_from_dict(tiny_recipe(watches="watches"), registry, "tiny")
    run_recipe(recipe, tmp_path / "run", device="cpu")


def test_answer_is_the_networks_own_in_eval_mode() -> None:
    options = BackboneOptions(name="resnet18", stem="cifar", options={"layers": [1] * 4, "channels": [4] * 4})
    network = BranchedNetwork([build_backbone(options, 1, seed=1)])
    network.head = LinearHead(network.width, 3, False, torch.Generator().manual_seed(1))
    batch = Batch(torch.randn(5, 1, 8, 8), torch.zeros(5, dtype=torch.int64))
    teacher = FrozenTeacher(network.train(), Runtime("cpu", "float32"))
    wanted = network.eval()(batch.images).logits
    assert torch.equal(teacher(batch).logits, wanted)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
    assert torch.equal(teacher(Batch(batch.images, batch.labels)).logits, wanted)
