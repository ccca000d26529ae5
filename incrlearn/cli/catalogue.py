"""``incrlearn plugins``, ``recipes`` and ``schema``: what there is to choose from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from incrlearn.cli.consoles import output_console, say
from incrlearn.errors import OutputError, PluginError

if TYPE_CHECKING:
    from rich.console import Console

    from incrlearn.plugin import Plugin
    from incrlearn.registry import PluginEntry, Registry


def plugins(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A plug-in's name, or ./file.py:Class; without: all.")
    ] = None,
) -> None:
    """List the plug-ins, or tell the options of one."""
    from incrlearn.registry import Registry

    registry = Registry.discover()
    console = output_console()
    if name is None:
        _print_all(console, registry)
    else:
        _print_one(console, registry, name)


def recipes() -> None:
    """List the recipes and ablations that come with the package."""
    from incrlearn.recipe import describe, shipped_ablations, shipped_recipes
    from incrlearn.recipe.shipped import recipe_name

    console = output_console()
    table = Table("recipe", "what it is", "expected average")
    for path in shipped_recipes():
        average = _expected_average(path)
        table.add_row(recipe_name(path), Text(describe(path)), f"{average:.2f} %" if average is not None else "")
    console.print(table)
    say(console, "run one from anywhere: incrlearn run der_digits")
    ablations = Table("ablation", "what it is")
    for path in shipped_ablations():
        ablations.add_row(recipe_name(path), Text(describe(path)))
    console.print(ablations)
    say(console, "make the table of one: incrlearn ablate ablations/der_digits")


def schema(
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write it; by default it is printed.")
    ] = None,
) -> None:
    """Give the JSON Schema of a recipe, for editors."""
    from incrlearn.recipe import recipe_schema
    from incrlearn.registry import Registry

    text = json.dumps(recipe_schema(Registry.discover()), indent=2)
    if out is None:
        typer.echo(text)
        return
    try:
        out.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror}") from error
    say(output_console(), f"written to {out}")


def _print_all(console: Console, registry: Registry) -> None:
    table = Table("name", "kind", "from", "what it is")
    for entry in registry.entries():
        try:
            plugin = registry.load(entry.name, Path())
        except PluginError as error:
            table.add_row(entry.name, "?", _origin(entry), Text(f"cannot be used: {error}"))
            continue
        table.add_row(entry.name, plugin.kind, _origin(entry), Text(_doc(plugin).partition("\n")[0]))
    console.print(table)


def _print_one(console: Console, registry: Registry, name: str) -> None:
    plugin = registry.load(name, Path.cwd())
    origins = [_origin(entry) for entry in registry.entries() if entry.name == name]
    say(console, f"{name}: {plugin.kind}, from {origins[0] if origins else 'a file'}")
    say(console, f"\n{_doc(plugin)}\n")
    for word, values in (("needs", plugin.needs), ("provides", plugin.provides)):
        if values:
            say(console, f"{word}: {', '.join(sorted(values))}")
    if not plugin.Config.model_fields:
        say(console, "no options")
        return
    from incrlearn.recipe.wording import range_words

    options = plugin.Config.model_json_schema()
    definitions: dict[str, Any] = options.get("$defs", {})
    required = options.get("required", [])
    table = Table("option", "type", "default", "range", "what it does")
    for option, field in options["properties"].items():
        default = "required" if option in required else json.dumps(field.get("default"))
        about = str(field.get("description", "")).replace("\n", " ").replace("``", "")
        cells = (_type_words(field, definitions), default, range_words(field), about)
        table.add_row(option, *(Text(cell) for cell in cells))
    console.print(table)


def _origin(entry: PluginEntry) -> str:
    return f"{entry.distribution} {entry.version}".strip()


def _doc(plugin: type[Plugin]) -> str:
    from inspect import cleandoc

    return cleandoc(plugin.__doc__ or "no description")


def _type_words(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    """The type of an option in a word or two, such as ``"int or null"`` or ``"list of int"``."""
    from incrlearn.recipe.wording import dereference

    schema = dereference(schema, definitions)
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type_words(choice, definitions) for choice in schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return " | ".join(str(choice) for choice in schema.get("enum", [schema.get("const")]))
    kind = str(schema.get("type", "any"))
    if kind == "array":
        items = schema.get("prefixItems") or [schema.get("items", {})]
        inner = dict.fromkeys(_type_words(item, definitions) for item in items)
        length = f" of {len(items)}" if "prefixItems" in schema else ""
        return f"list{length}: {', '.join(inner)}"
    if kind == "object" and "properties" in schema:
        return f"mapping of {', '.join(schema['properties'])}"
    return {"integer": "int", "number": "float", "boolean": "bool", "string": "text", "object": "mapping"}.get(
        kind, kind
    )


def _expected_average(path: Path) -> float | None:
    from incrlearn.recipe.nodes import Problems
    from incrlearn.recipe.tree import read_tree

    root = read_tree(path, Problems(str(path), path))
    expected = root.get("expected") if root is not None else None
    average = expected.get("average") if expected is not None else None
    value = average.value if average is not None else None
    return float(value) if isinstance(value, (int, float)) else None
