"""What can go wrong, by whose doing it is: each error carries the exit code of the command line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches


class IncrlearnError(Exception):
    """Base of all errors that a user is meant to read; never shown with a traceback."""

    exit_code = 2


@dataclass(frozen=True)
class Problem:
    """One mistake in a recipe: what is wrong, where, and (in the text) what to write instead."""

    message: str
    line: int | None = None
    """Line in the file, from 1; None where no single line is to blame."""

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}" if self.line is not None else self.message


class RecipeError(IncrlearnError):
    """A recipe that cannot be run; holds every problem found, not only the first."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(sorted(problems, key=lambda p: (p.line is None, p.line or 0)))
        count = len(self.problems)
        title = f"{source}: {count} problem{'s' if count != 1 else ''}"
        super().__init__("\n".join([title, *(f"  {problem}" for problem in self.problems)]))


class PluginError(IncrlearnError):
    """A plug-in that cannot be found, loaded or registered."""


class DataError(IncrlearnError):
    """Data that is missing, unreadable or not what the recipe asks for."""


class DeviceError(IncrlearnError):
    """A device that this machine does not have."""


class OutputError(IncrlearnError):
    """A run directory or checkpoint that cannot be used for what was asked."""


class TrainingError(IncrlearnError):
    """A run that started and failed, such as a loss that is no longer finite."""

    exit_code = 1


class Deprecation(FutureWarning):
    """Something that still works and will not for long: told to whoever uses it, with what to write instead."""


class RecipeNotice(UserWarning):
    """Something in a recipe that is allowed and may not be what was meant: told once, and nothing is refused."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of an error message: ``"; did you mean 'x'?"``, or the known words where none is close, or ``""``."""
    choices = sorted(set(known))
    close = closest(word, choices)
    if close is not None:
        return f"; did you mean '{close}'?"
    return f"; known: {', '.join(choices)}" if choices else ""


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that ``word`` may be a misspelling of; None where none is close."""
    return next(iter(get_close_matches(word, sorted(set(known)), n=1, cutoff=0.6)), None)
