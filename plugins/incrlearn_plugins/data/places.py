"""Where a data set lies that is not where it was looked for: the data root is often named a folder too deep."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path

_MOST_NAMES = 20


def other_root(root: Path, is_in: Callable[[Path], bool]) -> Path | None:
    """The data root that was meant: the folder above the one that was given, or one right below it.

    Args:
        root: that was given; may not be there.
        is_in: tells whether the data set lies in a folder.

    Returns:
        As one would type it from the current folder; None where the data set is in none of them.
    """
    above = dict.fromkeys([root.absolute().parent, root.resolve().parent])
    found = next((folder for folder in (*above, *_folders(root)) if is_in(folder)), None)
    if found is None:
        return None
    here = Path.cwd()
    return found.relative_to(here) if found.is_relative_to(here) else found


def lies_elsewhere(name: str, root: Path, found: Path) -> str:
    """That a data set is not in the root that was given, and which one to write.

    Args:
        name: of the data set, or of its folder.
        root: that was given.
        found: where it lies, see `other_root`.
    """
    return f"{name} does not lie in {root}, but in {found}: write --data {found}, or set INCRLEARN_DATA to it"


def no_such_folder(name: str, root: Path) -> str:
    """That a folder is not in a root, and which ones are; a name much like it is asked for."""
    names = [folder.name for folder in _folders(root)]
    near = get_close_matches(name, names, n=1)
    question = f"did you mean '{near[0]}'? " if near else ""
    shown = ", ".join([*names[:_MOST_NAMES], *(["..."] if len(names) > _MOST_NAMES else [])])
    return f"{root / name}: no such folder; {question}there {'are' if names else 'is no folder'} {shown}".rstrip()


def has_splits(folder: Path, tests: Iterable[str] = ("test", "val")) -> bool:
    """Whether a folder holds ``train/`` and a folder of ``tests``."""
    return (folder / "train").is_dir() and any((folder / name).is_dir() for name in tests)


def _folders(root: Path) -> list[Path]:
    try:
        return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return []
