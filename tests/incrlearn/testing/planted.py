"""Plug-ins with one planted fault each, beside such as have none."""

import copy
import random
from typing import Any

import numpy as np
import torch
from pydantic import field_serializer
from torch import Tensor
from torch.nn.functional import cross_entropy

from incrlearn import Batch, LossTerm, Output, Plugin, RunState, hookimpl


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


class HalvesTheTeacher(Sound):
    """Writes into what all who ask the teacher get."""

    needs = frozenset({"teacher"})

    def value(self, batch: Batch, out: Output) -> Tensor:
        return cross_entropy(out.logits, batch.labels)

    @hookimpl
    def batch_start(self, state: RunState) -> None:
        self.teacher = state.teacher

    @hookimpl
    def loss_terms(self, batch: Batch, out: Output) -> list[LossTerm]:
        if self.teacher is not None:
            self.teacher(batch).logits.mul_(0.5)
        return [LossTerm(self.name, self.value(batch, out), 0.1)]


class ReplacesTheHead(Sound):
    """Puts another head in the place of the one that the optimizer holds."""

    @hookimpl
    def phase_start(self, state: RunState) -> None:
        state.network.head = copy.deepcopy(state.network.head)


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
