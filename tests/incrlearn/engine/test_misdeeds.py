"""What plug-ins do in a run that would go wrong in silence, or fail without a word about whose doing it was."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from incrlearn import (
    Batch,
    LossTerm,
    Output,
    Plugin,
    PluginError,
    Registry,
    RunState,
    TrainingError,
    hookimpl,
    run_recipe,
)
from incrlearn.blame import own_frames
from incrlearn.engine.run import Result
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe

Given = Callable[..., Any]


def run_with(folder: Path, *plugins: type[Plugin], data: dict[str, Any] | None = None, **rows: object) -> Result:
    registry = Registry.of({"synthetic": SyntheticData, **{cls.__name__.lower(): cls for cls in plugins}})
    recipe = tiny_recipe(**rows, **{cls.__name__.lower(): cls.__name__.lower() for cls in plugins})
    return run_recipe(recipe_from_dict(recipe | (data or {}), registry, "tiny"), folder / "run", device="cpu")


class ReplacesAWeight(Plugin):
    @hookimpl
    def phase_start(self, state: RunState) -> None:
        head = state.network.head
        assert isinstance(head.weight, Tensor)
        head.weight = nn.Parameter(head.weight.detach().clone())


class ReplacesTheHead(Plugin):
    @hookimpl
    def epoch_end(self, state: RunState) -> None:
        state.network.head = copy.deepcopy(state.network.head)


@pytest.mark.parametrize(
    ("plugin", "told"),
    [
        (ReplacesAWeight, r"^phase_start: head\.weight of the network were replaced by new objects"),
        (ReplacesTheHead, r"^epoch_start, or a hook of the epoch before: head\.weight.* were replaced by new objects"),
    ],
)
def test_weights_that_no_optimizer_holds_are_told(tmp_path: Path, plugin: type[Plugin], told: str) -> None:
    with pytest.raises(PluginError, match=told):
        run_with(tmp_path, plugin)


class HalvesTheTeacher(Plugin):
    kind = "loss"
    needs = frozenset({"teacher"})

    @hookimpl
    def loss_terms(self, state: RunState, batch: Batch, out: Output) -> list[LossTerm]:
        if state.teacher is None:
            return []
        state.teacher(batch).logits.mul_(0.5)
        return [LossTerm(self.name, out.logits.square().mean(), 0.01)]


def test_teacher_s_answer_that_is_changed_in_place_is_told(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"what state\.teacher\(batch\) gave was changed in place") as caught:
        run_with(tmp_path, HalvesTheTeacher)
    assert caught.value.__notes__[0] == "while 'halvestheteacher' answered loss_terms, task 2"
    assert caught.value.exit_code == TrainingError.exit_code


class AsksATeacher(Plugin):
    kind = "loss"

    @hookimpl
    def loss_terms(self, state: RunState, batch: Batch, out: Output) -> list[LossTerm]:
        return [LossTerm(self.name, (state.teacher(batch).logits - out.logits).mean())]  # type: ignore[misc]


def test_a_teacher_that_is_not_there_is_told_with_the_word_that_asks_for_it(tmp_path: Path) -> None:
    with pytest.raises(TypeError) as caught:
        run_with(tmp_path, AsksATeacher)
    assert "needs = frozenset({'teacher'})" in caught.value.__notes__[1]


class KeepsOnState(Plugin):
    @hookimpl
    def prepare(self, state: RunState) -> None:
        state.counts = 3  # type: ignore[attr-defined]


def test_nothing_of_a_plug_in_s_own_goes_on_state(tmp_path: Path) -> None:
    with pytest.raises(AttributeError, match=r"state\.counts: nothing of a plug-in's own .* keep it on self\.counts"):
        run_with(tmp_path, KeepsOnState)


class ShrinksInPlace(Plugin):
    kind = "loss"

    @hookimpl
    def loss_terms(self, state: RunState, out: Output) -> list[LossTerm]:
        with torch.no_grad():
            state.network.head.weight.mul_(0.999)  # type: ignore[operator, union-attr]
        return [LossTerm(self.name, out.logits.square().mean(), 0.01)]


def test_weights_changed_between_forward_and_backward_are_told_with_the_culprit(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"^plugins\.shrinksinplace: loss_terms changed weights, or what") as caught:
        run_with(tmp_path, ShrinksInPlace)
    assert caught.value.__notes__ == ["while 'shrinksinplace' answered loss_terms, task 1"]


class IsNotANumber(Plugin):
    kind = "loss"
    steps = 0

    @hookimpl
    def loss_terms(self, out: Output) -> list[LossTerm]:
        self.steps += 1
        return [LossTerm(self.name, out.logits.mean() * (float("nan") if self.steps == 2 else 1.0), 0.01)]


def test_the_term_that_was_not_finite_first_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"'isnotanumber' was the first that was not finite, in step 2"):
        run_with(tmp_path, IsNotANumber)


class ForgetsTheBase(Plugin):
    def __init__(self, name: str, config: Plugin.Config) -> None:
        self.count = 0

    @hookimpl
    def epoch_end(self) -> None:
        self.count += 1


class CannotBeMade(ForgetsTheBase):
    def __init__(self, name: str, config: Plugin.Config) -> None:
        raise KeyError("a")


def test_plug_ins_that_cannot_be_made_are_told(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"^plugins\.forgetsthebase: ForgetsTheBase\.__init__ must begin with super"):
        run_with(tmp_path, ForgetsTheBase)
    with pytest.raises(KeyError) as caught:
        run_with(tmp_path, CannotBeMade)
    assert caught.value.__notes__ == ["while 'cannotbemade' answered __init__"]
    frames = own_frames(caught.value)
    assert frames is not None
    assert frames.tb_frame.f_code.co_filename == __file__


class CannotTellItsState(Plugin):
    @hookimpl
    def epoch_end(self) -> None:
        pass

    def state_dict(self) -> dict[str, Any]:
        raise NameError("no such thing")


class CannotTakeItsState(Plugin):
    @hookimpl
    def prepare(self, state: RunState) -> None:
        if state.task.number == 2:
            raise KeyboardInterrupt

    def load_state_dict(self, state: dict[str, Any]) -> None:
        raise KeyError("y")


def test_failures_of_state_name_the_plug_in_and_the_task(tmp_path: Path) -> None:
    with pytest.raises(NameError) as caught:
        run_with(tmp_path, CannotTellItsState)
    assert caught.value.__notes__ == ["while 'cannottellitsstate' answered state_dict, task 1"]
    assert own_frames(caught.value) is not None
    registry = Registry.of({"synthetic": SyntheticData, "it": CannotTakeItsState})
    recipe = recipe_from_dict(tiny_recipe(it="it"), registry, "tiny")
    with pytest.raises(KeyboardInterrupt):
        run_recipe(recipe, tmp_path / "again", device="cpu")
    with pytest.raises(KeyError) as lost:
        run_recipe(recipe, tmp_path / "again", device="cpu", resume=True)
    assert lost.value.__notes__ == ["while 'it' answered load_state_dict, task 1"]


class WrapsWithoutReturn(Plugin):
    @hookimpl(wrapper=True)
    def phases(self) -> Any:
        yield


def test_a_wrapper_that_gives_nothing_back_is_named(tmp_path: Path) -> None:
    told = r"^plugins\.wrapswithoutreturn: its wrapper around phases must give back the list .* is a return missing\?"
    with pytest.raises(PluginError, match=told) as caught:
        run_with(tmp_path, WrapsWithoutReturn)
    assert caught.value.exit_code == 2, "nothing was trained yet: it is wrong input"
