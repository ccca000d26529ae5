"""The recipes that come with the package: where they lie and what they are called."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

from incrlearn.errors import Problem, RecipeError, did_you_mean

_SUFFIX = ".yaml"


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
    folder = shipped_folder()
    return tuple(sorted(folder.rglob(f"*{_SUFFIX}"))) if folder is not None else ()


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
    path = Path(text).expanduser()
    if path.is_file():
        return path
    known = {recipe_name(recipe): recipe for recipe in shipped_recipes()}
    name = Path(text).as_posix().removesuffix(_SUFFIX)
    if name in known:
        return known[name]
    what = "a folder, not a recipe file" if path.is_dir() else "no such file, and no shipped recipe of that name"
    close = did_you_mean(name, known)
    hint = close if "did you mean" in close else "; 'incrlearn recipes' lists those that are shipped"
    raise RecipeError(text, [Problem(what + hint)])


def describe(path: Path) -> str:
    """The first comment line of a recipe, without its mark; empty where it does not begin with one."""
    with path.open(encoding="utf-8") as stream:
        first = stream.readline().strip()
    return first.lstrip("#").strip() if first.startswith("#") else ""
