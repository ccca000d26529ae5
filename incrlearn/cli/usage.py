"""What is wrong with a command line, in words: where, what, and what to write instead."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from incrlearn.errors import closest

# Typer carries a click of its own, whose types nobody else can name.
Known = Mapping[str, Any]
"""The parameters of a command by their options, ``--`` included."""

_ALIKE = 0.75
"""How much of two words must agree before one is taken for the other: options are short, and their letters few."""
_GPU = ("gpu", "gpus", "cuda", "use-gpu", "use-cuda", "num-gpus")
_MEANT = {
    "train": "run", "fit": "run", "start": "run", "resume": "run", "validate": "check", "show": "explain",
    "sweep": "ablate", "grid": "ablate", "ablation": "ablate", "diff": "compare", "eval": "verify", "test": "verify",
    "plot": "report", "list": "recipes", "ls": "recipes", "plugin": "plugins", "new": "new-plugin",
}  # fmt: skip
"""Words of other tools for commands of ours."""


def options_of(params: Iterable[Any]) -> dict[str, Any]:
    """The parameters that are options, by each of their names."""
    return {option: param for param in params for option in param.opts if option[0] == "-"}


def no_such_option(option: str, known: Known, *, of_group: bool = False) -> str:
    """That a command has no such option, and what may have been meant.

    Args:
        option: with its dashes.
        known: the options there are.
        of_group: it stands where the name of a command could.
    """
    word = option.lstrip("-")
    if word in _GPU and "--device" in known:
        return f"{option}: no such option; choose a GPU with --device cuda:0"
    if word == "seeds" and "--seed" in known:
        return f"{option}: no such option; one seed is --seed 1, several are incrlearn ablate --seeds 1,2,3"
    near = _meant(word, [name.removeprefix("--") for name in known])
    if near:
        named = " or ".join(f"'--{name}'" for name in near)
        return f"{option}: no such option; did you mean {named}?"
    if (setting := known.get("--set")) is not None:
        return f"{option}: no such option; settings are given as --set {setting.metavar}"
    behind = "; options of a command stand behind its name" if of_group else ""
    return f"{option}: no such option; known: {', '.join(sorted(known))}{behind}"


def no_such_command(word: str, path: str, commands: Collection[str]) -> str:
    """That there is no such command, and what may have been meant.

    Args:
        word: in its place.
        path: what stands before it, such as ``incrlearn``.
        commands: those there are.
    """
    if (meant := _MEANT.get(word)) in commands:
        return f"no such command: {word}; did you mean '{path} {meant}'?"
    if "run" in commands and _names_a_recipe(word):
        return f"no such command: {word}; did you mean '{path} run {shlex.quote(word)}'?"
    if (near := closest(word, commands)) is not None:
        return f"no such command: {word}; did you mean '{path} {near}'?"
    return f"no such command: {word}; known: {', '.join(commands)}"


def extra_word(word: str, path: str, takes: Sequence[str], known: Known) -> str:
    """That a command does not take a word, and how it may have been meant.

    Args:
        word: behind all that the command takes.
        path: of the command, such as ``incrlearn run``.
        takes: what it takes besides options, such as ``RECIPE``.
        known: its options.
    """
    key, equals, value = word.lstrip("+").partition("=")
    if equals and f"--{key}" in known:
        return f"{word}: options begin with two dashes; write --{key} {shlex.quote(value)}"
    if equals and "--set" in known:
        return f"{word}: settings stand behind --set; write --set {shlex.quote(key + equals + value)}"
    if word.strip(",").isdecimal() and ("--seed" in known or "--seeds" in known):
        return "several seeds are written in one word: incrlearn ablate --seeds 1,2,3"
    if "--set" in known and set(word) & set("{}[]"):
        return f"{word}: one word too many; put quotes around a setting with spaces: --set 'plugins.x={{use: name}}'"
    return f"{word}: one word too many; {path} takes {' and '.join([*takes, 'options'])} only"


def misread(error: Any, path: str, known: Known, args: Sequence[str], *, of_group: bool = False) -> str:  # noqa: ANN401
    """What click refused, in our words.

    Args:
        error: a ``UsageError`` of click's.
        path: of the command, such as ``incrlearn run``.
        known: its options.
        args: the words behind its name.
        of_group: it is a group of commands.
    """
    option, param = getattr(error, "option_name", None), getattr(error, "param", None)
    if option is not None and option not in known:
        whole = (word.partition("=")[0] for word in args if word.startswith(option))
        return no_such_option(next(whole, option), known, of_group=of_group)
    if option is not None:
        if known[option].is_flag:
            return f"{option}: takes no value; write {option} alone"
        return f"{option}: a value must stand behind it; write {option} {known[option].metavar or 'VALUE'}"
    if param is None:
        return str(error.format_message())
    is_option = param.param_type_name == "option"
    name = param.opts[0] if is_option else param.metavar
    if type(error).__name__ != "MissingParameter":
        return f"{name}: {error.message}"
    about = (param.help or "").rstrip(".")
    return f"{name} is missing; write {_written(param, path, is_option)}: {about[:1].lower()}{about[1:]}"


def _written(param: Any, path: str, is_option: bool) -> str:  # noqa: ANN401
    return f"{param.opts[0]} {param.metavar or 'VALUE'}" if is_option else f"{path} {param.metavar}"


def _meant(word: str, names: Sequence[str]) -> list[str]:
    """The options, without dashes, that a word may stand for."""
    if len(word) == 1:
        return [name for name in names if name[0] == word.lower()]
    begun = [name for name in names if name.startswith(word) or (len(name) > 2 and word.startswith(name))]
    return begun[:1] or get_close_matches(word, names, n=1, cutoff=_ALIKE)


def _names_a_recipe(word: str) -> bool:
    from incrlearn.recipe import shipped_recipes
    from incrlearn.recipe.shipped import recipe_name

    return word.endswith((".yaml", ".yml")) or word in map(recipe_name, shipped_recipes())
