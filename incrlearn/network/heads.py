"""Heads: classifiers over the features, drawn from a generator of their own."""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from itertools import chain
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from incrlearn.errors import PluginError
from incrlearn.rng import isolated_rng
from incrlearn.types import RunState


@runtime_checkable
class Drawable(Protocol):
    """A module whose weights can be drawn anew."""

    def draw(self, generator: torch.Generator) -> None:
        """Draw fresh weights with a CPU generator."""


@runtime_checkable
class Narrowable(Protocol):
    """A head, or a module attached to a network, that can do with fewer features.

    An attached one tells by ``in_features`` which it reads: as many as the newest extractor has, or as all have.
    """

    def narrow(self, kept: torch.Tensor) -> None:
        """Read only the features at ``kept``, int64 positions in the old ones."""


@runtime_checkable
class CosineClassifier(Protocol):
    """A head that goes by cosines; its plug-in provides ``cosines``."""

    def cosines(self, features: torch.Tensor) -> torch.Tensor:
        """(B, D) -> (B, K) in [-1, 1]: how alike features and classes are, without the scale that makes logits of it.

        Gradients flow into features and weights.
        """


@runtime_checkable
class Imprintable(Protocol):
    """A head whose classes can start from features; its plug-in provides ``imprinting``."""

    def imprint(self, first: int, features: Sequence[torch.Tensor], generator: torch.Generator) -> None:
        """Set the weights of the classes from ``first`` on, in place; those before it are left alone.

        Args:
            first: label of the first of them, at least 1.
            features: (n_k, D) float32 on the CPU for each class from ``first`` on, n_k >= 1.
            generator: a CPU generator for what is drawn.
        """


class LinearHead(nn.Linear):
    """(B, D) -> (B, K), weights kaiming-normal with gain 1 (standard deviation 1/sqrt(D)), bias zero.

    This is the authors' initialisation: ``kaiming_normal_`` with nonlinearity "linear".
    """

    def __init__(self, width: int, classes: int, bias: bool, generator: torch.Generator) -> None:
        super().__init__(width, classes, bias=bias)
        self.draw(generator)

    def reset_parameters(self) -> None:
        """Leave the weights alone: torch would draw from the global generator here; `draw` does the work."""

    @torch.no_grad()
    def draw(self, generator: torch.Generator) -> None:
        """Draw fresh weights with a CPU generator, the same on every device."""
        fresh = torch.empty(self.weight.shape)
        nn.init.kaiming_normal_(fresh, nonlinearity="linear", generator=generator)
        self.weight.copy_(fresh)
        if self.bias is not None:
            self.bias.zero_()

    @torch.no_grad()
    def inherit(self, old: nn.Linear) -> None:
        """Take the weights of ``old`` for its classes and features; the others stay as drawn."""
        classes, width = old.weight.shape
        self.weight[:classes, :width] = old.weight
        if self.bias is not None and old.bias is not None:
            self.bias[:classes] = old.bias

    @torch.no_grad()
    def narrow(self, kept: torch.Tensor) -> None:
        """Read only the features at ``kept``, int64 positions in the old ones."""
        narrow_linear(self, kept)


@torch.no_grad()
def narrow_linear(layer: nn.Linear, kept: torch.Tensor) -> None:
    """Let a linear layer read only the features at ``kept`` (int64); its weight becomes a new parameter."""
    layer.in_features = len(kept)
    weight = layer.weight
    layer.weight = nn.Parameter(weight.detach()[:, kept.to(weight.device)], requires_grad=weight.requires_grad)


def can_narrow(module: nn.Module, widths: Collection[int]) -> bool:
    """Whether an attached module reads features and can do with fewer: ``in_features`` is one of ``widths``."""
    return isinstance(module, Narrowable | nn.Linear) and getattr(module, "in_features", None) in widths


def obstacle_to_narrowing(module: nn.Module, widths: Collection[int]) -> str | None:
    """What an attached module lacks in order to follow where features are removed; None where it can, or need not.

    It need not where it reads no features. No module tells, so it is tried: a copy in eval mode that takes blank
    features (2, d), d one of ``widths``, and none of d - 1, reads features.

    Args:
        module: is left as it was.
        widths: of the newest extractor, and of all.
    """
    if can_narrow(module, widths):
        return None
    if isinstance(module, Narrowable) and not isinstance(getattr(module, "in_features", None), int):
        return "it has narrow(kept), but does not tell which features it reads: give it in_features"
    if any(_takes(module, width) and not _takes(module, width - 1) for width in widths):
        return (
            "it cannot follow: give it in_features and narrow(kept), which may do nothing where it reads something else"
        )
    return None


@torch.no_grad()
def _takes(module: nn.Module, width: int) -> bool:
    """Whether a module answers to float32 features (2, width)."""
    try:
        trial = copy.deepcopy(module).eval()
        first = next(chain(trial.parameters(), trial.buffers()), torch.zeros(()))
        with isolated_rng(0):
            trial(torch.zeros(2, width, device=first.device))
    # Whatever a third party's module says of what is not meant for it.
    except Exception:
        return False
    return True


def redraw_heads(state: RunState, purpose: str) -> None:
    """Draw the head and every attached head anew, each from its own generator.

    Raises:
        PluginError: the head cannot be drawn anew.
    """
    network = state.network
    if not isinstance(network.head, Drawable):
        raise PluginError(f"the head {type(network.head).__name__} cannot be drawn anew: it has no draw(generator)")
    network.head.draw(state.generator(f"{purpose}/head"))
    for key, module in network.attachments.items():
        if isinstance(module, Drawable):
            module.draw(state.generator(f"{purpose}/{key}"))
