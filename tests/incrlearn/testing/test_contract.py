"""The contract catches what it is there to catch: one planted fault a plug-in, found by its own rule and no other."""

import copy
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import field_serializer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from incrlearn import Batch, LossTerm, Output, Plugin, Registry, RunState, hookimpl
from incrlearn.network import LinearHead
from incrlearn.testing.checks import all_checks
from incrlearn.testing.trial import Subject, Trial


class Sound(Plugin):
    """A tenth of cross-entropy, weighted by how often it was asked: it keeps that count from task to task."""

    kind = "loss"

    def __init__(self, name: str, config: Plugin.Config) -> None:
        super().__init__(name, config)
        self.asked = 0

    @hookimpl
    def loss_terms(self, batch: Batch, out: Output) -> list[LossTerm]:
        self.asked += 1
        return [LossTerm(self.name, self.value(batch, out), 0.1 + 0.01 * self.asked)]

    def value(self, batch: Batch, out: Output) -> Tensor:
        return cross_entropy(out.logits, batch.labels)

    def state_dict(self) -> dict[str, Any]:
        return {"asked": self.asked}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.asked = state["asked"]


class DrawsFromTorch(Sound):
    """Noise from the global generator."""

    def value(self, batch: Batch, out: Output) -> Tensor:
        return cross_entropy(out.logits + 0.01 * torch.randn_like(out.logits), batch.labels)


class DrawsFromNumpy(Sound):
    """A weight that numpy draws."""

    def value(self, batch: Batch, out: Output) -> Tensor:
        return cross_entropy(out.logits, batch.labels) * float(np.random.uniform(0.9, 1.1))


class DrawsFromRandom(Sound):
    """A choice that Python draws, at the end of a task."""

    @hookimpl
    def task_end(self) -> None:
        random.choice([1, 2, 3])


class WritesToOldExtractor(Sound):
    """Moves a frozen weight a little, past autograd's notice."""

    @hookimpl
    def after_step(self, state: RunState) -> None:
        if state.task.number > 1:
            next(state.network.get_submodule("extractors.0").parameters()).data.add_(1e-3)


class WritesToFixedWeights(Sound):
    """Moves the head's weights that are fixed, beside those that learn."""

    @hookimpl
    def after_step(self, state: RunState) -> None:
        if state.task.number > 1:
            state.network.head.get_parameter("fixed_weight").data.mul_(0.999)


class FollowsTheHead(Sound):
    """A running mean of the head's weights, attached and without gradients."""

    @hookimpl
    def prepare(self, state: RunState) -> None:
        state.network.attach(self.name, copy.deepcopy(state.network.head).requires_grad_(False))

    @hookimpl
    @torch.no_grad()
    def after_step(self, state: RunState) -> None:
        pairs = zip(state.network.attached(self.name).parameters(), state.network.head.parameters(), strict=True)
        for mean, weight in pairs:
            mean.lerp_(weight, 0.1)


class WritesToTheTeacher(Sound):
    """Moves a weight of the network of the task before."""

    needs = frozenset({"teacher"})

    @hookimpl
    def epoch_end(self, state: RunState) -> None:
        if state.teacher is not None:
            next(state.teacher.network.get_submodule("extractors.0").parameters()).data.mul_(0.99)


class WritesWhereItMayOnlyLook(Sound):
    """Shrinks the head while it is asked for a loss."""

    @hookimpl
    def loss_terms(self, state: RunState, batch: Batch, out: Output) -> list[LossTerm]:
        next(state.network.head.parameters()).data.mul_(0.999)
        return [LossTerm(self.name, self.value(batch, out), 0.1)]


class LosesItsState(Sound):
    """Forgets its count when it is stopped."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


class WaitsForANumber(Sound):
    """Asks for a number in every batch."""

    def value(self, batch: Batch, out: Output) -> Tensor:
        loss = cross_entropy(out.logits, batch.labels)
        return loss / max(1.0, loss.item())


class WaitsForASize(Sound):
    """Picks with a mask, whose number of hits nobody knows beforehand."""

    def value(self, batch: Batch, out: Output) -> Tensor:
        return cross_entropy(out.logits, batch.labels) + 0 * out.logits[batch.labels > 0].sum()


class WaitsForAList(Sound):
    """Counts the images of a class on the host."""

    def value(self, batch: Batch, out: Output) -> Tensor:
        return cross_entropy(out.logits, batch.labels) * batch.labels.tolist().count(0)


class Copies(Sound):
    """Lets numpy, and whoever reads the terminal, have the labels."""

    def value(self, batch: Batch, out: Output) -> Tensor:
        share = float(batch.labels.to("cpu").cpu().numpy().mean()) / max(1, len(f"{batch.labels}"))
        return cross_entropy(out.logits, batch.labels) * min(1.0, share)


class ComparesWithOneHot(Sound):
    """Nobody waits for labels of which it is known how many there may be."""

    def value(self, batch: Batch, out: Output) -> Tensor:
        wanted = one_hot(batch.labels, out.logits.shape[1])
        return (out.logits.softmax(dim=1) - wanted).square().mean()


class LeavesATensorOnTheHost(Sound):
    """Makes a weight for each class, and not where the logits are."""

    def value(self, batch: Batch, out: Output) -> Tensor:
        return (out.logits * torch.ones(out.logits.shape[1])).square().mean()


class KeepsATensorOnTheHost(Sound):
    """Made once, at the beginning of a task; found where it is used."""

    @hookimpl
    def prepare(self, state: RunState) -> None:
        self.scales = torch.ones(state.task.seen)

    def value(self, batch: Batch, out: Output) -> Tensor:
        return cross_entropy(self.scales * out.logits, batch.labels)


class DrawsOnTheDevice(Sound):
    """Draws there with the generator that it was given, which is the CPU's."""

    @hookimpl
    def loss_terms(self, state: RunState, batch: Batch, out: Output) -> list[LossTerm]:
        generator = state.generator(f"{self.name}/{state.epoch}")
        noise = 0.01 * torch.randn(out.logits.shape, generator=generator, device=state.device)
        return [LossTerm(self.name, cross_entropy(out.logits + noise, batch.labels))]


