"""Whether a task's network and its head fit together, found on blank images before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from incrlearn.answers import described
from incrlearn.calls import Calls
from incrlearn.errors import PluginError
from incrlearn.types import Network, RunState

_IMAGES = 2


@torch.no_grad()
def check_shapes(state: RunState, calls: Calls) -> None:
    """Send two blank images through the network of a task, and what it makes of them through its head.

    The modes of modules are left as they are.

    Raises:
        PluginError: features are not as wide as the network says, or the head does not make (B, K) of them.
    """
    network, classes = state.network, state.task.seen
    with _in_eval_mode(network):
        problem, hook = _problem_of_features(network, state), "expand"
        if problem is None:
            problem, hook = _problem_of_head(network, state), "grow_head"
    if problem is None:
        return
    keys = [key for key in dict(calls.answers())[hook] if key != "core"]
    error = PluginError(f"plugins.{keys[0]}: {problem}" if len(keys) == 1 else problem)
    error.add_note(f"found after {hook}, {state.task} of {classes} classes")
    raise error


def _problem_of_features(network: Network, state: RunState) -> str | None:
    name, wanted = type(network).__name__, [(_IMAGES, width) for width in network.widths]
    blank = torch.zeros(_IMAGES, *state.image_shape, device=state.device)
    expected = f"expand must give a network whose extract makes {wanted} of images {tuple(blank.shape)}"
    try:
        parts = network.extract(blank)
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        return f"{expected}, as its widths say; {name} does not take them ({type(error).__name__}: {error})"
    found = [tuple(part.shape) if isinstance(part, Tensor) else described(part) for part in parts]
    return None if found == wanted else f"{expected}, as its widths say; got {found} from {name}"


def _problem_of_head(network: Network, state: RunState) -> str | None:
    width, classes = network.width, state.task.seen
    name = f"{type(network.head).__name__}({network.head.extra_repr()})"
    expected = f"grow_head must give a module ({_IMAGES}, {width}) -> ({_IMAGES}, {classes})"
    try:
        logits = network.head(torch.zeros(_IMAGES, width, device=state.device))
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        return f"{expected}; {name} does not take such features ({type(error).__name__}: {error})"
    if isinstance(logits, Tensor) and logits.shape == (_IMAGES, classes):
        return None
    return f"{expected}; {name} makes {described(logits)} of them"


@contextmanager
def _in_eval_mode(module: nn.Module) -> Iterator[None]:
    modes = [(one, one.training) for one in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for one, training in modes:
            one.training = training
