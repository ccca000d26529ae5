"""Where text goes: coloured on a terminal, plain anywhere else."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.text import Text

from incrlearn.errors import IncrlearnError


def output_console() -> Console:
    """Standard output; without any escape code where it is no terminal."""
    if sys.stdout.isatty():
        return Console()
    return Console(force_terminal=False, color_system=None)


def say(console: Console, text: str) -> None:
    """Print text as it is: no markup, no wrapping."""
    console.print(Text(text), soft_wrap=True)


def tell_error(error: IncrlearnError) -> None:
    """Print an error, with its notes, on standard error."""
    console = Console(stderr=True) if sys.stderr.isatty() else Console(stderr=True, color_system=None)
    notes = [f"  {note}" for note in getattr(error, "__notes__", [])]
    text = Text("error: ", style="bold red")
    console.print(text.append("\n".join([str(error), *notes]), style="not bold default"), soft_wrap=True)
