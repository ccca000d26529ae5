"""Whose fault it is: which plug-in raised, or gave an answer that its hook does not take."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import pluggy
from torch import Tensor

from incrlearn.errors import IncrlearnError, PluginError
from incrlearn.hooks import CHANGE_WEIGHTS, MAKE_WEIGHTS
from incrlearn.plugin import Plugin
from incrlearn.types import Task

T = TypeVar("T")
PluginT = TypeVar("PluginT", bound=Plugin)
_CALLERS = frozenset({"incrlearn.calls", "incrlearn.blame"})
"""Modules below whose frames plug-ins are called."""


def opened(open_data: Callable[[Path], T], use: str, root: Path) -> T:
    """What the ``open`` of a data plug-in gives; what it raises is noted on as what other plug-ins raise in hooks.

    Args:
        open_data: the bound method.
        use: what the recipe calls the plug-in.
        root: the folder of all data sets.
    """
    try:
        return open_data(root)
    except Exception as error:
        # Ours say themselves what was looked at.
        if not isinstance(error, IncrlearnError):
            error.add_note(f"while 'data', which is {use}, answered open({str(root)!r})")
        raise


def made(plugin_class: type[PluginT], key: str, config: Any) -> PluginT:  # noqa: ANN401 (its own Config)
    """A plug-in of a recipe; what its ``__init__`` raises is noted on as what is raised in hooks.

    Args:
        plugin_class: its class.
        key: its key in the recipe.
        config: its options.

    Raises:
        PluginError: its ``__init__`` does not call that of its base class.
    """
    plugin = of_plugin(key, "__init__", lambda: plugin_class(key, config))
    if getattr(plugin, "name", None) != key or not hasattr(plugin, "config"):
        name = plugin_class.__name__
        raise PluginError(f"plugins.{key}: {name}.__init__ must begin with super().__init__(name, config)")
    return plugin


def of_plugin(key: str, method: str, call: Callable[[], T], task: Task | None = None) -> T:
    """What a method of a plug-in gives that is no hook; whose it was is noted on what it raises.

    Args:
        key: of the plug-in in the recipe.
        method: its name.
        call: calls it.
        task: the task under way, where there is one.
    """
    try:
        return call()
    except Exception as error:
        error.add_note(_told([key], method, task))
        raise


def blame(error: BaseException, hook: str, task: Task | None, labels: Mapping[int, str]) -> None:
    """Note on an error who answered which hook, in which task.

    Args:
        error: raised while a hook was called.
        hook: its name.
        task: None where there is none yet.
        labels: of each plug-in, by ``id``; one of them has a frame in the traceback if it is to blame.
    """
    frames = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__)]
    culprit = next((labels[id(owner)] for owner in frames if id(owner) in labels), None)
    error.add_note(_told([culprit] if culprit is not None else [], hook, task))
    line = traceback.extract_tb(error.__traceback__)[-1].line or ""
    if "NoneType" in str(error) and "teacher" in line:
        error.add_note(
            "state.teacher is None in the first task, and in all tasks unless the plug-in's class says "
            "needs = frozenset({'teacher'})"
        )


def written_in_place(
    caller: pluggy.HookCaller,
    task: Task,
    given: Mapping[str, Any],
    tensors: Sequence[Tensor],
    labels: Mapping[int, str],
) -> PluginError:
    """What to tell where gradients cannot be computed, since somebody wrote into what they need.

    Args:
        caller: the hook ``loss_terms``; those who answer it are asked again, one by one.
        task: the task under way.
        given: the hook's arguments, by name.
        tensors: what nobody may write into: weights and what the network gave.
        labels: of each plug-in of the recipe, by ``id``.
    """
    found = []
    for one in reversed(caller.get_hookimpls()):
        if one.wrapper or id(one.plugin) not in labels:
            continue
        before = [tensor._version for tensor in tensors]
        one.function(*(given[name] for name in one.argnames))
        if before != [tensor._version for tensor in tensors]:
            found.append(labels[id(one.plugin)])
    who = f"plugins.{found[0]}: loss_terms" if found else "a plug-in"
    told = PluginError(
        f"{who} changed weights, or what the network gave, in place, and the gradients need what was there; compute "
        "new tensors (logits * 0.5), and change weights in after_step"
    )
    told.add_note(_told(found[:1], caller.name, task))
    return told


def accused(
    error: PluginError,
    caller: pluggy.HookCaller,
    task: Task | None,
    check: Callable[[Any], object],
    given: Mapping[str, Any],
    labels: Mapping[int, str],
) -> PluginError:
    """The error of a check with the plug-in whose answer it is about, at the row of the recipe.

    Who answered is not noted down where all goes well. So those who may have are asked again, one by one; hooks that
    change weights are not, and all who answer them are named.

    Args:
        error: what ``check`` raised.
        caller: the hook.
        task: None where there is none yet.
        check: raises a `PluginError` for an answer that is not right.
        given: the hook's arguments, by name.
        labels: of each plug-in of the recipe, by ``id``.
    """
    callers = [one for one in reversed(caller.get_hookimpls()) if id(one.plugin) in labels]
    suspects = [labels[id(one.plugin)] for one in callers]
    if len(suspects) > 1 and caller.name not in MAKE_WEIGHTS | CHANGE_WEIGHTS:
        refused = (labels[id(one.plugin)] for one in callers if _is_refused(one, check, given))
        suspects = list(islice(refused, 1)) or suspects
    told = PluginError(f"plugins.{suspects[0]}: {error}" if len(suspects) == 1 else str(error))
    told.add_note(_told(suspects, caller.name, task))
    return told


def refuse_silence(
    caller: pluggy.HookCaller, given: Mapping[str, Any], heard: int, labels: Mapping[int, str], kinds: Mapping[str, str]
) -> None:
    """Refuse None from losses where no loss gives a term: what others add would be trained on alone.

    Those who were asked are asked again, one by one, and only where fewer were heard than asked.

    Args:
        caller: the hook ``loss_terms``, of those who take part.
        given: its arguments, by name.
        heard: how many answers were not None.
        labels: of each plug-in, by ``id``.
        kinds: of each plug-in of the recipe, by its label.

    Raises:
        PluginError: naming the rows that gave None.
    """
    asked = [one for one in reversed(caller.get_hookimpls()) if not one.wrapper]
    if heard >= len(asked):
        return
    gave = {labels[id(one.plugin)]: one.function(*(given[name] for name in one.argnames)) for one in asked}
    losses = {label for label in gave if kinds.get(label) == "loss"}
    # Others may add nothing to a loss that is there; where nobody gives a term, any of them may be meant.
    blamed = losses if any(gave.values()) else gave.keys()
    silent = [label for label, answer in gave.items() if answer is None and label in blamed]
    if silent and not any(gave[label] for label in losses):
        rows = " and ".join(f"plugins.{label}" for label in silent)
        raise PluginError(f"{rows}: loss_terms gave None; is a return missing?")


def own_frames(error: BaseException) -> TracebackType | None:
    """The traceback of an error from the plug-in on that raised it; None where it comes from no plug-in.

    What is above, the way from the command line through the engine to the hook, tells the plug-in's author nothing.
    """
    below = error.__traceback__
    while below is not None and _module(below) not in _CALLERS:
        below = below.tb_next
    while below is not None and _module(below).partition(".")[0] in ("incrlearn", "pluggy", "contextlib"):
        # The core's own defaults answer hooks too: where they fail, nothing is to be left out.
        if _module(below).startswith("incrlearn.engine"):
            return None
        below = below.tb_next
    return below


def _module(entry: TracebackType) -> str:
    return str(entry.tb_frame.f_globals.get("__name__", ""))


def _is_refused(implementation: pluggy.HookImpl, check: Callable[[Any], object], given: Mapping[str, Any]) -> bool:
    """Whether an implementation, asked again, gives what the check refuses."""
    if implementation.wrapper:
        return False
    try:
        answer = implementation.function(*(given[name] for name in implementation.argnames))
    except Exception:
        return False
    try:
        if answer is not None:
            check(answer)
    except PluginError:
        return True
    return False


def _told(labels: list[str], hook: str, task: Task | None) -> str:
    who = " or ".join(f"'{label}'" for label in labels)
    what = f"while {who} answered {hook}" if who else f"while {hook} was called"
    return what if task is None else f"{what}, {task}"
