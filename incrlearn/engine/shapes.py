"""Whether a task's network, its head and its scores fit together, found on two images of noise before any training."""

from __future__ import annotations

import copy
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from incrlearn.answers import described
from incrlearn.blame import own_frames
from incrlearn.calls import Calls
from incrlearn.errors import PluginError
from incrlearn.types import Network, Output, RunState

_IMAGES = 2
_BEFORE_TRAINING = frozenset({"explain", "hold_out", "memory_quota", "expand", "rebuild", "grow_head"})
"""Hooks from which a plug-in cannot know more when scores are asked for than it does now."""


@torch.no_grad()
def check_shapes(state: RunState, calls: Calls) -> None:
    """Send two images of noise through the network of a task, and what it makes of them through a copy of its head.

    Plug-ins that score are asked about them too, if they take nothing from the training that is to come.
    Modes, buffers and global generators are left as they are.

    Raises:
        PluginError: features are not as wide as the network says, the head does not make (B, K) of them, or scores are
            not (B, K).
    """
    with _left_as_it_was(state.network, state.device):
        problem, parts = _problem_of_features(state.network, state)
        hook = "expand"
        if problem is None:
            features = torch.cat([part.float() for part in parts], dim=1)
            problem, logits = _problem_of_head(state.network, features, state.task.seen)
            hook = "grow_head"
        if problem is None:
            _try_scores(state, calls, Output(tuple(part.float() for part in parts), features, logits))
    if problem is None:
        return
    keys = [key for key in dict(calls.answers())[hook] if key != "core"]
    error = PluginError(f"plugins.{keys[0]}: {problem}" if len(keys) == 1 else problem)
    error.add_note(f"found after {hook}, {state.task} of {state.task.seen} classes")
    raise error


def _problem_of_features(network: Network, state: RunState) -> tuple[str | None, tuple[Tensor, ...]]:
    name, wanted = type(network).__name__, [(_IMAGES, width) for width in network.widths]
    images = torch.rand(_IMAGES, *state.image_shape, generator=torch.Generator().manual_seed(0)).to(state.device)
    expected = f"expand must give a network whose extract makes {wanted} of images {tuple(images.shape)}"
    try:
        parts = tuple(network.extract(images))
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        return f"{expected}, as its widths say; {name} does not take them ({_told(error)})", ()
    found = [tuple(part.shape) if isinstance(part, Tensor) else described(part) for part in parts]
    return (None if found == wanted else f"{expected}, as its widths say; got {found} from {name}"), parts


def _problem_of_head(network: Network, features: Tensor, classes: int) -> tuple[str | None, Tensor]:
    width = network.width
    name = f"{type(network.head).__name__}({network.head.extra_repr()})"
    expected = f"grow_head must give a module ({_IMAGES}, {width}) -> ({_IMAGES}, {classes})"
    try:
        # A copy: a head may take what it starts from from the first features that it sees.
        logits = copy.deepcopy(network.head)(features)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        return f"{expected}; {name} does not take such features ({_told(error)})", features
    if isinstance(logits, Tensor) and logits.shape == (_IMAGES, classes):
        return None, logits
    return f"{expected}; {name} makes {described(logits)} of them", features


def _try_scores(state: RunState, calls: Calls, out: Output) -> None:
    """Have an answer to ``scores`` that is no (B, K) refused now, and not when the task is trained.

    Who takes something from training, such as the means of exemplars, has nothing to say yet, or something else. Nor is
    what a plug-in raises held against it: the state may lack what evaluation will find there.
    """
    who = dict(calls.answers())
    keys = set(who["scores"]) - {"core"}
    later = who.keys() - _BEFORE_TRAINING - {"scores", "metrics"}
    if not keys or any(keys & set(who[hook]) for hook in later):
        return
    try:
        calls.scores(state, out)
    except Exception as error:
        if own_frames(error) is None:
            raise


def _told(error: Exception) -> str:
    """An error with the line of the plug-in's own code that it came from, where there is one."""
    libraries = (Path(torch.__file__).parent, Path(__file__).parents[1])
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not any(folder in Path(frame.filename).parents for folder in libraries)]
    where = f" at {own[-1].filename}, line {own[-1].lineno}" if own else ""
    return f"{type(error).__name__}{where}: {error}"


@contextmanager
def _left_as_it_was(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Eval mode within; afterwards modes, buffers and generators are those of before."""
    modes = [(one, one.training) for one in module.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]
    module.eval()
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        for one, training in modes:
            one.training = training
        for buffer, before in buffers:
            buffer.copy_(before)
