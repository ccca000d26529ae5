"""Options against their pydantic model: strictly, with every problem in our words and at its place."""

from __future__ import annotations

import json
import re
import traceback
import types
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema

from incrlearn.errors import PluginError, did_you_mean
from incrlearn.plugin import Plugin
from incrlearn.recipe.latest import place_to_blame
from incrlearn.recipe.nodes import Node, Place, Problems, places_of
from incrlearn.recipe.scalars import parse_scalar
from incrlearn.recipe.wording import JsonSchema, dereference, expectation, show, space_hint

ModelT = TypeVar("ModelT", bound=BaseModel)

_OWN_MESSAGES = {"value_error", "assertion_error"}
_AFTER_A_COMMA = "; the decimals of a number stand behind a point, as in 0.5"
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?([eE][-+]?\d+)?")
_DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+([eE][-+]?\d+)?")


def validate(
    model: type[ModelT],
    node: Node,
    path: str,
    problems: Problems,
    also_known: Iterable[str] = (),
    owner: tuple[str, type[Plugin]] | None = None,
) -> ModelT | None:
    """Options as a model; None where something is wrong with them (it is told to ``problems``).

    Nothing is coerced but a whole number to a float. ``null`` for an option that cannot be none is as if the line
    were not there.

    Args:
        model: the pydantic model.
        node: the mapping of options.
        path: the dotted path of the mapping, such as ``plugins.train``.
        problems: takes what is wrong.
        also_known: further names that may stand beside the options, for suggestions.
        owner: the plug-in whose options they are, where it is one: what the row calls it, and its class.

    Raises:
        PluginError: a validator of the model fails, or its defaults do not fit its types, so that no file could repeat
            them.
    """
    if not isinstance(node.value, dict):
        hint = space_hint(node.value)
        problems.add(node.place, f"{path}: must be a mapping of options, not {show(node.plain())}{hint}")
        return None
    given = _without_nulls(model, node)
    try:
        made = _from_json(model, given.plain())
    except ValidationError as error:
        _tell(error, model, given, path, problems, also_known, owner)
        return None
    except Exception as error:
        # A validator may raise anything; only ValueError is for what it refuses.
        last = traceback.extract_tb(error.__traceback__)[-1]
        told = f"{model.__qualname__} fails on these options: {type(error).__name__}: {error}"
        raise PluginError(f"{told}; {last.filename}, line {last.lineno}") from error
    try:
        # Once more through its own text, so that what is stored and read again is equal to the last digit.
        return _from_json(model, plain_options(made))
    except ValueError as error:
        raise PluginError(f"the defaults of {model.__module__}.{model.__qualname__} do not fit: {error}") from error


def plain_options(options: BaseModel) -> dict[str, Any]:
    """All options as plain values, defaults included."""
    return options.model_dump(mode="json", include=set(type(options).model_fields))


def nested_model(annotation: object) -> type[BaseModel] | None:
    """The model in an option's type, such as ``Schedule`` in ``Schedule | None``; None where there is none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, types.UnionType):
        found = [model for choice in get_args(annotation) if (model := nested_model(choice)) is not None]
        return found[0] if len(found) == 1 else None
    return None


def is_free_mapping(annotation: object) -> bool:
    """Whether an option takes a mapping with keys of the user's choice."""
    return annotation is dict or get_origin(annotation) is dict


def _from_json(model: type[ModelT], plain: object) -> ModelT:
    return model.model_validate_json(json.dumps(plain, allow_nan=False), strict=True)


def _without_nulls(model: type[BaseModel], node: Node) -> Node:
    """Leave out what is null but cannot be none."""
    if not isinstance(node.value, dict):
        return node
    kept: dict[str, Node] = {}
    for key, child in node.value.items():
        field = model.model_fields.get(key)
        if field is None:
            if child.value is not None or child.replaces is None:
                kept[key] = child
            continue
        if child.value is None and type(None) not in (field.annotation, *get_args(field.annotation)):
            continue
        inner = nested_model(field.annotation)
        if inner is not None:
            child = _without_nulls(inner, child)
        elif is_free_mapping(field.annotation) and isinstance(child.value, dict):
            child = Node({k: v for k, v in child.value.items() if v.value is not None}, child.place)
        kept[key] = child
    return Node(kept, node.place)


@dataclass(frozen=True)
class _Located:
    """Where an error points to in the tree, as far as it leads there."""

    node: Node
    steps: tuple[str | int, ...]
    owner: type[BaseModel] | None
    """The model that the last key belongs to."""


