"""What the docs say of ``state``: what it holds in which hook, seen in a run."""

from dataclasses import dataclass
from typing import Any

import pytest

from incrlearn import Plugin, Registry, RunState, hookimpl, run_recipe
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe

BEFORE_THE_NETWORK = ("hold_out", "expand")
IN_PHASES = ("select_data", "phase_start", "epoch_start", "loss_terms", "epoch_end", "prune", "phase_end")
AT_THE_END = ("task_end", "scores", "metrics", "record")
HOOKS = (*BEFORE_THE_NETWORK, "grow_head", "prepare", "phases", *IN_PHASES, "rank_exemplars", *AT_THE_END)


@dataclass(frozen=True)
class Seen:
    """How the state stood in a hook."""

    hook: str
    task: int
    phase: str | None
    epoch: int
    new: int
    memory: int
    held_out: int
    has_teacher: bool
    has_network: bool
    has_head: bool
    """Whether the head is as wide as the classes seen."""
    attached: int


def look(hook: str, state: RunState) -> Seen:
    network = state.current
    weight: Any = getattr(network.head, "weight", None) if network is not None else None
    return Seen(
        hook=hook,
        task=state.task.number,
        phase=state.phase.name if state.phase is not None else None,
        epoch=state.epoch,
        new=len(state.new),
        memory=len(state.memory),
        held_out=len(state.held_out),
        has_teacher=state.teacher is not None,
        has_network=network is not None,
        has_head=weight is not None and len(weight) == state.task.seen,
        attached=len(network.attachments) if network is not None else 0,
    )


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> list[Seen]:
    """DER over three tasks of two classes of 20 images, with held-out ones and a plug-in that looks at the state."""
    noted: list[Seen] = []

    def looking(hook: str) -> Any:
        def method(self: Plugin, state: RunState) -> None:
            noted.append(look(hook, state))

        method.__name__ = hook
        return hookimpl(method)

    members = {hook: looking(hook) for hook in HOOKS}
    looks = type("Looks", (Plugin,), {**members, "needs": frozenset({"teacher"})})
    bias = {"use": "bias_layer", "share": 0.4, "epochs": 1, "milestones": [], "batch": 8}
    plain = tiny_recipe(head={"use": "linear", "bias": True}, balance=None, bias=bias)
    plain["plugins"] = {"looks": "looks", **plain["plugins"]}
    recipe = recipe_from_dict(plain, Registry.of({"synthetic": SyntheticData, "looks": looks}), "tiny")
    run_recipe(recipe, tmp_path_factory.mktemp("state") / "run", device="cpu")
    return noted


def of(seen: list[Seen], *hooks: str, task: int | None = None) -> list[Seen]:
    found = [one for one in seen if one.hook in hooks and task in (None, one.task)]
    assert found, f"{hooks} were not asked in task {task}"
    return found


def test_there_is_a_phase_from_select_data_to_phase_end(seen: list[Seen]) -> None:
    in_phases = {(one.hook, one.phase is not None) for one in seen if one.hook != "record"}
    assert in_phases == {(hook, hook in IN_PHASES) for hook in HOOKS if hook != "record"}


def test_the_epoch_is_0_at_the_start_of_a_phase_and_the_last_one_at_its_end(seen: list[Seen]) -> None:
    assert {one.epoch for one in of(seen, "select_data", "phase_start")} == {0}
    assert {(one.phase, one.epoch) for one in of(seen, "phase_end")} == {("train", 2), ("bias", 0)}


def test_there_is_a_teacher_from_expand_to_task_end_but_for_the_first_task(seen: list[Seen]) -> None:
    without = ("hold_out", "scores", "metrics")
    for one in seen:
        if one.hook != "record" or one.phase is not None:
            assert one.has_teacher == (one.task > 1 and one.hook not in without), one
    assert not any(one.has_teacher for one in of(seen, "record") if one.phase is None)


def test_there_is_no_network_before_the_first_one_is_made(seen: list[Seen]) -> None:
    assert {(one.hook, one.task) for one in seen if not one.has_network} == {("hold_out", 1), ("expand", 1)}


def test_the_head_is_the_tasks_from_prepare_on(seen: list[Seen]) -> None:
    early = {*BEFORE_THE_NETWORK, "grow_head"}
    assert {one.hook for one in seen if not one.has_head} == early
    assert {one.hook for one in seen if one.has_head} == {*HOOKS} - early


def test_what_is_attached_is_dropped_behind_task_end(seen: list[Seen]) -> None:
    assert {one.attached for one in of(seen, "task_end", task=2)} == {1}
    assert {one.attached for one in of(seen, "scores", "metrics", task=2)} == {0}


def test_samples_are_the_tasks_and_those_kept_of_old_classes(seen: list[Seen]) -> None:
    """18 exemplars in all: 9 of each of two classes, then 4 of each of four, 2 of which are held out."""
    assert {(one.new, one.memory, one.held_out) for one in of(seen, "hold_out", task=1)} == {(40, 0, 0)}
    first = of(seen, "expand", "prepare", "loss_terms", "phase_end", "rank_exemplars", task=1)
    assert {one.memory for one in first} == {0}
    held = {one.held_out for one in first}
    assert len(held) == 1
    assert {one.new + one.held_out for one in first} == {40}
    kept = of(seen, *AT_THE_END[:-1], task=1)
    assert {one.memory for one in kept} == {18}
    assert 0 < min(one.held_out for one in kept) < 18
    second = of(seen, "expand", "prepare", "loss_terms", "rank_exemplars", task=2)
    assert {one.memory for one in second} == {18 - kept[0].held_out}
    (asked,) = of(seen, "hold_out", task=2)
    assert (asked.new, asked.held_out) == (40, kept[0].held_out)
    assert {one.new + one.held_out for one in second} == {40 + kept[0].held_out}
