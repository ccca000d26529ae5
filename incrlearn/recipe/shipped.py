"""The recipes that come with the package: where they lie and what they are called."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from incrlearn.errors import Problem, RecipeError, did_you_mean

_SUFFIX = ".yaml"
_ABLATIONS = "ablations"
"""The folder of ablation files, which are no recipes themselves."""


def shipped_folder() -> Path | None:
    """Where the recipes lie: in the checkout, or with the installed data; None where they are not installed."""
    checkout = Path(__file__).resolve().parents[2]
    candidates = [checkout / "recipes"] if (checkout / "pyproject.toml").is_file() else []
    schemes = {sysconfig.get_default_scheme(), f"{os.name}_user"} & set(sysconfig.get_scheme_names())
    installed = [Path(sysconfig.get_path("data", scheme)) for scheme in sorted(schemes)]
    candidates += [prefix / "share" / "incrlearn" / "recipes" for prefix in installed]
    return next((folder for folder in candidates if folder.is_dir()), None)


def shipped_recipes() -> tuple[Path, ...]:
    """Every shipped recipe, sorted by name."""
    return tuple(path for path in _shipped_files() if path.parent.name != _ABLATIONS)


def shipped_ablations() -> tuple[Path, ...]:
    """Every shipped ablation file, sorted by name."""
    return tuple(path for path in _shipped_files() if path.parent.name == _ABLATIONS)


def _shipped_files() -> list[Path]:
    folder = shipped_folder()
    return sorted(folder.rglob(f"*{_SUFFIX}")) if folder is not None else []


def recipe_name(path: Path) -> str:
    """What a recipe file is called: ``quick/der`` for a shipped one, else the file's name without its suffix."""
    folder = shipped_folder()
    path = path.resolve()
    if folder is not None and path.is_relative_to(folder.resolve()):
        return path.relative_to(folder.resolve()).with_suffix("").as_posix()
    return path.stem


def find_recipe(text: str) -> Path:
    """The file that ``text`` means: an existing path, else a shipped recipe such as ``der_digits`` or ``quick/der``.

    Raises:
        RecipeError: neither is there.
    """
    return find_shipped(text, shipped_recipes(), "recipe")


def find_shipped(text: str, shipped: Sequence[Path], noun: str) -> Path:
    """The file that ``text`` means: an existing path, else the one of ``shipped`` with that name.

    Args:
        text: a path or a name.
        shipped: what a name may mean.
        noun: what it is called in an error, such as ``recipe``.

    Raises:
        RecipeError: neither is there.
    """
    path = existing_file(text, Path())
    if path is not None:
        return path
    known = {recipe_name(file): file for file in shipped}
    name = Path(text).as_posix().removesuffix(_SUFFIX)
    if name in known:
        return known[name]
    what = f"a folder, not a {noun} file" if _is_folder(text) else f"no such file, and no shipped {noun} of that name"
    close = did_you_mean(name, known)
    hint = close if "did you mean" in close else "; 'incrlearn recipes' lists those that are shipped"
    raise RecipeError(text, [Problem(what + hint)])


def existing_file(text: str, folder: Path) -> Path | None:
    """The file that ``text`` names, seen from ``folder``; None where there is none, or it can be no file's name."""
    try:
        path = folder / Path(text).expanduser()
        return path if path.is_file() else None
    # No such user behind ~; a name that is too long, a folder that may not be entered.
    except (RuntimeError, OSError):
        return None


def _is_folder(text: str) -> bool:
    try:
        return Path(text).expanduser().is_dir()
    except (RuntimeError, OSError):
        return False


def describe(path: Path) -> str:
    """The first comment line of a recipe, without its mark; empty where it does not begin with one."""
    with path.open(encoding="utf-8-sig") as stream:
        first = stream.readline().strip()
    return first.lstrip("#").strip() if first.startswith("#") else ""
