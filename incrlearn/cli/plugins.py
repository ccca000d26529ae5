"""``incrlearn plugins``: which there are, what one of them offers, and whether it keeps the contract."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from incrlearn.cli.consoles import output_console, say
from incrlearn.cli.options import read_pairs
from incrlearn.cli.parsing import Command, CommandGroup
from incrlearn.errors import PluginError, Problem, RecipeError, closest

if TYPE_CHECKING:
    from rich.console import Console

    from incrlearn.plugin import Plugin
    from incrlearn.registry import PluginEntry, Registry

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A plug-in's name, or ./file.py:Class.")]


def plugins_app() -> typer.Typer:
    """``plugins``, ``plugins NAME`` and ``plugins check NAME``."""
    app = typer.Typer(cls=_NamesAreShown, invoke_without_command=True)
    app.callback()(list_plugins)
    app.command("show", cls=Command)(show)
    app.command("check", cls=Command)(check)
    return app


class _NamesAreShown(CommandGroup):
    """``plugins NAME`` is short for ``plugins show NAME``."""

    # Typer carries a click of its own, whose types nobody else can name.
    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401
        """Find the command, or show what the first word names.

        Raises:
            RecipeError: it seems to be a misspelt command.
        """
        if args[0] in self.commands:
            return super().resolve_command(ctx, args)
        # Behind a name nothing else is taken: it may be a command that was misspelt.
        if len(args) > 1 and not args[1].startswith("-") and (near := closest(args[0], self.commands)) is not None:
            raise RecipeError(ctx.command_path, [Problem(f"no such command: {args[0]}; did you mean '{near}'?")])
        return super().resolve_command(ctx, ["show", *args])


def list_plugins(context: typer.Context) -> None:
    """List the plug-ins, tell the options of one (plugins NAME), or try one (plugins check NAME)."""
    if context.invoked_subcommand is None:
        from incrlearn.registry import Registry

        _print_all(output_console(), Registry.discover())


def show(name: NameArgument) -> None:
    """Tell what a plug-in is and which options it has; "plugins NAME" does."""
    from incrlearn.registry import Registry

    _print_one(output_console(), Registry.discover(), name)


def check(
    name: NameArgument,
    options: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help="An option of it, such as epochs=3; repeatable."),
    ] = None,
    beside: Annotated[
        list[str] | None,
        typer.Option(metavar="ROW=VALUE", help="Another row of the recipe, such as head=cosine; repeatable."),
    ] = None,
) -> None:
    """Train with a plug-in in a tiny recipe, on the CPU in seconds, and tell what it does that it must not."""
    from incrlearn.registry import Registry
    from incrlearn.testing.checks import all_checks
    from incrlearn.testing.trial import Subject, Trial

    plugin = Registry.discover().load(name, Path.cwd())
    subject = Subject(plugin, below(_read_settings(options or ())), read_pairs("--beside", beside or ()))
    try:
        subject.recipe()
    except RecipeError as error:
        row = "data." if plugin.kind == "data" else f"plugins.{subject.key}."
        own = [problem.message.startswith(row) for problem in error.problems]
        told = [
            Problem(problem.message.replace(row, "--set ", is_own))
            for problem, is_own in zip(error.problems, own, strict=True)
        ]
        if not all(own):
            told.append(
                Problem("give options with --set OPTION=VALUE, other rows of the recipe with --beside ROW=VALUE")
            )
        raise RecipeError(f"a tiny recipe with {name}", told) from error
    console = output_console()
    broken = 0
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(subject, Path(folder))
        for rule in all_checks():
            reason = trial.reason_to_skip(rule.needs)
            problems = rule.find(trial) if reason is None else []
            broken += bool(problems)
            mark = "not so" if problems else "ok" if reason is None else "not tried"
            say(console, f"{mark}: {rule.rule}{f' ({reason})' if reason is not None else ''}")
            for problem in problems:
                say(console, f"  {problem}")
    if broken:
        raise typer.Exit(1)


def below(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Options by dotted name as mappings in one another: ``{"first.epochs": 3}`` as ``{"first": {"epochs": 3}}``."""
    nested: dict[str, Any] = {}
    for path, value in settings.items():
        *parents, name = path.split(".")
        place = nested
        for parent in parents:
            if not isinstance(place.get(parent), dict):
                place[parent] = {}
            place = place[parent]
        place[name] = value
    return nested


def _read_settings(texts: Sequence[str]) -> dict[str, Any]:
    wrong = [Problem(f"{text}: must be OPTION=VALUE, such as epochs=3") for text in texts if "=" not in text]
    if wrong:
        raise RecipeError("--set", wrong)
    return read_pairs("--set", texts)


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
    from incrlearn.recipe.option_table import option_rows

    # What it does takes most of the room: type and range stand above it instead of beside it.
    table = Table("option", "default", "what it is")
    for row in option_rows(plugin.Config):
        kind = f"{row.type}, {row.range}" if row.range else row.type
        table.add_row(row.name, Text(row.default), Text(kind, style="dim").append(f"\n{row.about.replace('``', '')}"))
    console.print(table)


def _origin(entry: PluginEntry) -> str:
    return f"{entry.distribution} {entry.version}".strip()


def _doc(plugin: type[Plugin]) -> str:
    from inspect import cleandoc

    return cleandoc(plugin.__doc__ or "no description")
