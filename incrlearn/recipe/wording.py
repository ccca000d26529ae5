"""What an option must be and what it was, in words: from its JSON Schema and its value."""

from __future__ import annotations

import json
import re
from typing import Any

JsonSchema = dict[str, Any]

_LONGEST_SHOWN = 60
_NO_SPACE = re.compile(r"([A-Za-z_]\w*):([^\s:/\\]\S*)")


def expectation(schema: JsonSchema, definitions: JsonSchema) -> str:
    """What a value must be, such as ``"a whole number of at least 1"``; ``"a value"`` where the schema does not say.

    Args:
        schema: the JSON Schema of one option.
        definitions: the ``$defs`` that its references point into.
    """
    schema = dereference(schema, definitions)
    if "anyOf" in schema:
        return _join_unique([expectation(choice, definitions) for choice in schema["anyOf"]])
    if "const" in schema:
        return show(schema["const"])
    if "enum" in schema:
        choices = ", ".join(_unquoted(choice) for choice in schema["enum"])
        return f"one of {choices}" if len(schema["enum"]) > 1 else choices
    kind = schema.get("type")
    if kind in ("integer", "number"):
        return ("a whole number" if kind == "integer" else "a number") + _range(schema)
    if kind == "string":
        return _text(schema)
    if kind == "array":
        return _list(schema, definitions)
    return {"boolean": "true or false", "null": "null", "object": "a mapping"}.get(str(kind), "a value")


def show(value: object) -> str:
    """A value as an error tells it: text in quotes, long lists and mappings cut short."""
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    shown = f"'{value}'" if isinstance(value, str) else json.dumps(value)
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[: _LONGEST_SHOWN - 3]}..."


def value_text(value: object) -> str:
    """A value as one would write it in one line, such as ``{use: sgd, lr: 0.1}``."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {value_text(inner)}' for key, inner in value.items())}}}"
    return "null" if value is None else value if isinstance(value, str) else show(value)


def spaced_out(text: str) -> tuple[str, str] | None:
    """Key and value of ``weight:0.5``, which YAML takes for one text; None where a text does not begin so.

    An address such as ``http://...`` is none, and neither is a ``file:Class``.
    """
    found = _NO_SPACE.match(text)
    if found is None or (found[2][0].isupper() and found[2].isidentifier()):
        return None
    return found[1], found[2]


def space_hint(value: object) -> str:
    """The end of a message about a text in which a space after a colon seems to be missing; else nothing."""
    pair = spaced_out(value) if isinstance(value, str) else None
    return f"; write a space after the colon: {pair[0]}: {pair[1]}" if pair is not None else ""


def dereference(schema: JsonSchema, definitions: JsonSchema) -> JsonSchema:
    """The schema itself where it is a reference into ``definitions``."""
    while "$ref" in schema:
        schema = definitions[str(schema["$ref"]).rpartition("/")[2]]
    return schema


def _range(schema: JsonSchema) -> str:
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f" from {_number(low)} to {_number(high)}"
    words = []
    if low is not None:
        words.append(f"of at least {_number(low)}")
    if above is not None:
        words.append(f"above {_number(above)}")
    if high is not None:
        words.append(f"of at most {_number(high)}" if not words else f"at most {_number(high)}")
    if below is not None:
        words.append(f"below {_number(below)}")
    if "multipleOf" in schema:
        words.append(f"divisible by {_number(schema['multipleOf'])}")
    return f" {' and '.join(words)}" if words else ""


def _text(schema: JsonSchema) -> str:
    if "pattern" in schema:
        return f"text that matches {schema['pattern']}"
    if schema.get("minLength") == 1:
        return "text that is not empty"
    return "text"


def _list(schema: JsonSchema, definitions: JsonSchema) -> str:
    if "prefixItems" in schema:
        items = [expectation(item, definitions) for item in schema["prefixItems"]]
        same = f", each {items[0]}" if len(set(items)) == 1 else f": {', '.join(items)}"
        return f"a list of {len(items)}{same}"
    fewest, most = schema.get("minItems"), schema.get("maxItems")
    length = f" of {fewest}" if fewest is not None and fewest == most else ""
    if not length and fewest is not None:
        length = " that is not empty" if fewest == 1 else f" of at least {fewest}"
    if not length and most is not None:
        length = f" of at most {most}"
    each = expectation(schema.get("items", {}), definitions)
    return f"a list{length}" + (f", each {each}" if each != "a value" else "")


def _join_unique(phrases: list[str]) -> str:
    # That an option may be null need not be told: leaving it out says the same.
    unique = list(dict.fromkeys(phrase for phrase in phrases if phrase != "null")) or ["null"]
    return " or ".join([", ".join(unique[:-1]), unique[-1]]) if len(unique) > 1 else unique[0]


def _unquoted(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _number(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
