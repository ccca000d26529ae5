"""Hook calls: order, guards against mistakes that pluggy takes in silence, blame."""

from typing import Any

import pytest
import torch

from incrlearn.calls import Calls, check_implementations, hook_names
from incrlearn.errors import PluginError
from incrlearn.hooks import hookimpl
from incrlearn.plugin import Plugin
from incrlearn.types import Backbone, Batch, LossTerm, Output, Phase, RunState, Task

TASK = Task(number=3, total=5, known=4, seen=6)
ARRIVED = (10,) * 6


def make(cls: type[Plugin], name: str) -> Plugin:
    return cls(name, cls.Config())


def state_in(phase: Phase | None = None) -> RunState:
    return RunState(seed=1, device=torch.device("cpu"), task=TASK, image_shape=(3, 32, 32), phase=phase)


class Tells(Plugin):
    """Answers two hooks with its own name."""

    provides = frozenset({"classification"})

    @hookimpl
    def phases(self) -> Phase:
        return Phase(self.name, epochs=1, batch=2)

    @hookimpl
    def loss_terms(self) -> list[LossTerm]:
        return [LossTerm(self.name, torch.tensor(1.0))]


class TellsAux(Tells):
    provides = frozenset({"auxiliary"})


class Silent(Plugin):
    """Answers with None, which stands for no answer."""

    @hookimpl
    def memory_quota(self) -> None:
        return None


class Quota(Plugin):
    @hookimpl
    def memory_quota(self, task: Task) -> int:
        return task.seen


def batch_and_output() -> tuple[Batch, Output]:
    empty = torch.zeros(1, 2)
    return Batch(empty, torch.zeros(1, dtype=torch.int64)), Output((empty,), empty, empty)


def test_plugins_answer_in_recipe_order() -> None:
    calls = Calls([make(Tells, name) for name in ("first", "second", "third")])
    assert [phase.name for phase in calls.phases(state_in())] == ["first", "second", "third"]


def test_first_answer_that_is_not_none_wins() -> None:
    calls = Calls([make(Silent, "silent"), make(Quota, "quota")])
    assert calls.memory_quota(TASK, ARRIVED, 1) == (6,) * 6


def test_core_default_answers_last() -> None:
    class Core:
        @hookimpl(trylast=True)
        def memory_quota(self) -> int:
            return 1

    assert Calls([make(Quota, "quota")], core=[Core()]).memory_quota(TASK, ARRIVED, 1) == (6,) * 6
    assert Calls([make(Silent, "silent")], core=[Core()]).memory_quota(TASK, ARRIVED, 1) == (1,) * 6


def test_only_losses_of_the_phase_are_asked() -> None:
    calls = Calls([make(Tells, "loss"), make(TellsAux, "auxiliary")])
    batch, out = batch_and_output()
    everything = calls.loss_terms(state_in(Phase("train", 1, 2)), batch, out)
    stage = calls.loss_terms(state_in(Phase("head", 1, 2, terms=frozenset({"classification"}))), batch, out)
    assert [term.name for term in everything] == ["loss", "auxiliary"]
    assert [term.name for term in stage] == ["loss"]


def test_explain_lists_hooks_in_loop_order_and_answers_in_call_order() -> None:
    table = dict(Calls([make(Tells, "one"), make(Tells, "two")]).answers())
    assert list(table) == list(hook_names())
    assert list(table).index("expand") < list(table).index("phases") < list(table).index("rank_exemplars")
    assert table["phases"] == ["one", "two"]
    assert table["expand"] == []


def test_error_says_who_answered_what_and_when() -> None:
    class Breaks(Plugin):
        @hookimpl
        def phases(self) -> Phase:
            raise ZeroDivisionError("by zero")

    calls = Calls([make(Tells, "fine"), make(Breaks, "pruning")])
    with pytest.raises(ZeroDivisionError) as caught:
        calls.phases(state_in())
    assert caught.value.__notes__ == ["while 'pruning' answered phases, task 3"]


def test_error_before_there_is_a_task_says_who_answered_what() -> None:
    class Breaks(Plugin):
        @hookimpl
        def explain(self) -> list[str]:
            raise ZeroDivisionError("by zero")

    calls = Calls([make(Tells, "fine"), make(Breaks, "pruning")])
    with pytest.raises(ZeroDivisionError) as caught:
        calls.explain(Backbone(torch.nn.Identity(), 1), (3, 32, 32))
    assert caught.value.__notes__ == ["while 'pruning' answered explain"]


def test_watchers_look_on_after_the_plugins() -> None:
    seen: list[str] = []

    class Logs(Plugin):
        @hookimpl
        def record(self, row: dict[str, Any]) -> None:
            seen.append("plugin")

    class Watches:
        @hookimpl
        def record(self, row: dict[str, Any]) -> None:
            seen.append("watcher")

    Calls([make(Logs, "log")], watchers=[Watches()]).record(state_in(), {"kind": "task"})
    assert seen == ["plugin", "watcher"]


class Unmarked(Plugin):
    def loss_terms(self) -> list[LossTerm]:
        return []


class Misspelt(Plugin):
    @hookimpl
    def loss_term(self) -> list[LossTerm]:
        return []


class Eager(Plugin):
    @hookimpl(tryfirst=True)
    def phases(self) -> None:
        return None


class Late(Plugin):
    @hookimpl(trylast=True)
    def phases(self) -> None:
        return None


class OldWrapper(Plugin):
    @hookimpl(hookwrapper=True)
    def phases(self) -> Any:
        yield


class Defaulted(Plugin):
    @hookimpl
    def memory_quota(self, task: Task | None = None) -> None:
        return None


