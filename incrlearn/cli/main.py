"""``incrlearn``: the commands, and what happens to errors."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from incrlearn import __version__
from incrlearn.cli.ablate import ablate
from incrlearn.cli.catalogue import recipes, schema
from incrlearn.cli.compare import compare
from incrlearn.cli.consoles import notices_told, tell_error, tell_plugin_failure
from incrlearn.cli.inspect import check, explain
from incrlearn.cli.new_plugin import new_plugin
from incrlearn.cli.parsing import Command, CommandGroup
from incrlearn.cli.plugins import plugins_app
from incrlearn.cli.report import report
from incrlearn.cli.run import run
from incrlearn.cli.verify import verify
from incrlearn.errors import IncrlearnError, TrainingError


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and leave: 0 good, 1 a run failed, 2 wrong input, 130 interrupted.

    Args:
        arguments: without the program's name; None takes those of the process.
    """
    try:
        with notices_told():
            make_app()(args=list(arguments) if arguments is not None else None, prog_name="incrlearn")
    except IncrlearnError as error:
        tell_error(error)
        sys.exit(error.exit_code)
    except Exception as error:
        if not tell_plugin_failure(error):
            raise
        sys.exit(TrainingError.exit_code)


def make_app() -> typer.Typer:
    """The command line as an object."""
    app = typer.Typer(
        cls=CommandGroup,
        help="Class-incremental learning from plug-ins: a recipe names the parts, one loop runs them.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    for command in (run, check, explain, ablate, compare, verify, report, recipes, schema):
        app.command(cls=Command)(command)
    app.add_typer(plugins_app(), name="plugins")
    app.command("new-plugin", cls=Command)(new_plugin)
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"incrlearn {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Class-incremental learning from plug-ins: a recipe names the parts, one loop runs them."""
