"""Weight aligning: the new classes' weights in the head are made as long, on average, as the old ones'."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from incrlearn import Plugin, PluginError, RunState, hookimpl


class WeightAlign(Plugin):
    """Weight aligning (WA): scales the head's weights of the new classes to the mean norm of the old ones'.

    Done after each phase of a task, from the second task on; biases are left alone. After a phase that left the head as
    it was there is nothing to align. The network is aligned where it is evaluated, and as the teacher of the next task.
    """

    kind = "adjust"
    needs = frozenset({"training"})

    class Config(Plugin.Config):
        """Options."""

        positive: bool = True
        """Keep the head's weights from falling below 0, by clipping after every step of every task. Features behind a
        ReLU are not negative, and then a longer weight means a larger logit. The paper clips; PyCIL does not."""

    config: Config

    @hookimpl
    def prepare(self, state: RunState) -> None:
        """Refuse a head that cannot be aligned."""
        head, width, classes = state.network.head, state.network.width, state.task.seen
        if (obstacle := obstacle_to_aligning(head, classes, width)) is not None:
            raise PluginError(
                f"'{self.name}' cannot align the head {type(head).__name__}: {obstacle}; use the head 'linear'"
            )

    @hookimpl
    @torch.no_grad()
    def after_step(self, state: RunState) -> None:
        """Clip the weights at 0."""
        if self.config.positive:
            head_weight(state.network.head).clamp_(min=0)

    @hookimpl
    @torch.no_grad()
    def phase_end(self, state: RunState) -> None:
        """w_new <- gamma w_new."""
        known = state.task.known
        if known > 0:
            weight = head_weight(state.network.head)
            weight[known:] *= alignment_factor(weight, known)


def alignment_factor(weight: Tensor, known: int) -> Tensor:
    """WA's gamma = Mean(Norm_old) / Mean(Norm_new), Norm the L2 norms of the classes' weights.

    Args:
        weight: (K, D), a row for each class seen.
        known: classes seen before the task, from 1 to K - 1.

    Returns:
        A scalar; 1 where all weights of the old or of the new classes are 0, so that there is nothing to scale.
    """
    norms = weight.norm(dim=1)
    old, new = norms[:known].mean(), norms[known:].mean()
    return torch.where((old > 0) & (new > 0), old / new, torch.ones_like(old))


def head_weight(head: nn.Module) -> Tensor:
    """The weight of a head that `obstacle_to_aligning` found nothing against."""
    weight = head.weight
    if not isinstance(weight, Tensor):
        raise TypeError(f"{type(head).__name__}.weight is no tensor")
    return weight


@torch.no_grad()
def obstacle_to_aligning(head: nn.Module, classes: int, width: int) -> str | None:
    """Why scaling a class's weights would not scale what a head says of the class; None where it does.

    The last is tried on a copy: a head that takes norms out, such as one of cosines, has a weight of that shape too.

    Args:
        head: (B, width) -> (B, classes); is left as it was.
        classes: K.
        width: D.
    """
    weight = getattr(head, "weight", None)
    if not isinstance(weight, Tensor):
        return "it has no weight"
    if tuple(weight.shape) != (classes, width):
        return f"its weight is {tuple(weight.shape)}, not one row for each class and feature, {(classes, width)}"
    trial = copy.deepcopy(head).eval()
    features = torch.ones(1, width, device=weight.device)
    said = []
    for factor in (0, 1, 2):
        head_weight(trial).copy_(factor * torch.ones_like(weight))
        said.append(trial(features))
    zero, once, twice = said
    if not torch.allclose(twice - zero, 2 * (once - zero)) or torch.equal(once, zero):
        return "what it says does not grow with its weight"
    return None