class UnknownArgument(Plugin):
    @hookimpl
    def memory_quota(self, tasks: Task) -> None:
        return None


class WithoutSelf(Plugin):
    @hookimpl
    def loss_terms(batch, out) -> list[LossTerm]:  # type: ignore[no-untyped-def]  # noqa: N805 (forgotten)
        return []


class WithoutAnything(Plugin):
    @hookimpl
    def prepare() -> None:  # type: ignore[misc]
        return None


class NoHook(Plugin):
    kind = "loss"


class NoHookOfANewKind(Plugin):
    def help(self) -> None:
        return None


class AsksForNoPhase(Plugin):
    kind = "phase"

    @hookimpl
    def make_optimizer(self) -> None:
        return None


class NearlyAHook(Plugin):
    kind = "head"

    def grow_heads(self) -> None:
        return None


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (WithoutSelf, r"the first argument of a method is self; write def loss_terms\(self, batch, out\)$"),
        (WithoutAnything, r"the first argument of a method is self; write def prepare\(self\)$"),
        (NoHook, "NoHook answers no hook; a loss answers loss_terms$"),
        (NoHookOfANewKind, "NoHookOfANewKind answers no hook$"),
        (AsksForNoPhase, "AsksForNoPhase is of kind 'phase' and answers no phases: nothing would be trained for it"),
        (NearlyAHook, "answers no hook; a head answers grow_head; if its grow_heads is to be grow_head, call it so"),
        (Unmarked, "write @hookimpl above it"),
        (Misspelt, "did you mean 'loss_terms'"),
        (Eager, "order of the recipe"),
        (Late, "order of the recipe"),
        (OldWrapper, r"hookwrapper is refused; write @hookimpl\(wrapper=True\)"),
        (Defaulted, "'task' has a default value"),
        (UnknownArgument, "tasks"),
    ],
)
def test_implementation_that_could_not_work_is_refused(cls: type[Plugin], message: str) -> None:
    with pytest.raises(PluginError, match=message) as caught:
        Calls([make(cls, "mine")])
    assert "'mine'" in str(caught.value)


class OnlyWraps(Plugin):
    @hookimpl(wrapper=True)
    def phases(self) -> Any:
        return (yield)


class OnlyData(Plugin):
    kind = "data"


@pytest.mark.parametrize("cls", [OnlyWraps, OnlyData])
def test_wrapper_alone_and_data_without_hooks_go(cls: type[Plugin]) -> None:
    check_implementations(make(cls, "mine"), "mine")


def test_losses_that_all_gave_none_are_named() -> None:
    class Forgets(Plugin):
        provides = frozenset({"classification"})

        @hookimpl
        def loss_terms(self) -> None:
            return None

    class Other(Forgets):
        provides = frozenset({"auxiliary"})

    batch, out = batch_and_output()
    calls = Calls([make(Forgets, "loss"), make(Other, "extra")])
    stage = state_in(Phase("head", 1, 2, terms=frozenset({"classification"})))
    with pytest.raises(PluginError, match=r"^plugins\.loss: loss_terms gave None; is a return missing\?$"):
        calls.loss_terms(stage, batch, out)
    with pytest.raises(PluginError, match=r"^plugins\.loss and plugins\.extra: loss_terms gave None"):
        calls.loss_terms(state_in(Phase("train", 1, 2)), batch, out)


class GivesNone(Plugin):
    kind = "loss"

    @hookimpl
    def loss_terms(self) -> None:
        return None


class OfAMask(Tells):
    kind = "prune"


class OfALoss(Tells):
    kind = "loss"


def test_loss_that_gave_none_beside_a_mask_alone_is_told_in_the_first_step_of_an_epoch() -> None:
    batch, out = batch_and_output()
    state = state_in(Phase("train", 1, 2))
    masked = Calls([make(GivesNone, "loss"), make(OfAMask, "mask")])
    with pytest.raises(PluginError, match=r"^plugins\.loss: loss_terms gave None; is a return missing\?$"):
        masked.loss_terms(state, batch, out, closely=True)
    assert [term.name for term in masked.loss_terms(state, batch, out)] == ["mask"]
    # As a distillation in the first task.
    other = Calls([make(GivesNone, "extra"), make(OfALoss, "loss")])
    assert [term.name for term in other.loss_terms(state, batch, out, closely=True)] == ["loss"]


def test_loss_that_nobody_was_asked_for_is_no_terms() -> None:
    batch, out = batch_and_output()
    stage = state_in(Phase("head", 1, 2, terms=frozenset({"nobody's"})))
    assert Calls([make(Tells, "loss")]).loss_terms(stage, batch, out) == []


def test_core_may_answer_last() -> None:
    check_implementations(make(Late, "core"), "core", is_core=True)


@pytest.mark.parametrize("answer", [torch.tensor([0, 0]), torch.tensor([0]), [0, 1]])
def test_exemplars_must_be_distinct_and_enough(answer: Any) -> None:
    class Ranks(Plugin):
        @hookimpl
        def rank_exemplars(self) -> Any:
            return answer

    with pytest.raises(PluginError, match="2 distinct positions"):
        Calls([make(Ranks, "memory")]).rank_exemplars(state_in(), 4, torch.zeros(5, 3), 2)


def test_missing_answers_say_what_is_wanted() -> None:
    calls = Calls([])
    with pytest.raises(PluginError, match="expand must give"):
        calls.expand(state_in(), None, lambda purpose: torch.nn.Identity())
    with pytest.raises(PluginError, match="grow_head must give"):
        calls.grow_head(state_in(), None, 4)
    with pytest.raises(PluginError, match="optimizer for phase 'train'"):
        calls.make_optimizer(state_in(), Phase("train", 1, 2), [])
