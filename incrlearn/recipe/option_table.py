"""The options of a plug-in or of a section of a recipe, in words for a table."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from incrlearn.recipe.wording import JsonSchema, dereference

_TYPES = {"integer": "int", "number": "float", "boolean": "bool", "string": "text", "object": "mapping"}
_BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


@dataclass(frozen=True)
class OptionRow:
    """One option."""

    name: str
    """With a dot where it belongs to another one: ``first.epochs``."""
    type: str
    """In a word or two, such as ``int or null``."""
    default: str
    """As JSON, or ``required``."""
    range: str
    """Such as ``> 0, <= 1``; empty where the type says all."""
    about: str
    """What it does: its docstring, in one line, with code in double backticks."""


def option_rows(model: type[BaseModel]) -> list[OptionRow]:
    """Every option of ``model`` in the order it has them; those of an option that is a mapping of options behind it."""
    schema = model.model_json_schema()
    return _rows(schema, schema.get("$defs", {}), "")


def _rows(schema: JsonSchema, definitions: JsonSchema, prefix: str) -> list[OptionRow]:
    rows = []
    required = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        default = "required" if name in required else json.dumps(field.get("default"))
        about = " ".join(str(field.get("description", "")).split())
        row = OptionRow(prefix + name, type_words(field, definitions), default, range_words(field), about)
        rows.append(row)
        for choice in [field, *field.get("anyOf", [])]:
            rows += _rows(dereference(choice, definitions), definitions, f"{prefix}{name}.")
    return rows


def type_words(schema: JsonSchema, definitions: JsonSchema) -> str:
    """The type of an option in a word or two, such as ``"int or null"`` or ``"list of 2: float"``."""
    schema = dereference(schema, definitions)
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(type_words(choice, definitions) for choice in schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return " | ".join(str(choice) for choice in schema.get("enum", [schema.get("const")]))
    kind = str(schema.get("type", "any"))
    if kind == "array":
        inner = dict.fromkeys(type_words(item, definitions) for item in _items(schema))
        length = f" of {len(schema['prefixItems'])}" if "prefixItems" in schema else ""
        return f"list{length}: {', '.join(inner)}"
    return _TYPES.get(kind, kind)


def range_words(schema: JsonSchema) -> str:
    """What a value must keep to beside its type, such as ``">= 1"``, ``"each > 0, <= 1"``; ``""`` for nothing."""
    bounds = [f"{sign} {_number(schema[key])}" for key, sign in _BOUNDS.items() if key in schema]
    if "pattern" in schema:
        bounds.append(f"matches {schema['pattern']}")
    if 1 in (schema.get("minLength"), schema.get("minItems")) and "prefixItems" not in schema:
        bounds.append("not empty")
    bounds += [f"each {words}" for words in dict.fromkeys(map(range_words, _items(schema))) if words]
    return ", ".join([*bounds, *filter(None, dict.fromkeys(map(range_words, schema.get("anyOf", []))))])


def _items(schema: JsonSchema) -> list[dict[str, Any]]:
    if schema.get("type") != "array":
        return []
    items: list[dict[str, Any]] = schema.get("prefixItems") or [schema.get("items", {})]
    return items


def _number(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
