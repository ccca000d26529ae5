"""Every answer that is not what its hook asks for is refused, by who gave it, with what was expected and what came."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import ConstantLR, ReduceLROnPlateau

from incrlearn import (
    HeldOut,
    LossTerm,
    Network,
    Output,
    Phase,
    Plugin,
    PluginError,
    RecipeError,
    Registry,
    RunState,
    Samples,
    hookimpl,
    run_recipe,
)
from incrlearn.answers import check_loss_terms, check_metrics, check_quota, check_ranking, described
from incrlearn.calls import Calls
from incrlearn.network import BranchedNetwork
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe
from incrlearn.types import Backbone, Batch, Task

TASK = Task(number=3, total=5, known=4, seen=6)
LINEAR = nn.Linear(2, 6)
BATCH = Batch(torch.zeros(5, 1, 8, 8), torch.zeros(5, dtype=torch.int64))
OUT = Output((torch.zeros(5, 2),), torch.zeros(5, 2), torch.zeros(5, 6))
NEW = Samples(torch.arange(10, 18), torch.tensor([4, 4, 4, 4, 5, 5, 5, 5]))
PHASE = Phase("train", 1, 2)
LOSS = LINEAR(torch.zeros(1, 2)).sum()
OPTIMIZER = SGD(LINEAR.parameters(), lr=0.1)


def state() -> RunState:
    return RunState(seed=1, device=torch.device("cpu"), task=TASK, image_shape=(1, 8, 8), phase=PHASE)


def answering(hook: str, answer: object, name: str = "mine") -> Plugin:
    """A plug-in that answers one hook, always the same."""

    class Answers(Plugin):
        """Answers."""

    def method(self: Plugin) -> object:
        return answer

    method.__name__ = hook
    setattr(Answers, hook, hookimpl(method))
    return Answers(name, Answers.Config())


def ask(calls: Calls, hook: str) -> Any:
    """Call a hook with what fits ``TASK``."""
    given: dict[str, tuple[Any, ...]] = {
        "explain": (Backbone(nn.Identity(), 2), (1, 8, 8)),
        "hold_out": (state(), NEW, (2,) * 4),
        "expand": (state(), None, lambda purpose: Backbone(nn.Identity(), 2)),
        "rebuild": (TASK, {"network": "mine"}, lambda purpose: Backbone(nn.Identity(), 2)),
        "grow_head": (state(), None, 2),
        "phases": (state(),),
        "select_data": (state(), PHASE, NEW, Samples.empty()),
        "param_groups": (state(), PHASE),
        "make_optimizer": (state(), PHASE, [{"params": [*LINEAR.parameters()]}]),
        "loss_terms": (state(), BATCH, OUT),
        "prune": (state(), None),
        "memory_quota": (TASK, (10,) * 6, 1),
        "rank_exemplars": (state(), 4, torch.zeros(5, 2), 3),
        "scores": (state(), OUT),
        "metrics": (state(), torch.zeros(5, 6), torch.zeros(5), ["top1"]),
    }
    return getattr(calls, hook)(*given[hook])


WRONG: list[tuple[str, object, str]] = [
    ("explain", "all of it", "a list of lines of text; put it in a list; got 'all of it'"),
    ("explain", [1, 2], "a list of lines of text; got [1, 2]"),
    ("hold_out", torch.arange(3), "a HeldOut whose positions are an int64 tensor (n,), or None; got a tensor (3,)"),
    ("hold_out", HeldOut(torch.tensor([True] * 8)), "an int64 tensor (n,), or None; got a HeldOut"),
    ("hold_out", HeldOut(torch.tensor([8])), "distinct positions from 0 to 7; got [8]"),
    ("hold_out", HeldOut(torch.tensor([0, 0])), "distinct positions from 0 to 7; got [0, 0]"),
    ("hold_out", HeldOut(torch.tensor([0]), share=1.0), "a share from 0 to below 1; got 1.0"),
    ("expand", nn.Linear(2, 2), "an incrlearn Network, such as incrlearn.network.BranchedNetwork; got a Linear"),
    ("rebuild", nn.Linear(2, 2), "an incrlearn Network of the layout {'network': 'mine'}, or None; got a Linear"),
    ("grow_head", torch.zeros(6, 2), "a torch module (B, width) -> (B, K); got a tensor (6, 2) of float32"),
    ("phases", [PHASE], "one Phase, or None; a plug-in with several is several rows; got a list of a Phase"),
    ("phases", Phase("mine", 2, 0), "a Phase with a whole number of 1 or more as its batch; got 0"),
    ("phases", Phase("mine", 0.5, 2), "a Phase with a whole number of 0 or more as its epochs; got 0.5"),  # type: ignore[arg-type]
    ("phases", Phase("mine", 1, 2, trains="body"), "a Phase whose trains is 'network' or 'head'; got 'body'"),  # type: ignore[arg-type]
    ("phases", Phase("mine", 1, 2, temperature=0.0), "a Phase with a temperature above 0; got 0.0"),
    ("select_data", torch.arange(3), "Samples, such as new.take(positions) + memory; got a tensor (3,) of int64"),
    (
        "select_data",
        Samples(torch.arange(3), torch.arange(2)),
        "Samples with int64 indices (n,) and as many int64 labels; got a tuple of a tensor (3,) of int64, a tensor",
    ),
    ("select_data", Samples(torch.zeros(3), torch.arange(3)), "got a tuple of a tensor (3,) of float32, a tensor (3,)"),
    ("select_data", Samples.empty(), "one sample at least to train on, got none"),
    ("select_data", Samples(torch.tensor([1]), torch.tensor([6])), "labels from 0 to 5; got a tuple of [1], [6]"),
    ("select_data", Samples(torch.tensor([-1]), torch.tensor([4])), "indices from 0 and labels from 0 to 5; got a "),
    ("param_groups", [*LINEAR.parameters()], "a list of groups, such as [{\"params\": [...], \"lr\": 0.1}]; got a "),
    ("param_groups", {"params": []}, "such as [{\"params\": [...], \"lr\": 0.1}]; got dict {'params': []}"),
    ("make_optimizer", OPTIMIZER, "a pair (optimizer, schedule) of torch.optim"),
    ("make_optimizer", (OPTIMIZER, ReduceLROnPlateau(OPTIMIZER)), "stepped without a number"),
    ("make_optimizer", (ConstantLR(OPTIMIZER), OPTIMIZER), "got a tuple of a ConstantLR, a SGD"),
    ("loss_terms", LOSS, "a list of LossTerm, such as [LossTerm(self.name, loss)]; got a tensor () of float32"),
    ("loss_terms", LossTerm("mine", LOSS), "[LossTerm(self.name, loss)]; put it in a list; got a LossTerm"),
    ("loss_terms", [LOSS], "[LossTerm(self.name, loss)]; got a list of a tensor () of float32"),
    (
        "loss_terms",
        [LossTerm("mine", torch.zeros(5))],
        "a LossTerm 'mine' whose value is a floating scalar tensor; take its mean; got a tensor (5,) of float32",
    ),
    ("loss_terms", [LossTerm("mine", torch.tensor(3))], "a floating scalar tensor; got a tensor () of int64"),
    ("loss_terms", [LossTerm("mine", 0.5)], "a floating scalar tensor; got 0.5"),  # type: ignore[arg-type]
    ("loss_terms", [LossTerm("mine", LOSS, torch.ones(6))], "a scalar tensor; got a tensor (6,)"),
    ("loss_terms", [LossTerm("mine", LOSS, LOSS)], "for it would learn to be 0: detach it; got a tensor ()"),
    ("prune", {"kept": torch.ones(3)}, "a dict of plain values (numbers, text, lists and dicts of them), or None; "),
    ("prune", 3, "a dict of plain values (numbers, text, lists and dicts of them), or None; got 3"),
    ("memory_quota", (1, 2), "0 or more, for all classes, or 6 of them, one for each class seen, or None; got (1, 2)"),
    ("memory_quota", 2.5, "or None; got 2.5"),
    ("memory_quota", -1, "or None; got -1"),
    ("memory_quota", True, "or None; got True"),
    ("rank_exemplars", [0, 1, 2], "3 distinct positions from 0 to 4 as an int64 tensor; got [0, 1, 2]"),
    ("rank_exemplars", torch.tensor([0, 1]), "3 distinct positions from 0 to 4 as an int64 tensor; got a tensor (2,)"),
    ("rank_exemplars", torch.tensor([4, 1, 1]), "got a tensor (3,) of int64, in which 1 stands more than once"),
    ("rank_exemplars", torch.tensor([4, 1, 5]), "got a tensor (3,) of int64, in which 5 is no position"),
    ("metrics", {"top1": 1.0}, "numbers of names that the engine has not; got ['top1']; rename them"),
    ("rank_exemplars", torch.zeros(5, 2), "3 distinct positions from 0 to 4 as an int64 tensor; got a tensor (5, 2)"),
    ("scores", torch.zeros(5), "a floating tensor (B, K) of (5, 6); got a tensor (5,) of float32"),
    ("scores", torch.zeros(5, 6, dtype=torch.int64), "a floating tensor (B, K) of (5, 6); got a tensor (5, 6)"),
    ("metrics", 0.5, "a dict of numbers by name, such as {\"spread\": 0.5}; got 0.5"),
    ("metrics", {"spread": torch.zeros(2)}, "a dict of numbers by name, such as {\"spread\": 0.5}; got dict {'sp"),
]  # fmt: skip


@pytest.mark.parametrize(("hook", "answer", "words"), WRONG)
def test_wrong_answer_is_refused_with_what_was_expected_and_what_came(hook: str, answer: object, words: str) -> None:
    calls = Calls([answering(hook, None, "silent"), answering(hook, answer)])
    with pytest.raises(PluginError) as caught:
        ask(calls, hook)
    assert words in str(caught.value)
    assert f"{hook} must give" in str(caught.value)
    when = "" if hook == "explain" else ", task 3"
    if hook in ("expand", "rebuild", "grow_head", "prune"):
        # Hooks that change weights are not asked a second time.
        assert caught.value.__notes__ == [f"while 'silent' or 'mine' answered {hook}{when}"]
    else:
        assert str(caught.value).startswith("plugins.mine: ")
        assert caught.value.__notes__ == [f"while 'mine' answered {hook}{when}"]


def test_every_hook_that_gives_something_is_checked() -> None:
    silent = {"prepare", "phase_start", "epoch_start", "batch_start", "after_backward", "after_step"}
    silent |= {"epoch_end", "phase_end", "task_end", "record"}
    from incrlearn.calls import hook_names

    assert {hook for hook, _, _ in WRONG} == set(hook_names()) - silent


@pytest.mark.parametrize("hook", ["expand", "grow_head", "scores", "select_data", "param_groups"])
def test_missing_answer_is_refused(hook: str) -> None:
    with pytest.raises(PluginError, match=rf"^plugins.mine: {hook} must give .*; got None\n") as caught:
        ask(Calls([answering(hook, None)]), hook)
    assert caught.value.__notes__ == [f"while 'mine' answered {hook}, task 3"]


def test_first_of_several_wrong_answers_to_a_list_is_told() -> None:
    right, wrong = answering("loss_terms", [LossTerm("right", LOSS)], "right"), answering("loss_terms", LOSS, "wrong")
    also = answering("loss_terms", LOSS, "also")
    with pytest.raises(PluginError, match=r"^plugins\.wrong: "):
        ask(Calls([right, wrong, also]), "loss_terms")


def test_wrapper_that_gives_nothing_back_is_told() -> None:
    class Forgets(Plugin):
        """Yields and gives nothing back."""

        @hookimpl(wrapper=True)
        def phases(self) -> Any:
            yield

    with pytest.raises(PluginError, match=r"^plugins.forgets: its wrapper around phases must give back .*; got None"):
        ask(Calls([answering("phases", PHASE), Forgets("forgets", Forgets.Config())]), "phases")


def test_answers_come_in_the_form_that_the_engine_uses() -> None:
    assert check_quota(3, seen=2) == check_quota([3, 3], seen=2) == (3, 3)
    assert check_quota(None, seen=2) is None
    assert check_metrics({"a": np.float64(0.5), "b": torch.tensor(2)}) == {"a": 0.5, "b": 2.0}
    ranking = check_ranking(torch.tensor([2, 0], dtype=torch.int32), quota=2, images=3)
    assert (ranking.tolist(), ranking.dtype) == ([2, 0], torch.int64)
    assert check_loss_terms((LossTerm("one", LOSS, torch.tensor(0.5)),))[0].name == "one"


def test_long_values_are_cut() -> None:
    assert len(described("x" * 1000)) == 100
    assert described([torch.zeros(1)] * 9) == (
        "a list of a tensor (1,) of float32, a tensor (1,) of float32, a tensor (1,) of float32, ..."
    )


# -- in a run ------------------------------------------------------------------------------------------------------


class Narrow(Plugin):
    """A head that does not read the features it is given."""

    kind = "head"

    class Config(Plugin.Config):
        width: int = 3
        classes: int | None = None

    config: Config

    @hookimpl
    def grow_head(self, state: RunState, width: int) -> nn.Module:
        return nn.Linear(self.config.width or width, self.config.classes or state.task.seen)


class Wider(BranchedNetwork):
    """Says that it is wider than it is."""

    @property
    def widths(self) -> tuple[int, ...]:
        return (11,)


class Lies(Plugin):
    """Makes such a network."""

    kind = "network"

    @hookimpl
    def expand(self, make_backbone: Any) -> Network:
        return Wider([make_backbone("task 1")])


class Bare(Plugin):
    """The classic: a loss that is no term."""

    kind = "loss"
    provides = frozenset({"classification"})

    @hookimpl
    def loss_terms(self, out: Output) -> Any:
        return out.logits.mean()


class Greedy(Plugin):
    """A memory of which nobody knows how large it is."""

    kind = "memory"
    provides = frozenset({"exemplars"})

    @hookimpl
    def memory_quota(self) -> Any:
        return "all"

    @hookimpl
    def rank_exemplars(self, features: Tensor) -> Tensor:
        return torch.arange(len(features))


def run(out: Path, **rows: object) -> None:
    made = {"synthetic": SyntheticData, "narrow": Narrow, "lies": Lies, "bare": Bare}
    registry = Registry.of({**made, "greedy": Greedy})
    plain: dict[str, object] = {"network": "single", "auxiliary": None, "balance": None, **rows}
    run_recipe(recipe_from_dict(tiny_recipe(**plain), registry, "tiny"), out, device="cpu")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            {"use": "narrow", "width": 3},
            r"plugins.head: grow_head must give a module \(2, 8\) -> \(2, 2\); Linear\(in_features=3, out_features=2, "
            r"bias=True\) does not take such features \(RuntimeError: ",
        ),
        (
            {"use": "narrow", "width": 0, "classes": 4},
            r"plugins.head: grow_head must give a module \(2, 8\) -> \(2, 2\); .* makes a tensor \(2, 4\) of float32",
        ),
    ],
)
def test_head_that_does_not_fit_is_told_before_training(tmp_path: Path, row: object, words: str) -> None:
    with pytest.raises(PluginError, match=words) as caught:
        run(tmp_path / "run", head=row)
    assert caught.value.__notes__ == ["found after grow_head, task 1 of 2 classes"]


def test_network_that_is_not_as_wide_as_it_says_is_told_before_training(tmp_path: Path) -> None:
    words = r"plugins.network: expand must give .* makes \[\(2, 11\)\] of images \(2, 1, 8, 8\), .*; got \[\(2, 8\)\]"
    with pytest.raises(PluginError, match=words):
        run(tmp_path / "run", network="lies")


def test_bare_loss_is_told(tmp_path: Path) -> None:
    words = r"plugins.loss: loss_terms must give a list of LossTerm, .*; got a tensor \(\) of float32"
    with pytest.raises(PluginError, match=words) as caught:
        run(tmp_path / "run", loss="bare")
    assert caught.value.__notes__ == ["while 'loss' answered loss_terms, task 1"]


def test_wrong_quota_is_a_problem_of_the_recipe(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"plugins.memory: memory_quota must give .*; got 'all'"):
        run(tmp_path / "run", memory="greedy")


def test_numbers_of_numpy_are_numbers() -> None:
    assert check_quota(np.int64(4), 3) == (4, 4, 4)
    assert check_quota((np.int64(4), 3, np.int32(2)), 3) == (4, 3, 2)
    assert check_loss_terms([LossTerm("a", LOSS, np.float32(0.5))])[0].weight == 0.5
    (phase,) = Calls([answering("phases", Phase("train", np.int64(1), np.int64(2)))]).phases(state())
    assert phase.epochs == 1


def test_optimizer_and_schedule_may_be_a_list() -> None:
    pair = [OPTIMIZER, ConstantLR(OPTIMIZER)]
    assert Calls([answering("make_optimizer", pair)]).make_optimizer(state(), PHASE, []) == tuple(pair)


def test_nobody_who_could_have_answered_is_blamed_where_nobody_did() -> None:
    calls = Calls([answering("make_optimizer", None, "train"), answering("make_optimizer", None, "balance")])
    with pytest.raises(PluginError, match=r"^nobody makes an optimizer for phase 'train'") as caught:
        calls.make_optimizer(state(), PHASE, [])
    assert caught.value.__notes__ == ["while make_optimizer was called, task 3"]
