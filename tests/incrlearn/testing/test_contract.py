"""The contract catches what it is there to catch: one planted fault a plug-in, found by its own rule and no other."""

from pathlib import Path
from typing import Any

import pytest

from incrlearn import Plugin, Registry
from incrlearn.testing.checks import all_checks
from incrlearn.testing.trial import Subject, Trial
from tests.incrlearn.testing.planted import (
    DrawsFromNumpy,
    DrawsFromRandom,
    DrawsFromTorch,
    FollowsTheHead,
    ForgetsAnOption,
    GivesAZero,
    GivesNoGradient,
    GivesNoScalar,
    HalvesTheTeacher,
    IsWatched,
    LosesItsState,
    Misspelt,
    ReplacesTheHead,
    Sound,
    WantsAnOption,
    WritesToFixedWeights,
    WritesToOldExtractor,
    WritesToTheTeacher,
    WritesWhereItMayOnlyLook,
)
from tests.incrlearn.testing.planted_on_devices import (
    ComparesWithOneHot,
    ComputesAgain,
    Copies,
    DrawsOnTheDevice,
    HeadWithAHostTensor,
    KeepsATensorOnTheHost,
    LeavesATensorOnTheHost,
    NamesItsDevice,
    ReadsByNumpy,
    StaysOnTheDevice,
    WaitsForAList,
    WaitsForANumber,
    WaitsForASize,
)

FAULTS: list[tuple[type[Plugin], set[str], str]] = [
    (Sound, set(), ""),
    (FollowsTheHead, set(), ""),
    (DrawsFromTorch, {"generators"}, "drew from torch's global generator; draw from state.generator"),
    (DrawsFromNumpy, {"generators", "resume"}, "drew from numpy's global generator"),
    (DrawsFromRandom, {"generators"}, "task_end, task 1: drew from random's global generator"),
    (WritesToOldExtractor, {"frozen"}, "after_step, task 2: changed the network's frozen extractors.0."),
    (WritesToTheTeacher, {"frozen"}, "epoch_end, task 2: changed the teacher's frozen extractors.0."),
    (WritesWhereItMayOnlyLook, {"weights"}, "loss_terms, task 1: changed the network's own head.weight"),
    (LosesItsState, {"resume"}, "the weights differ after task 2"),
    (WaitsForANumber, {"waits"}, "loss_terms, task 1: item() in planted_on_devices.py, line "),
    (WaitsForASize, {"waits"}, "loss_terms, task 1: indexing with a mask in planted_on_devices.py, line "),
    (WaitsForAList, {"waits"}, "loss_terms, task 1: tolist() in planted_on_devices.py, line "),
    (ComparesWithOneHot, set(), ""),
    (LeavesATensorOnTheHost, {"device"}, "loss_terms, task 1: in planted_on_devices.py, line "),
    (KeepsATensorOnTheHost, {"device"}, "mul mixes tensors of two devices: (2,) on the host, ("),
    (
        DrawsOnTheDevice,
        {"device"},
        "randn draws on the device: a GPU refuses the CPU's generator, and its own draws other numbers",
    ),
    (ReadsByNumpy, {"device"}, "numpy cannot read a tensor that lies on the device; write .cpu() before it"),
    (HeadWithAHostTensor, {"device"}, "forward: in planted_on_devices.py, line "),
    (StaysOnTheDevice, set(), ""),
    (ComputesAgain, set(), ""),
    (HalvesTheTeacher, {"trains"}, "state.teacher(batch) gave was changed in place"),
    (ReplacesTheHead, {"trains"}, "head.weight of the network were replaced by new objects"),
    (GivesNoScalar, {"trains"}, ""),
    (GivesNoGradient, {"trains"}, "whose value has a gradient: without one it changes nothing in training"),
    (GivesAZero, {"terms"}, "has no gradient: no weight can be learned from it"),
    (IsWatched, set(), ""),
    (Misspelt, {"hooks", "trains"}, "no hook of that name; did you mean 'epoch_end'"),
    (ForgetsAnOption, {"options", "resume"}, "plugins.subject.share was 5000.0 and came back as 50000000.0"),
]


def broken_rules(plugin: type[Plugin], folder: Path, **options: Any) -> dict[str, list[str]]:
    """What each check finds, as the test class would run it on a machine without a GPU."""
    trial = Trial(Subject(plugin, options), folder)
    found: dict[str, list[str]] = {}
    for check in all_checks():
        if trial.reason_to_skip(check.needs) is None:
            found[check.name] = check.find(trial)
    return {name: problems for name, problems in found.items() if problems}


def test_an_option_that_must_be_given_may_be_read_at_once(tmp_path: Path) -> None:
    assert broken_rules(WantsAnOption, tmp_path, tenths=1) == {}


def test_plugin_that_a_second_device_stops_is_held_to_the_other_rules(tmp_path: Path) -> None:
    trial = Trial(Subject(NamesItsDevice), tmp_path)
    untried = {check.name: why for check in all_checks() if (why := trial.reason_to_skip(check.needs)) is not None}
    assert set(untried) - {"gpu"} == {"device"}
    assert "on cpu:1, which stands for a GPU, it fails, and on cpu it does not: SafetensorError" in untried["device"]
    assert "load_file(" in untried["device"]
    assert broken_rules(NamesItsDevice, tmp_path / "again") == {}


def test_fixed_weights_are_frozen_beside_those_that_learn(tmp_path: Path) -> None:
    train = {"use": "sgd", "lr": 0.05, "batch": 16, "epochs": 2, "milestones": [], "fresh_heads": False, "warmup": 0}
    head = {"use": "cosine", "old": "fixed"}
    beside = {"network": "single", "auxiliary": None, "balance": None, "train": train, "head": head}
    _, vigil = Trial(Subject(WritesToFixedWeights, beside=beside), tmp_path).through
    messages = {fault.message for fault in vigil.faults if fault.rule == "frozen"}
    assert "after_step, task 2: changed the network's frozen head.fixed_weight" in messages


def test_all_ways_of_copying_to_the_host_are_named(tmp_path: Path) -> None:
    problems = " ".join(broken_rules(Copies, tmp_path)["waits"])
    assert all(way in problems for way in ("to('cpu')", "cpu()", "numpy()", "printing a tensor"))


@pytest.mark.parametrize(("plugin", "rules", "words"), FAULTS, ids=lambda value: getattr(value, "__name__", None))
def test_a_planted_fault_is_found_by_its_rule(
    plugin: type[Plugin], rules: set[str], words: str, tmp_path: Path
) -> None:
    found = broken_rules(plugin, tmp_path)
    assert set(found) == rules, found
    assert not rules or any(words in problem for problem in found[min(rules)])


@pytest.mark.parametrize(
    ("name", "options", "wanted"),
    [
        ("sgd", {}, {"epochs": 3, "milestones": [2], "warmup": 1}),
        ("sgd", {"epochs": 1}, {"epochs": 1, "milestones": [], "warmup": 0, "batch": 16}),
        ("sgd", {"first": {"epochs": 1}}, {"epochs": 3, "milestones": []}),
        ("herding", {}, {"total": 18}),
        ("herding", {"per_class": 2}, {"total": None, "per_class": 2}),
    ],
)
def test_a_row_that_is_replaced_lends_the_options_that_keep_the_trial_short(
    name: str, options: dict[str, Any], wanted: dict[str, Any]
) -> None:
    subject = Subject(Registry.discover().load(name, Path()), options)
    row = subject.recipe().resolved()["plugins"][subject.key]
    assert {option: row[option] for option in wanted} == wanted
