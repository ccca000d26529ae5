"""What runs around hook implementations: all of them, in order, and nothing else is changed by it."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from incrlearn import LossTerm, Phase, Plugin, hookimpl
from incrlearn.calls import Calls
from incrlearn.types import Batch, Output, RunState, Task


class Gives(Plugin):
    """A loss of one."""

    provides = frozenset({"classification"})

    @hookimpl
    def loss_terms(self, out: Output) -> list[LossTerm]:
        return [LossTerm(self.name, out.logits.sum())]


class Doubles(Plugin):
    """Doubles what the others gave, and tells of their failures."""

    provides = frozenset({"classification"})

    @hookimpl(wrapper=True)
    def loss_terms(self, state: RunState) -> Generator[None, Any, Any]:
        try:
            answers = yield
        except ValueError as error:
            raise RuntimeError("seen") from error
        return answers + answers


class Fails(Plugin):
    """Never answers."""

    provides = frozenset({"classification"})

    @hookimpl
    def loss_terms(self) -> list[LossTerm]:
        raise ValueError("no")


def ask(*plugins: type[Plugin]) -> tuple[list[LossTerm], list[tuple[str, str, str, list[str]]]]:
    seen: list[tuple[str, str, str, list[str]]] = []

    @contextmanager
    def around(hook: str, label: str, arguments: dict[str, Any]) -> Iterator[None]:
        seen.append(("in", hook, label, list(arguments)))
        yield
        seen.append(("out", hook, label, list(arguments)))

    calls = Calls([plugin(plugin.__name__, plugin.Config()) for plugin in plugins], around=around)
    state = RunState(1, torch.device("cpu"), Task(1, 1, 0, 2), (1, 8, 8), phase=Phase("train", 1, 2))
    images = torch.ones(2, 1, 8, 8)
    out = Output((torch.ones(2, 3),), torch.ones(2, 3), torch.ones(2, 2))
    return calls.loss_terms(state, Batch(images, torch.zeros(2, dtype=torch.int64)), out), seen


def test_every_implementation_is_observed_in_the_order_of_calls() -> None:
    terms, seen = ask(Gives, Doubles)
    assert [term.name for term in terms] == ["Gives", "Gives"]
    assert [(when, label, arguments) for when, _, label, arguments in seen] == [
        ("in", "Doubles", ["state"]),
        ("out", "Doubles", ["state"]),
        ("in", "Gives", ["out"]),
        ("out", "Gives", ["out"]),
        ("in", "Doubles", ["state"]),
        ("out", "Doubles", ["state"]),
    ]
    assert {hook for _, hook, *_ in seen} == {"loss_terms"}


def test_a_failure_reaches_wrappers_and_the_blame_is_the_same() -> None:
    with pytest.raises(RuntimeError, match="seen") as caught:
        ask(Fails, Doubles)
    assert caught.value.__notes__ == ["while 'Doubles' answered loss_terms, task 1"]
    with pytest.raises(ValueError, match="no") as alone:
        ask(Fails)
    assert alone.value.__notes__ == ["while 'Fails' answered loss_terms, task 1"]


def test_who_takes_no_part_in_a_phase_is_not_asked_under_observation_either() -> None:
    class Other(Gives):
        provides = frozenset({"sparsity"})

    calls = Calls(
        [Gives("a", Gives.Config()), Other("b", Other.Config())], around=lambda hook, label, arguments: silence()
    )
    phase = Phase("balance", 1, 2, terms=frozenset({"classification"}))
    state = RunState(1, torch.device("cpu"), Task(1, 1, 0, 2), (1, 8, 8), phase=phase)
    out = Output((torch.ones(2, 3),), torch.ones(2, 3), torch.ones(2, 2))
    batch = Batch(torch.ones(2, 1, 8, 8), torch.zeros(2, dtype=torch.int64))
    assert [term.name for term in calls.loss_terms(state, batch, out)] == ["a"]
    answering = dict(calls.answers())
    assert answering["loss_terms"] == ["a", "b"]


@contextmanager
def silence() -> Iterator[None]:
    yield
