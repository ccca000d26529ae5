"""The recipes that come with the package: where they lie and what they are called."""

from __future__ import annotations

import json
import os
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path

from incrlearn.errors import Problem, RecipeError, closest

_SUFFIX = ".yaml"
STORED = "recipe.yaml"
"""What the recipe of a run is called, below the run directory."""
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
    """What a recipe file is called: ``quick/der`` for a shipped one, else the file's name without its suffix.

    That of a finished run is called as the run was.
    """
    folder = shipped_folder()
    path = path.resolve()
    if folder is not None and path.is_relative_to(folder.resolve()):
        return path.relative_to(folder.resolve()).with_suffix("").as_posix()
    return (_name_of_run(path.parent) if path.name == STORED else None) or path.stem


def _name_of_run(folder: Path) -> str | None:
    try:
        name = json.loads((folder / "result.json").read_text(encoding="utf-8"))["recipe"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return name if isinstance(name, str) else None


def find_recipe(text: str, folder: Path | None = None) -> Path:
    """The file that ``text`` means: an existing path, else a shipped recipe such as ``der_digits`` or ``quick/der``.

    Args:
        text: a path or a name.
        folder: where a path is meant from; by default the current folder.

    Raises:
        RecipeError: neither is there.
    """
    return find_shipped(text, shipped_recipes(), "recipe", folder)


def find_shipped(text: str, shipped: Sequence[Path], noun: str, folder: Path | None = None) -> Path:
    """The file that ``text`` means: an existing path, else the one of ``shipped`` with that name.

    Args:
        text: a path or a name.
        shipped: what a name may mean.
        noun: what it is called in an error, such as ``recipe``.
        folder: where a path is meant from; by default the current folder.

    Raises:
        RecipeError: neither is there.
    """
    path = _path(text, folder)
    if path is not None and _is(Path.is_file, path):
        return path
    known = {recipe_name(file): file for file in shipped}
    name = Path(text).as_posix().removesuffix(_SUFFIX)
    if name in known:
        return known[name]
    if ".py" in text:
        raise RecipeError(text, [Problem(f"a plug-in, not a {noun}; 'incrlearn plugins {text}' shows it")])
    if path is not None and _is(Path.is_dir, path):
        what = f"a folder, not a {noun} file"
        if _is(Path.is_file, path / STORED):
            raise RecipeError(text, [Problem(f"{what}; the recipe of the run in it is {Path(text) / STORED}")])
    else:
        where = f" in {path.absolute().parent}" if path is not None else ""
        what = f"no such file{where}, and no shipped {noun} of that name"
    beside = _beside(path) if path is not None else []
    same = [file for file in beside if Path(file).stem == Path(text).stem]
    meant = same[0] if same else closest(Path(text).name, beside) or closest(name, known)
    hint = f"did you mean '{meant}'?" if meant is not None else "'incrlearn recipes' lists those that are shipped"
    raise RecipeError(text, [Problem(f"{what}; {hint}")])


def _path(text: str, folder: Path | None) -> Path | None:
    """The path that a text names; None where it can be none, as with no such user behind ~."""
    try:
        return (folder or Path()) / Path(text).expanduser()
    except RuntimeError:
        return None


def _is(question: Callable[[Path], bool], path: Path) -> bool:
    """Whether it is so; not where the name is too long, or a folder may not be entered."""
    try:
        return question(path)
    except OSError:
        return False


def _beside(path: Path) -> list[str]:
    """The YAML files of the folder that a path lies in, by name."""
    try:
        return sorted(file.name for file in path.absolute().parent.iterdir() if file.suffix in (_SUFFIX, ".yml"))
    except OSError:
        return []


def describe(path: Path) -> str:
    """The first comment line of a recipe, without its mark; empty where it does not begin with one."""
    with path.open(encoding="utf-8-sig") as stream:
        first = stream.readline().strip()
    return first.lstrip("#").strip() if first.startswith("#") else ""
