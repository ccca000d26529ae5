"""Writes the reference pages below docs/reference/ from the code that they tell of: ``make reference``.

The pages are committed, so that they read without a build; ``tests/docs/test_reference.py`` holds them to the code.
Everything here is a pure function from the code to text, but for :func:`main`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import get_args

from class_tables import alias_docstring, class_section, markdown, table_row
from pydantic import BaseModel, ValidationError

from incrlearn import (
    Batch,
    HeldOut,
    LossTerm,
    Network,
    Output,
    Passes,
    Phase,
    Plugin,
    Registry,
    RunState,
    Samples,
    Task,
    TaskPasses,
    Teacher,
    hooks,
)
from incrlearn.engine.defaults import CoreDefaults
from incrlearn.hooks import CHANGE_WEIGHTS, HOT, MAKE_WEIGHTS, Hooks
from incrlearn.network import Backbone, BranchedNetwork
from incrlearn.recipe import BackboneOptions, Expected, ScenarioOptions, recipe_schema
from incrlearn.recipe.fit import FROM_THE_ENGINE
from incrlearn.recipe.option_table import OptionRow, option_rows, type_words
from incrlearn.recipe.options import RunOptions
from incrlearn.types import Stage

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
KINDS = ("network", "head", "loss", "prune", "adjust", "memory", "phase", "score", "log", "data")
"""In the order of a recipe; a kind that is not among them comes last."""
SECTIONS: dict[str, type[BaseModel]] = {"data": ScenarioOptions, "backbone": BackboneOptions, "expected": Expected}
"""The parts of a recipe that have options of their own, ``plugins`` aside."""
GIVEN: dict[type, str] = {
    Task: "task",
    Phase: "phase",
    Samples: "samples",
    Batch: "batch",
    Output: "out",
    LossTerm: "term",
    HeldOut: "held_out",
    Network: "network",
    BranchedNetwork: "network",
    Backbone: "backbone",
    Stage: "stage",
    Teacher: "state.teacher",
    TaskPasses: "passes",
    Passes: "passes",
}
"""What hooks are given and give beside the state, each with what it is called; whoever inherits stands behind."""
_WIDEST_SIGNATURE = 80


def pages() -> dict[str, str]:
    """Every page by its file name."""
    registry = Registry.discover()
    return {"hooks.md": hooks_page(), "recipes.md": recipes_page(registry), "plugins.md": plugins_page(registry)}


def hooks_page() -> str:
    """The loop, and every hook with its signature, kind and docstring."""
    parts = ["# Every hook", _written_from("incrlearn/hooks.py")]
    parts.append(_fence_literal_blocks(markdown(inspect.getdoc(hooks) or "")))
    parts.append("What else all of them keep to stands under [hooks](../hooks.md).")
    parts += ["## What `state` holds, and when", *class_section(RunState, "state")]
    parts += ["## What else hooks are given, and give", "First uses stand under [hooks](../hooks.md#what-hooks-get)."]
    for kind, called in GIVEN.items():
        parts += [f"#### {kind.__name__}", *class_section(kind, called, others=GIVEN)]
    for alias in ("MakeBackbone", "Row"):
        parts += [f"#### {alias}", markdown(alias_docstring(hooks, alias))]
    parts[-1] += " Its keys stand under [what a run tells](../recipes.md#what-a-run-tells)."
    for heading, names in hooks_by_section():
        parts.append(f"## {heading[0].upper()}{heading[1:]}")
        for name in names:
            parts += [f"### {name}", f"```python\n{signature(name)}\n```", facts(name)]
            parts.append(markdown(inspect.getdoc(getattr(Hooks, name)) or ""))
    return _joined(parts)


def hooks_by_section() -> Iterator[tuple[str, list[str]]]:
    """The headings between the specifications, each with the hooks below it, in the order of the source."""
    for part in re.split(r"^ +# -- ", inspect.getsource(Hooks), flags=re.MULTILINE)[1:]:
        heading, _, body = part.partition("\n")
        yield heading.rstrip(" -"), re.findall(r"^    def (\w+)\(", body, flags=re.MULTILINE)


def signature(name: str) -> str:
    """The hook as it is called, with types, on lines of their own where it is long."""
    whole = inspect.signature(getattr(Hooks, name))
    arguments = [f"{one.name}: {one.annotation}" for one in whole.parameters.values() if one.name != "self"]
    line = f"{name}({', '.join(arguments)}) -> {whole.return_annotation}"
    if len(line) <= _WIDEST_SIGNATURE:
        return line
    return "\n".join([f"{name}(", *(f"    {argument}," for argument in arguments), f") -> {whole.return_annotation}"])


def kind(name: str) -> str:
    """``first``, ``each`` or ``list``, see the loop."""
    specification = getattr(Hooks, name)
    if specification.incrlearn_spec["firstresult"]:
        return "first"
    return "each" if inspect.signature(specification).return_annotation == "None" else "list"


def facts(name: str) -> str:
    """In a line: the kind, who answers where no plug-in does, whether it is hot, what it may do to weights."""
    told = [f"**{kind(name)}**"]
    if has_core_default(name):
        told.append("core default")
    if name in HOT:
        told.append("hot: nothing in it may wait for the device")
    if name in CHANGE_WEIGHTS:
        told.append("may change weights, in place")
    if name in MAKE_WEIGHTS:
        told.append("makes weights; an old module that it is given may change in place")
    return " · ".join(told)


def has_core_default(name: str) -> bool:
    """Whether the engine itself answers where no plug-in does."""
    return hasattr(CoreDefaults, name)


def recipes_page(registry: Registry) -> str:
    """Every key of a recipe that is no plug-in's."""
    parts = ["# Every key of a recipe", _written_from("incrlearn/recipe/options.py")]
    parts.append("How they work together stands under [recipes](../recipes.md). The rows of `plugins` and the options")
    parts[-1] += " of data sets are [those of the plug-ins](plugins.md)."
    parts += ["## At the top", options_table(_top_rows(registry))]
    for name, model in SECTIONS.items():
        parts += [f"## {name}", markdown(inspect.getdoc(model) or "")]
        first = [OptionRow("use", "text", "required", "", "A data set: the name of a plug-in of kind data.")]
        parts.append(options_table([*(first if name == "data" else []), *option_rows(model)]))
    return _joined(parts)


