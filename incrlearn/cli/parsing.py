"""Words on the command line that no command knows: told with what to write instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from typer.core import TyperCommand

from incrlearn.errors import Problem, RecipeError, closest


class KnownOptions(TyperCommand):
    """A command that tells of all options it does not have, and what to write instead."""

    # Typer carries a click of its own, whose types nobody else can name.
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401
        """Read the words behind the command's name.

        Raises:
            RecipeError: with every option among them that the command does not have.
        """
        known = {
            option: parameter for parameter in self.get_params(ctx) for option in parameter.opts if option[0] == "-"
        }
        words = args[: args.index("--")] if "--" in args else args
        given = (word.partition("=")[0] for word in words if word.startswith("--"))
        unknown = [option for option in dict.fromkeys(given) if option not in known]
        if unknown:
            raise RecipeError(ctx.command_path, [Problem(_no_such_option(option, known)) for option in unknown])
        return super().parse_args(ctx, args)


def _no_such_option(option: str, known: Mapping[str, Any]) -> str:
    # Without the dashes, which would make short words look alike.
    words = [word.removeprefix("--") for word in known]
    near = closest(option.removeprefix("--"), words)
    if near is not None:
        return f"{option}: no such option; did you mean '--{near}'?"
    if (setting := known.get("--set")) is not None:
        return f"{option}: no such option; settings are given as --set {setting.metavar}"
    return f"{option}: no such option; known: {', '.join(sorted(known))}"
