"""What a plug-in class declares: its base, words, kind, `__init__` and `Config`; refused where it could not work."""

from __future__ import annotations

import inspect
import re

from pydantic.errors import PydanticUserError

from incrlearn.errors import PluginError, closest
from incrlearn.plugin import Plugin

KINDS = ("network", "head", "loss", "prune", "memory", "phase", "adjust", "score", "data", "log")
"""The kinds that the engine and its displays know; `Plugin.kind` may be another word, such as ``other``."""


def check_declarations(target: object, use: str) -> type[Plugin]:
    """A plug-in class whose declarations are such as everybody may rely on.

    Args:
        target: what was found under the name.
        use: what a recipe calls it.

    Raises:
        PluginError: naming the class, what is wrong and what to write instead.
    """
    if not isinstance(target, type):
        raise PluginError(f"'{use}' is {target!r}, not a class that inherits from incrlearn.Plugin")
    name = target.__name__
    if not issubclass(target, Plugin):
        raise PluginError(f"'{use}': {name} must inherit from incrlearn.Plugin")
    if not (isinstance(target.Config, type) and issubclass(target.Config, Plugin.Config)):
        raise PluginError(f"'{use}': {name}.Config must inherit from Plugin.Config")
    if "use" in target.Config.model_fields:
        raise PluginError(f"'{use}': an option cannot be called 'use', the word that names a plug-in in a recipe")
    problem = _problem_of_words(target) or _problem_of_kind(target) or _problem_of_init(target) or _lacking(target)
    if problem:
        raise PluginError(f"'{use}': {name}{problem}")
    return target


def missing_type(error: BaseException) -> str | None:
    """What to write where an option of a ``Config`` has no type, as its class is made; None for any other error."""
    if not (isinstance(error, PydanticUserError) and error.code == "model-field-missing-annotation"):
        return None
    # pydantic has no other place that tells the option.
    found = re.search(r"`(\w+) = (.*?)`\. All", error.message, flags=re.DOTALL) or re.search(r"'(\w+)'", error.message)
    if found is None:
        return None
    option, *value = found.groups()
    if not value:
        return f"Config.{option} needs a type, such as {option}: float = Field(...)"
    kind = next((word for word, pattern in _TYPES.items() if re.fullmatch(pattern, value[0], flags=re.DOTALL)), None)
    example = f"{option}: {kind} = {value[0]}" if kind is not None else f"{option}: float = 0.5"
    return f"Config.{option} needs a type, such as {example}"


_TYPES = {"bool": "True|False", "int": r"-?\d+", "float": r"-?[\d.]+(e[+-]?\d+)?", "str": "'[^']*'"}
"""Types of options, each with the texts of values that have it."""


def _problem_of_words(target: type[Plugin]) -> str:
    for attribute in ("needs", "provides"):
        given: object = getattr(target, attribute)
        if isinstance(given, set | frozenset) and all(isinstance(word, str) for word in given):
            continue
        texts = given if isinstance(given, list | tuple | set | frozenset) else [given]
        words = sorted(word for word in texts if isinstance(word, str)) or ["classification"]
        quoted = ", ".join(f'"{word}"' for word in words)
        return f".{attribute} must be a set of words: frozenset({{{quoted}}})"
    return ""


def _problem_of_kind(target: type[Plugin]) -> str:
    kind: object = target.kind
    known = f"kinds are {', '.join(KINDS[:-1])} and {KINDS[-1]}"
    if not isinstance(kind, str):
        return f".kind must be a word, not {kind!r}; {known}"
    if kind in KINDS or kind == Plugin.kind or closest(kind, KINDS) is None:
        return ""
    return f".kind is '{kind}'; {known}"


def _problem_of_init(target: type[Plugin]) -> str:
    try:
        inspect.signature(target.__init__).bind(None, "name", None)
    except TypeError:
        return ".__init__ must take (self, name, config) and call super().__init__(name, config)"
    return ""


def _lacking(target: type[Plugin]) -> str:
    """The first method that its base class leaves to it and that it does not have; nothing where it has all."""
    absent = sorted(getattr(target, "__abstractmethods__", ()))
    if not absent:
        return ""
    method = absent[0]
    arguments = ", ".join(list(inspect.signature(getattr(target, method)).parameters)[1:])
    own = [name for name, member in vars(target).items() if inspect.isfunction(member) and not name.startswith("_")]
    meant = closest(method, own) or (own[0] if len(own) == 1 else None)
    return f" lacks {method}({arguments})" + (f"; is it '{meant}'?" if meant is not None else "")
