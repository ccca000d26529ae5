"""BiC's bias correction: two numbers for the new classes' logits, learned on held-out images (Wu et al., CVPR 2019)."""

from __future__ import annotations

import copy
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from incrlearn import Batch, HeldOut, LossTerm, Output, Phase, Plugin, PluginError, RunState, Samples, Task, hookimpl
from incrlearn.memory import held_out_part
from incrlearn_plugins.phase.stage import StageOptions
from incrlearn_plugins.phase.subset import balanced_positions, positions_per_class


class BiasLayer(Plugin):
    """Corrects the bias towards the new classes by alpha o_k + beta on their logits (BiC, Eq. 4), from task 2 on.

    A share of every class's exemplars, and as many images of each new class, are held out: no phase trains on them.
    After the training, alpha and beta are learned on a class-balanced subset of these and folded into the head. So the
    corrected network is evaluated, and is the teacher of the next task, at no further parameters.
    """

    kind = "phase"
    needs = frozenset({"exemplars", "training"})
    provides = frozenset({"bias correction"})

    class Config(StageOptions):
        """Options; the defaults are the paper's and its authors'."""

        share: float = Field(0.1, gt=0, lt=1)
        """Of each class's exemplars, the share that is held out: train to validation is 9 to 1."""
        epochs: int = Field(200, ge=1)
        """Passes over the balanced held-out images."""
        lr: float = Field(0.1, gt=0)
        """Learning rate at the start."""
        milestones: tuple[int, ...] = (60, 120, 160, 180)
        """Epochs, counted from 0, at which the rate falls."""
        batch: int = Field(256, ge=2)
        """Images a step at most; an epoch is cut into batches as even as can be."""
        beta_decay: float = Field(0.1, ge=0)
        """L2 penalty on beta, decay / 2 beta^2; alpha has none."""

        def refuses_below(self) -> Mapping[str, str]:
            """A later phase that draws the head anew."""
            return {"retrained_head": "it draws the head anew that was corrected"}

    config: Config

    def __init__(self, name: str, config: Config) -> None:
        """Bind to a recipe."""
        super().__init__(name, config)
        self._learned: dict[str, float] = {}

    @hookimpl(wrapper=True)
    def memory_quota(self, task: Task) -> Generator[None, int | Sequence[int] | None, int | Sequence[int] | None]:
        """Refuse a memory that has no exemplar to hold out; asked before a run too."""
        quota = yield
        fewest, of = (min(quota), "some class") if isinstance(quota, Sequence) else (quota, "each")
        if fewest is not None and fewest < 2 and task.number < task.total:
            raise PluginError(
                f"plugins.{self.name}: some exemplars of each class are held out beside those that train, but after "
                f"{task} the memory keeps {fewest} of {of}; give it at least 2 of each, {2 * task.seen} in all by then"
            )
        return quota

    @hookimpl
    def hold_out(self, state: RunState, new: Samples, quota: tuple[int, ...] | None) -> HeldOut:
        """Of each new class as many images as the old one with the fewest has held-out exemplars, at random.

        The subset that the correction is learned on is balanced, so that more of them would not be looked at.
        """
        if quota is None:
            raise PluginError(f"'{self.name}' needs exemplars, and the memory of this recipe keeps none")
        share, fewest = self.config.share, min(quota)
        positions = [
            drawn[: held_out_part(min(fewest, len(drawn)), share)]
            for drawn in positions_per_class(new.labels, state.generator(f"{self.name}/held out"))
        ]
        return HeldOut(torch.cat(positions), share)

    @hookimpl
    def prepare(self, state: RunState) -> None:
        """Refuse a head that the correction cannot be folded into; attach the layer."""
        head, width, classes = state.network.head, state.network.width, state.task.seen
        if (obstacle := obstacle_to_folding(head, classes, width)) is not None:
            raise PluginError(
                f"'{self.name}' cannot correct the head {type(head).__name__}: {obstacle}; use the head 'linear' with "
                "bias: true"
            )
        if state.task.known > 0:
            # Without gradients until its own phase: no other phase's optimizer is to hold it.
            layer = Correction(state.task.known).requires_grad_(False)
            state.network.attach(self.name, layer.to(state.device))

    @hookimpl
    def phases(self, state: RunState) -> Phase | None:
        """One phase without augmentation in which the correction alone learns; none in the first task."""
        if state.task.known == 0:
            return None
        config = self.config
        return Phase(self.name, config.epochs, config.batch, trains="head", terms=self.provides, augment=False)

    @hookimpl
    def select_data(self, state: RunState, phase: Phase) -> Samples | None:
        """A class-balanced subset of what is held out, for its own phase."""
        if phase.name != self.name:
            return None
        held_out = state.held_out
        is_new = held_out.labels >= state.task.known
        if not (is_new.any() and (~is_new).any()):
            raise PluginError(
                f"'{self.name}' needs held-out images of old and of new classes, and {state.task} has "
                f"{int((~is_new).sum())} and {int(is_new.sum())}; give the classes more images, or the memory"
            )
        return held_out.take(balanced_positions(held_out.labels, state.generator(f"{self.name}/subset")))

    @hookimpl
    def param_groups(self, state: RunState, phase: Phase) -> list[dict[str, Any]] | None:
        """Only alpha and beta, for its own phase."""
        if phase.name != self.name:
            return None
        layer = self._layer(state)
        decay = self.config.beta_decay
        return [{"params": [layer.alpha], "weight_decay": 0.0}, {"params": [layer.beta], "weight_decay": decay}]

    @hookimpl
    def make_optimizer(self, phase: Phase, groups: list[dict[str, Any]]) -> tuple[Optimizer, LRScheduler] | None:
        """SGD for its own phase."""
        return self.config.make_sgd(groups, 0.0) if phase.name == self.name else None

    @hookimpl
    def phase_start(self, state: RunState) -> None:
        """The layer learns."""
        if self._is_own(state):
            self._layer(state).requires_grad_(True)

    @hookimpl
    def loss_terms(self, state: RunState, batch: Batch, out: Output) -> list[LossTerm]:
        """Cross-entropy over all classes on the corrected logits (Eq. 5), in its own phase."""
        if not self._is_own(state):
            return []
        return [LossTerm(self.name, cross_entropy(self._layer(state)(out.logits.detach()), batch.labels))]

    @hookimpl
    def phase_end(self, state: RunState) -> None:
        """Fold the correction into the head and drop the layer."""
        if not self._is_own(state):
            return
        layer = self._layer(state).requires_grad_(False)
        fold(state.network.head, state.task.known, layer.alpha, layer.beta)
        self._learned = {"alpha": float(layer.alpha), "beta": float(layer.beta)}
        state.network.detach(self.name)

    @hookimpl
    def metrics(self, state: RunState) -> dict[str, float] | None:
        """``<key>_alpha`` and ``<key>_beta``, what was learned in the task; nothing in the first."""
        if state.task.known == 0:
            return None
        return {f"{self.name}_{parameter}": value for parameter, value in self._learned.items()}

    def _is_own(self, state: RunState) -> bool:
        return state.phase is not None and state.phase.name == self.name

    def _layer(self, state: RunState) -> Correction:
        layer = state.network.attached(self.name)
        if not isinstance(layer, Correction):
            raise TypeError(f"what is attached for '{self.name}' is a {type(layer).__name__}")
        return layer