class ReadsByNumpy(Sound):
    """Lets numpy read weights that lie on the device."""

    @hookimpl
    def task_end(self, state: RunState) -> None:
        float(next(state.network.parameters()).detach().numpy().mean())


class StaysOnTheDevice(Sound):
    """Follows the tensors that it is given, and brings to the host what the host is to read."""

    @hookimpl
    def prepare(self, state: RunState) -> None:
        self.scales = torch.ones(state.task.seen, device=state.device)
        self.order = torch.randperm(state.task.seen, generator=state.generator(self.name))
        self.moved = self.order.to(state.device)

    def value(self, batch: Batch, out: Output) -> Tensor:
        kinds = torch.arange(out.logits.shape[1], device=out.logits.device)
        own = (batch.labels[:, None] == kinds).to(out.logits)
        # An index may lie on the host, and a number anywhere.
        shuffled = out.logits[:, self.order] + out.logits.index_select(1, self.moved) + torch.tensor(1.0)
        return (self.scales * shuffled * own * out.logits.new_ones(out.logits.shape[1])).mean()

    @hookimpl
    def task_end(self, state: RunState) -> None:
        float(next(state.network.parameters()).detach().cpu().numpy().mean())


class HostScale(LinearHead):
    """A linear classifier with a scale that no ``.to`` moves, being no buffer."""

    def __init__(self, width: int, classes: int, generator: torch.Generator) -> None:
        super().__init__(width, classes, False, generator)
        self.scale = torch.ones(classes)

    def forward(self, features: Tensor) -> Tensor:
        return self.scale * super().forward(features)


class HeadWithAHostTensor(Plugin):
    """Its module is called when none of its hooks is under way."""

    kind = "head"

    @hookimpl
    def grow_head(self, state: RunState, width: int) -> nn.Module:
        return HostScale(width, state.task.seen, state.generator(self.name))


class GivesNoScalar(Sound):
    """A loss for each image."""

    def value(self, batch: Batch, out: Output) -> Tensor:
        return cross_entropy(out.logits, batch.labels, reduction="none")


class GivesNoGradient(Sound):
    """A number that nothing can be learned from."""

    def value(self, batch: Batch, out: Output) -> Tensor:
        return cross_entropy(out.logits, batch.labels).detach()


class GivesAZero(Sound):
    """A number that nothing can be learned from, and that counts nothing."""

    def value(self, batch: Batch, out: Output) -> Tensor:
        return 0 * cross_entropy(out.logits, batch.labels).detach()


class IsWatched(Sound):
    """A number that is there to be read, of weight 0, beside the loss."""

    @hookimpl
    def loss_terms(self, state: RunState, batch: Batch, out: Output) -> list[LossTerm]:
        loss = cross_entropy(out.logits, batch.labels)
        return [LossTerm(self.name, loss), LossTerm("watched", loss.detach(), 0.0)]


class Misspelt(Sound):
    """A hook that there is not."""

    @hookimpl
    def epoch_ends(self) -> None:
        pass


class WantsAnOption(Sound):
    """Reads an option without a default as soon as it is made."""

    class Config(Plugin.Config):
        """Options."""

        tenths: int
        """The weight."""

    config: Config

    def __init__(self, name: str, config: Config) -> None:
        super().__init__(name, config)
        self.weight = config.tenths / 10


class IsNeeded(Sound):
    """The classifier stage cannot do without its word."""

    provides = frozenset({"classification"})


class ForgetsAnOption(Sound):
    """Writes an option in another way than it reads it."""

    class Config(Plugin.Config):
        """Options."""

        share: float = 0.5
        """A share."""

        @field_serializer("share")
        def _in_percent(self, share: float) -> float:
            return 100 * share


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
    (WaitsForANumber, {"waits"}, "loss_terms, task 1: item() in test_contract.py, line "),
    (WaitsForASize, {"waits"}, "loss_terms, task 1: indexing with a mask in test_contract.py, line "),
    (WaitsForAList, {"waits"}, "loss_terms, task 1: tolist() in test_contract.py, line "),
    (ComparesWithOneHot, set(), ""),
    (LeavesATensorOnTheHost, {"device"}, "loss_terms, task 1: in test_contract.py, line "),
    (KeepsATensorOnTheHost, {"device"}, "mul mixes tensors of two devices: (2,) on the host, ("),
    (
        DrawsOnTheDevice,
        {"device"},
        "randn draws on the device: a GPU refuses the CPU's generator, and its own draws other numbers",
    ),
    (ReadsByNumpy, {"device"}, "numpy cannot read a tensor that lies on the device; write .cpu() before it"),
    (HeadWithAHostTensor, {"device"}, "forward: in test_contract.py, line "),
    (StaysOnTheDevice, set(), ""),
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
        if trial.reason_to_skip(check.needs_run, check.needs_gpu) is None:
            found[check.name] = check.find(trial)
    return {name: problems for name, problems in found.items() if problems}


def test_an_option_that_must_be_given_may_be_read_at_once(tmp_path: Path) -> None:
    assert broken_rules(WantsAnOption, tmp_path, tenths=1) == {}


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
