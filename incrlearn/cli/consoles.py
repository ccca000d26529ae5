"""Where text goes: coloured on a terminal, plain anywhere else."""

from __future__ import annotations

import re
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from rich.console import Console
from rich.text import Text

from incrlearn.errors import Deprecation, IncrlearnError, RecipeNotice

_TRAILING = re.compile(r" +(?=\n)")


def output_console() -> Console:
    """Standard output; where it is no terminal, without any escape code and without padding at the ends of lines."""
    if sys.stdout.isatty():
        return Console()
    return Console(file=cast(TextIO, _WithoutTrailingBlanks(sys.stdout)), force_terminal=False, color_system=None)


def say(console: Console, text: str) -> None:
    """Print text as it is: no markup, no wrapping."""
    console.print(Text(text), soft_wrap=True)


class _WithoutTrailingBlanks:
    """A stream into another one; blanks at the ends of lines, with which tables are padded, are left out."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write whole lines."""
        self._stream.write(_TRAILING.sub("", text))
        return len(text)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (whatever a stream has)
        return getattr(self._stream, name)


@contextmanager
def notices_told() -> Iterator[None]:
    """Tell every `Deprecation` and `RecipeNotice` that is warned of within in one line on standard error, each once."""
    told: set[str] = set()
    with warnings.catch_warnings():
        others = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if not issubclass(category, Deprecation | RecipeNotice):
                others(message, category, filename, lineno, file, line)
                return
            text = f"{filename}, line {lineno}: {message}" if lineno else f"{filename}: {message}"
            if text not in told:
                told.add(text)
                _tell("notice: ", "bold yellow", text)

        for told_here in (Deprecation, RecipeNotice):
            warnings.simplefilter("always", told_here)
        warnings.showwarning = show
        yield


def tell_error(error: IncrlearnError) -> None:
    """Print an error, with its notes, on standard error."""
    _tell("error: ", "bold red", _with_notes(str(error), error))


def tell_plugin_failure(error: Exception) -> bool:
    """Print what a plug-in raised that is no error of incrlearn's: its own frames, then who, which hook, which task.

    Returns:
        Whether it came from a plug-in; nothing is printed where it did not.
    """
    # Imports torch, which is there already wherever a plug-in was called.
    from incrlearn.blame import own_frames

    frames = own_frames(error)
    if frames is None:
        return False
    sys.stderr.write("".join(["Traceback of the plug-in (most recent call last):\n", *traceback.format_tb(frames)]))
    _tell("error: ", "bold red", _with_notes(f"{type(error).__name__}: {error}", error))
    return True


def _with_notes(text: str, error: Exception) -> str:
    return "\n".join([text, *(f"  {note}" for note in getattr(error, "__notes__", []))])


def _tell(what: str, style: str, text: str) -> None:
    console = Console(stderr=True) if sys.stderr.isatty() else Console(stderr=True, color_system=None)
    console.print(Text(what, style=style).append(text, style="not bold default"), soft_wrap=True)