class Correction(nn.Module):
    """(B, K) -> (B, K): q_k = o_k for old classes, alpha o_k + beta for new ones (BiC, Eq. 4).

    Attributes:
        alpha: scalar, 1 at the start.
        beta: scalar, 0 at the start.
    """

    def __init__(self, known: int) -> None:
        super().__init__()
        self.known = known
        self.alpha = nn.Parameter(torch.ones(()))
        self.beta = nn.Parameter(torch.zeros(()))

    def forward(self, logits: Tensor) -> Tensor:
        """Logits (B, K), those of old classes first."""
        return torch.cat([logits[:, : self.known], self.alpha * logits[:, self.known :] + self.beta], dim=1)


@torch.no_grad()
def fold(head: nn.Module, known: int, alpha: Tensor | float, beta: Tensor | float) -> None:
    """Let the head say alpha o_k + beta where it said o_k for k >= known: w_k <- alpha w_k, b_k <- alpha b_k + beta.

    Args:
        head: one that `obstacle_to_folding` found nothing against; weight (K, D) and bias (K,).
        known: classes known before the task; their rows stay as they are.
        alpha: a scalar.
        beta: a scalar.
    """
    weight, bias = head.weight, head.bias
    if not isinstance(weight, Tensor) or not isinstance(bias, Tensor):
        raise TypeError(f"{type(head).__name__} has no weight and bias")
    weight[known:] *= alpha
    bias[known:] *= alpha
    bias[known:] += beta


@torch.no_grad()
def obstacle_to_folding(head: nn.Module, classes: int, width: int) -> str | None:
    """Why a correction could not be folded into the head; None where it can. That is tried on a copy.

    Args:
        head: (B, width) -> (B, classes); is left as it was.
        classes: K.
        width: D.
    """
    for name, shape, meaning in (
        ("weight", (classes, width), "one row for each class and feature"),
        ("bias", (classes,), "one number for each class"),
    ):
        parameter = getattr(head, name, None)
        if not isinstance(parameter, Tensor):
            return f"it has no {name}"
        if tuple(parameter.shape) != shape:
            return f"its {name} is {tuple(parameter.shape)}, not {meaning}, {shape}"
    trial = copy.deepcopy(head).eval()
    known = classes // 2
    features = torch.outer(torch.tensor([1.0, -2.0]), torch.linspace(0, 1, width)).to(next(head.parameters()).device)
    before = trial(features)
    fold(trial, known, 2.0, 3.0)
    wanted = torch.cat([before[:, :known], 2.0 * before[:, known:] + 3.0], dim=1)
    if not torch.allclose(trial(features), wanted, rtol=1e-4, atol=1e-4):
        return "what it says does not follow its weight and bias"
    return None
