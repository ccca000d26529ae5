"""Hook implementations as they are written: what pluggy would take in silence or misread is refused."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType

from incrlearn.errors import PluginError, closest, did_you_mean
from incrlearn.hooks import Hooks
from incrlearn.plugin import Plugin

PROJECT = "incrlearn"
_ANSWERS: Mapping[str, str] = MappingProxyType(
    {
        "network": "expand and rebuild",
        "head": "grow_head",
        "loss": "loss_terms",
        "prune": "prune",
        "memory": "memory_quota and rank_exemplars",
        "phase": "phases and make_optimizer",
        "score": "scores",
        "log": "record",
    }
)
"""By kind, the hooks without which it is none."""


def hook_names() -> tuple[str, ...]:
    """Every hook, in the order of the loop."""
    return tuple(name for name, member in vars(Hooks).items() if inspect.isfunction(member))


def hooks_of_one_answer() -> tuple[str, ...]:
    """The hooks of which the first answer that is not None counts."""
    return tuple(name for name in hook_names() if getattr(vars(Hooks)[name], f"{PROJECT}_spec")["firstresult"])


def implemented(plugin: type) -> frozenset[str]:
    """The hooks that a class answers by itself, wrappers around others' answers aside."""
    marks = [getattr(inspect.getattr_static(plugin, name), f"{PROJECT}_impl", None) for name in dir(plugin)]
    named = zip(dir(plugin), marks, strict=True)
    return frozenset(mark.get("specname") or name for name, mark in named if mark is not None and not mark["wrapper"])


def check_implementations(plugin: object, label: str, is_core: bool = False) -> None:
    """Refuse hook implementations that pluggy would take in silence or misread.

    Raises:
        PluginError: naming plug-in, method and what to write instead.
    """
    hooks = hook_names()
    answered: set[str] = set()
    for name in dir(type(plugin)):
        member = inspect.getattr_static(type(plugin), name)
        marks = getattr(member, f"{PROJECT}_impl", None)
        where = f"plug-in '{label}': {type(plugin).__name__}.{name}"
        if marks is None:
            if name in hooks and callable(member):
                raise PluginError(f"{where} bears the name of a hook but is not marked: write @hookimpl above it")
            continue
        if (marks.get("specname") or name) not in hooks:
            raise PluginError(f"{where}: no hook of that name{did_you_mean(name, hooks)}")
        if marks["tryfirst"] or (marks["trylast"] and not is_core):
            raise PluginError(f"{where}: tryfirst and trylast are refused; calls go in the order of the recipe")
        if marks["hookwrapper"]:
            raise PluginError(f"{where}: hookwrapper is refused; write @hookimpl(wrapper=True)")
        answered.add(marks.get("specname") or name)
        taken = list(inspect.signature(member).parameters)
        given = list(inspect.signature(getattr(Hooks, marks.get("specname") or name)).parameters)[1:]
        if not taken or taken[0] in given:
            instead = f"write def {name}({', '.join(['self', *taken])})"
            raise PluginError(f"{where}: the first argument of a method is self; {instead}")
        strange = [argument for argument in taken[1:] if argument not in given]
        if strange:
            raise PluginError(
                f"{where}: there is no argument '{strange[0]}'; it may take any of {', '.join(given)}, by these names"
            )
        defaults = [p.name for p in inspect.signature(member).parameters.values() if p.default is not p.empty]
        if defaults:
            raise PluginError(
                f"{where}: argument '{defaults[0]}' has a default value; hooks are called by name without"
            )
    if not answered and isinstance(plugin, Plugin) and plugin.kind != "data":
        raise PluginError(f"plug-in '{label}': {_no_hook(type(plugin))}")
    if isinstance(plugin, Plugin) and plugin.kind == "phase" and "phases" not in answered:
        told = f"{type(plugin).__name__} is of kind 'phase' and answers no phases: nothing would be trained for it"
        raise PluginError(
            f"plug-in '{label}': {told}; answer phases, or write kind = 'other' where it is there for another's phase"
        )


def _no_hook(plugin: type[Plugin]) -> str:
    """That a class answers no hook at all, with what one of its kind answers and which method may be meant for it."""
    own = [name for name in dir(plugin) if not hasattr(Plugin, name) and callable(getattr(plugin, name))]
    near = [(name, hook) for name in own if (hook := closest(name, hook_names())) is not None]
    wanted = _ANSWERS.get(plugin.kind)
    answers = f"; a {plugin.kind} answers {wanted}" if wanted is not None else ""
    meant = f"; if its {near[0][0]} is to be {near[0][1]}, call it so and write @hookimpl above it" if near else ""
    return f"{plugin.__name__} answers no hook{answers}{meant}"