def _top_rows(registry: Registry) -> list[OptionRow]:
    own = {row.name: row for row in option_rows(RunOptions)}
    schema = recipe_schema(registry)
    required = schema["anyOf"][1]["required"]
    rows = []
    for key, field in schema["properties"].items():
        default = "required" if key in required else ""
        if key in SECTIONS:
            rows.append(OptionRow(key, "mapping", default, "", f"See [{key}](#{key})."))
        else:
            words = OptionRow(key, type_words(field, {}), default, "", str(field.get("description", "")))
            rows.append(own.get(key, words))
    return rows


def plugins_page(registry: Registry) -> str:
    """Every plug-in that comes with incrlearn, by kind, with its options."""
    built_in = [entry.name for entry in registry.entries() if entry.distribution == "incrlearn"]
    plugins = {name: registry.load(name, FOLDER) for name in built_in}
    parts = ["# Every plug-in", _written_from("plugins/incrlearn_plugins/")]
    parts.append(
        "Those of kind data stand under `data` in a recipe, all others under `plugins`. `incrlearn plugins NAME`"
    )
    parts[-1] += " tells the same of one, and of any other that is installed or lies in a file."
    for one in sorted({plugin.kind for plugin in plugins.values()}, key=_place_of_kind):
        parts.append(f"## {one}")
        for name, plugin in plugins.items():
            if plugin.kind == one:
                parts += [f"### {name}", *_plugin(plugin)]
    parts += ["## Words", "What they mean stands under [hooks](../hooks.md#words-of-needs-and-provides)."]
    parts[-1] += " Where it says *some options*, others do not."
    parts.append(words_table(plugins))
    return _joined(parts)


