"""Command lines that cannot be read: told as every other mistake is, with what to write instead."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from incrlearn.cli.usage import Known, extra_word, misread, no_such_command, no_such_option, options_of
from incrlearn.errors import Problem, RecipeError

# Typer carries a click of its own, whose types nobody else can name; earlier versions took the one there is.
_USAGE_ERROR = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "UsageError")


class Command(TyperCommand):
    """A command that tells of what it cannot read in our words."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401
        """Read the words behind the command's name.

        Raises:
            RecipeError: with every option among them that the command does not have; or with all words that are too
                many; or with the first that is missing or not what it must be.
        """
        # Whoever asks for completion is not done yet.
        if ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        known = options_of(self.get_params(ctx))
        words = args[: args.index("--")] if "--" in args else args
        given = (word.partition("=")[0] for word in words if word.startswith("--"))
        unknown = [option for option in dict.fromkeys(given) if option not in known]
        if unknown:
            raise RecipeError(ctx.command_path, [Problem(no_such_option(option, known)) for option in unknown])
        # Or they would be refused in words of click's.
        ctx.allow_extra_args = True
        with _told(ctx, known, args):
            left = super().parse_args(ctx, list(args))
        if left:
            takes = [
                param.metavar or param.name for param in self.get_params(ctx) if param.param_type_name == "argument"
            ]
            told = [extra_word(word, ctx.command_path, takes, known) for word in left]
            raise RecipeError(ctx.command_path, [Problem(problem) for problem in dict.fromkeys(told)])
        return left


class CommandGroup(TyperGroup):
    """Several commands, of which it tells in our words that there is none of a name."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401
        """Read the options in front of the command's name.

        Raises:
            RecipeError: there is none such.
        """
        # Without a word the help is shown, which click takes for a usage error too.
        if not args or ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        with _told(ctx, options_of(self.get_params(ctx)), args, of_group=True):
            return super().parse_args(ctx, list(args))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401
        """Find the command that the first word names.

        Raises:
            RecipeError: there is none such.
        """
        if args[0] not in self.commands and not ctx.resilient_parsing:
            raise RecipeError(ctx.command_path, [Problem(no_such_command(args[0], ctx.command_path, self.commands))])
        return super().resolve_command(ctx, args)


@contextmanager
def _told(ctx: Any, known: Known, args: list[str], *, of_group: bool = False) -> Iterator[None]:  # noqa: ANN401
    """Tell what click refuses within in our words."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, _USAGE_ERROR):
            raise
        told = misread(error, ctx.command_path, known, args, of_group=of_group)
        raise RecipeError(ctx.command_path, [Problem(told)]) from error
