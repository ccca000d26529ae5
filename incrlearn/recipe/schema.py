"""JSON Schema of a recipe, so that editors complete and check one while it is written."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.errors import PydanticInvalidForJsonSchema

from incrlearn.plugin import Plugin
from incrlearn.recipe.options import BackboneOptions, Expected, RunOptions, ScenarioOptions
from incrlearn.registry import Registry

JsonSchema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_LOCAL_USE: JsonSchema = {"type": "string", "pattern": r"\.py:[A-Za-z_][A-Za-z0-9_]*$"}


def recipe_schema(registry: Registry) -> JsonSchema:
    """The schema: ``use`` decides which options are known; plug-ins that fail to load are left out."""
    definitions: JsonSchema = {}
    rows: list[JsonSchema] = []
    data_rows: list[JsonSchema] = []
    names: list[str] = []
    data_names: list[str] = []
    scenario = _properties(ScenarioOptions, "scenario", definitions)["properties"]
    for name, plugin in registry.loadable():
        is_data = plugin.kind == "data"
        try:
            row = _row(name, plugin, scenario if is_data else {}, definitions)
        except PydanticInvalidForJsonSchema:
            continue
        (data_rows if is_data else rows).append(row)
        (data_names if is_data else names).append(name)
    run = _properties(RunOptions, "run", definitions)["properties"]
    return {
        "$schema": _DIALECT,
        "title": "incrlearn recipe",
        "type": "object",
        "properties": {
            "extends": {"type": "string", "description": "Another recipe, which this one changes."},
            **run,
            "data": {"anyOf": _choices(data_names, data_rows)},
            "backbone": {"anyOf": [{"type": "string"}, _partial(BackboneOptions, "backbone", definitions)]},
            "plugins": {
                "type": "object",
                "description": "Called from top to bottom; null takes a row out.",
                "additionalProperties": {"anyOf": [*_choices(names, rows), {"type": "null"}]},
            },
            "expected": _properties(Expected, "expected", definitions),
            "code": {
                "type": "object",
                "description": "Written by runs: digests of the code of plug-ins that are not incrlearn's own.",
                "additionalProperties": {"type": "string"},
            },
        },
        "anyOf": [{"required": ["extends"]}, {"required": ["data", "backbone", "plugins"]}],
        "additionalProperties": False,
        "$defs": definitions,
    }


def _choices(names: list[str], rows: list[JsonSchema]) -> list[JsonSchema]:
    in_a_file = {"type": "object", "properties": {"use": _LOCAL_USE}, "required": ["use"]}
    of_the_base = {"type": "object", "not": {"required": ["use"]}}
    return [{"enum": names}, _LOCAL_USE, *rows, in_a_file, of_the_base]


def _row(name: str, plugin: type[Plugin], also: JsonSchema, definitions: JsonSchema) -> JsonSchema:
    schema = _properties(plugin.Config, name, definitions)
    doc = (plugin.__doc__ or "").strip().splitlines()
    return {
        "type": "object",
        "title": name,
        "description": doc[0] if doc else "",
        "properties": {"use": {"const": name}, **also, **schema["properties"]},
        # Options that have no default may come from the recipe that is extended, so only `use` is required.
        "required": ["use"],
        "additionalProperties": False,
    }


def _partial(model: type[BaseModel], prefix: str, definitions: JsonSchema) -> JsonSchema:
    schema = _properties(model, prefix, definitions)
    schema.pop("required", None)
    return schema


def _properties(model: type[BaseModel], prefix: str, definitions: JsonSchema) -> JsonSchema:
    """The schema of a model; what it refers to moves to ``definitions`` under the prefix."""
    schema = model.model_json_schema(ref_template=f"#/$defs/{prefix}.{{model}}")
    definitions.update({f"{prefix}.{key}": inner for key, inner in schema.pop("$defs", {}).items()})
    schema.setdefault("properties", {})
    return schema