def _tell(
    error: ValidationError,
    model: type[BaseModel],
    node: Node,
    path: str,
    problems: Problems,
    also_known: Iterable[str],
    owner: tuple[str, type[Plugin]] | None,
) -> None:
    schema = _schema_of(model)
    found = [(_locate(model, node, detail["loc"]), detail) for detail in error.errors(include_url=False)]
    told: set[tuple[str | int, ...]] = set()
    # In a union every alternative complains: the deepest complaint is the one to tell.
    deepest = {located.steps for located, _ in found}
    for located, detail in found:
        kind = detail["type"]
        if kind == "missing":
            steps = (*located.steps, detail["loc"][-1])
            message = f"missing; give {_expected(schema, steps)}"
        elif kind == "extra_forbidden":
            fields = located.owner.model_fields if located.owner is not None else {}
            known = {*fields, *(also_known if len(located.steps) == 1 else ())}
            steps, name = located.steps, str(detail["loc"][-1])
            whose = outside = ""
            if len(steps) == 1 and owner is not None:
                whose = "" if owner[0] == path.rpartition(".")[2] or also_known else f" of {_last_part(owner[0])}"
                outside = _outside_of_config(name, owner[1])
            hint = _AFTER_A_COMMA if name.isdigit() else outside or did_you_mean(name, known)
            message = f"no such option{whose}{hint}"
        elif kind in _OWN_MESSAGES:
            steps, message = located.steps, str(detail["ctx"]["error"])
        elif any(other[: len(located.steps)] == located.steps != other for other in deepest):
            continue
        else:
            steps, message = located.steps, _mismatch(schema, located, str(detail["msg"]))
        if kind not in _OWN_MESSAGES and steps in told:
            continue
        told.add(steps)
        dotted = _dotted(path, steps)
        place = _place_of_rule(located.node, dotted, message) if kind in _OWN_MESSAGES else located.node.place
        problems.add(place, f"{dotted}: {message}")


def _place_of_rule(node: Node, path: str, message: str) -> Place:
    """Where to tell that options do not go together, or that one breaks a rule of its own."""
    return place_to_blame(path, message, {path: node.place, **places_of(node, path)})


def _last_part(use: str) -> str:
    # A file is told without its folders.
    return f"'{use.rpartition('/')[2]}'"


def _outside_of_config(name: str, plugin: type[Plugin]) -> str:
    """The end of a message about an unknown option that its plug-in has as an attribute of its own; else nothing."""
    own = [part for part in plugin.__mro__ if issubclass(part, Plugin) and part is not Plugin]
    written = any(name in vars(part).get("__annotations__", ()) or name in vars(part) for part in own)
    if not written or hasattr(Plugin, name) or callable(getattr(plugin, name, None)) or name == "config":
        return ""
    return f"; {plugin.__name__} has '{name}' as an attribute: options go in its class Config(Plugin.Config)"


def _locate(model: type[BaseModel], node: Node, loc: Sequence[str | int]) -> _Located:
    """Follow pydantic's location; its labels for the alternatives of a union lead nowhere and are skipped."""
    steps: tuple[str | int, ...] = ()
    owner: type[BaseModel] | None = model
    parent: type[BaseModel] | None = model
    for step in loc:
        child = None
        if isinstance(node.value, dict) and isinstance(step, str):
            child = node.value.get(step)
        elif isinstance(node.value, tuple) and isinstance(step, int) and step < len(node.value):
            child = node.value[step]
        if child is None:
            continue
        field = parent.model_fields.get(step) if parent is not None and isinstance(step, str) else None
        node, steps, owner = child, (*steps, step), parent
        parent = nested_model(field.annotation) if field is not None else None
    return _Located(node, steps, owner)


def _mismatch(schema: JsonSchema, located: _Located, fallback: str) -> str:
    wanted = _expected(schema, located.steps)
    value = located.node.plain()
    if wanted == "a value":
        return f"{fallback[:1].lower()}{fallback[1:]}, not {show(value)}"
    return f"must be {wanted}, not {show(value)}{_hint(wanted, value)}"


def _hint(wanted: str, value: object) -> str:
    if wanted.startswith("a list"):
        return _list_hint(wanted, value)
    if not isinstance(value, str) or "text" in wanted:
        return ""
    if "number" in wanted and _DECIMAL_COMMA.fullmatch(value):
        return f" (write the decimals behind a point: {value.replace(',', '.')})"
    try:
        looks_like = parse_scalar(value)
    except ValueError:
        return ""
    return " (write it without quotes)" if not isinstance(looks_like, str) and looks_like is not None else ""


def _list_hint(wanted: str, value: object) -> str:
    """That a list has brackets, where a value would be one with them."""
    items = re.split(r"\s*,\s*|\s+", value.strip("[] ")) if isinstance(value, str) else [json.dumps(value)]
    length = re.match(r"a list of (\d+)", wanted)
    is_one = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    if not is_one or (length is not None and int(length[1]) != len(items)):
        return ""
    if "number" in wanted and not all(map(_NUMBER.fullmatch, items)):
        return ""
    return f" (write [{', '.join(items)}])"


def _schema_of(model: type[BaseModel]) -> JsonSchema:
    try:
        return model.model_json_schema()
    except PydanticInvalidForJsonSchema:
        return {}


def _expected(schema: JsonSchema, steps: Sequence[str | int]) -> str:
    definitions: JsonSchema = schema.get("$defs", {})
    inner = _descend(schema, steps, definitions)
    return expectation(inner, definitions) if inner is not None else "a value"


def _descend(schema: JsonSchema, steps: Sequence[str | int], definitions: JsonSchema) -> JsonSchema | None:
    schema = dereference(schema, definitions)
    if not steps:
        return schema
    step, rest = steps[0], steps[1:]
    inner: JsonSchema | None = None
    if isinstance(step, int):
        prefix = schema.get("prefixItems", [])
        inner = prefix[step] if step < len(prefix) else schema.get("items")
    else:
        extra = schema.get("additionalProperties")
        inner = schema.get("properties", {}).get(step, extra if isinstance(extra, dict) else None)
    if inner is not None:
        return _descend(inner, rest, definitions)
    found = (_descend(choice, steps, definitions) for choice in schema.get("anyOf", []))
    return next((choice for choice in found if choice is not None), None)


def _dotted(path: str, steps: Sequence[str | int]) -> str:
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path