def words_table(plugins: Mapping[str, type[Plugin]]) -> str:
    """Every word of ``needs`` and ``provides`` with the plug-ins that provide it, need it and do not go with it."""
    needs = {name: dict.fromkeys(plugin.needs, "") for name, plugin in plugins.items()}
    provides = {name: provided_words(plugin) for name, plugin in plugins.items()}
    refuses = {
        name: _words_of_options(plugin, lambda one: frozenset(one.refuses())) for name, plugin in plugins.items()
    }
    told = [needs, provides, refuses]
    words = sorted({word for by_plugin in told for by_word in by_plugin.values() for word in by_word})
    lines = ["| word | provided by | needed by | does not go with |", "|---|---|---|---|"]
    for word in words:
        engine = ["the engine"] if word in FROM_THE_ENGINE else []
        lines.append(
            table_row(
                f"`{word}`",
                ", ".join([*engine, *_plugins_with(word, provides)]),
                ", ".join(_plugins_with(word, needs)),
                ", ".join(_plugins_with(word, refuses)),
            )
        )
    return "\n".join(lines)


def provided_words(plugin: type[Plugin]) -> dict[str, str]:
    """The words that a plug-in provides, each with "" or, where it hangs on its options, a word on that."""
    return _words_of_options(plugin, lambda one: one.also_provides()) | dict.fromkeys(plugin.provides, "")


def _words_of_options(plugin: type[Plugin], words: Callable[[Plugin.Config], frozenset[str]]) -> dict[str, str]:
    found = [words(options) for options in _choices(plugin.Config)]
    always = frozenset.intersection(*found) if found else frozenset()
    return {word: "" if word in always else " (some options)" for word in frozenset().union(*found)}


def _choices(model: type[Plugin.Config]) -> Iterator[Plugin.Config]:
    """The defaults, and what comes of changing one option or two: to another word, the other way, or to 0."""
    changes = [
        (name, value)
        for name, field in model.model_fields.items()
        for value in (*get_args(field.annotation), not field.default if isinstance(field.default, bool) else 0)
    ]
    for count in range(3):
        for chosen in combinations(changes, count):
            try:
                yield model.model_validate(dict(chosen))
            except ValidationError:
                continue


def _plugins_with(word: str, by_plugin: Mapping[str, Mapping[str, str]]) -> list[str]:
    return [f"[{name}](#{name}){words[word]}" for name, words in by_plugin.items() if word in words]


def _place_of_kind(kind: str) -> tuple[int, str]:
    return (KINDS.index(kind) if kind in KINDS else len(KINDS), kind)


def _plugin(plugin: type[Plugin]) -> Iterator[str]:
    yield markdown(inspect.cleandoc(plugin.__doc__ or ""))
    words = {"Needs": plugin.needs, "Provides": plugin.provides}
    told = [f"{verb} {', '.join(f'`{word}`' for word in sorted(found))}." for verb, found in words.items() if found]
    if told:
        yield " ".join(told)
    yield options_table(option_rows(plugin.Config)) if plugin.Config.model_fields else "No options."


def options_table(rows: Iterable[OptionRow]) -> str:
    """The options as a table of Markdown."""
    lines = ["| option | type | default | range | what it does |", "|---|---|---|---|---|"]
    for row in rows:
        default = row.default if row.default in ("", "required") else f"`{row.default}`"
        span = f"`{row.range}`" if row.range else ""
        cells = (f"`{row.name}`", row.type, default, span, markdown(row.about))
        lines.append(table_row(*cells))
    return "\n".join(lines)


def _fence_literal_blocks(text: str) -> str:
    """The indented block behind ``::`` on a line of its own, fenced."""
    block = re.compile(r"^::\n\n((?:    .*\n|\n)+)", flags=re.MULTILINE)
    return block.sub(lambda found: f"```\n{inspect.cleandoc(found[1])}\n```\n\n", text)


def _written_from(source: str) -> str:
    return f"<!-- Written by tools/reference.py from {source}: `make reference`. -->"


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(part.strip() for part in parts) + "\n"


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
