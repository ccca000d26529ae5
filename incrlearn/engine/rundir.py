"""The run directory: resolved recipe, metrics, checkpoints, result; never two runs in one."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from incrlearn.engine.checkpoint import newest_checkpoint
from incrlearn.errors import IncrlearnError, OutputError
from incrlearn.recipe import Recipe, written_from_dict
from incrlearn.recipe.shipped import STORED
from incrlearn.registry import Registry, without_folder

RECIPE = STORED
RESULT = "result.json"
_LOCK = ".lock"
_UNWRITABLE = "{}: cannot be written ({}); name another with --out"
_HELD = "{}: another process is training this run; wait for it, or stop it first"
_UNKNOWN = "unknown"
"""Stands for the code of a run that was begun when none was recorded."""
RESULT_FORMAT = 1
"""Of ``result.json``; another number where a reader of this one would misunderstand it."""


def open_run_dir(path: Path, recipe: Recipe, resume: bool) -> Recipe:
    """Make ``path`` the directory of this run, or make sure that it is.

    Returns:
        The recipe as the run has it once a task of it is finished: one that goes on with other code of its plug-ins
        has both. To resume, nothing is written yet; see `go_on_with` and `write_recipe`.

    Raises:
        OutputError: it holds another run or something else; or, to resume, no run, another recipe's or a finished one.
    """
    if resume:
        return _go_on(path, recipe)
    if path.exists() and _is_held(path):
        raise OutputError(_HELD.format(path))
    if path.exists() and not _is_empty(path):
        raise OutputError(f"{path} {_holds(path, recipe)} name another with --out")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(_UNWRITABLE.format(path, error.strerror)) from error
    write_recipe(path, recipe)
    return recipe


def _holds(path: Path, recipe: Recipe) -> str:
    """What is in a folder that this run was to begin in, and what else can be done than to name another."""
    if not path.is_dir():
        return "is a file, and no folder;"
    if not (path / RECIPE).exists():
        return "is not empty, and holds no run;"
    if not holds_run_of(path, recipe):
        return "holds another run, of another recipe, seed or options;"
    if (path / RESULT).exists():
        begun = begun_recipe(path, recipe)
        other = code_differences(begun, recipe) if begun is not None else {}
        code = f", but {words_of_code(other)}" if other else ""
        return f"holds a finished run of this recipe{code}, its numbers are in {RESULT}; to train it once more,"
    return "holds an unfinished run of this recipe; go on with it by --resume, or"


def write_recipe(path: Path, recipe: Recipe) -> None:
    """Write a recipe, resolved, into a run directory.

    Raises:
        OutputError: nothing can be written there.
    """
    try:
        write_atomically(path / RECIPE, recipe.to_yaml())
    except OSError as error:
        raise OutputError(_UNWRITABLE.format(path, error.strerror)) from error


def go_on_with(path: Path, recipe: Recipe) -> Recipe:
    """Let a stored recipe that is resumed name the files of its plug-ins where they lie now; its code stays.

    Args:
        path: the run directory.
        recipe: what `open_run_dir` gave.

    Returns:
        What is stored: the recipe as it was trained so far.

    Raises:
        OutputError: nothing can be written there.
    """
    begun = begun_recipe(path, recipe)
    stored = recipe.with_code(begun.code) if begun is not None else recipe
    write_recipe(path, stored)
    return stored


def changed_code(path: Path, recipe: Recipe) -> dict[str, str | None]:
    """What the finished tasks of a run were trained with, where a recipe has other code by now.

    Returns:
        By path, such as ``plugins.loss``, the code that the run in ``path`` had last; None where it is not known.
        Empty where no task is finished: then it is a run of the code of now.
    """
    begun = begun_recipe(path, recipe)
    if begun is None or not newest_checkpoint(path):
        return {}
    last = {place: _last(begun.code.get(place)) for place in recipe.code}
    return {place: then for place, then in last.items() if then != _last(recipe.code[place])}


def code_differences(one: Recipe, other: Recipe) -> dict[str, str | None]:
    """The code of ``one`` by path where that of ``other`` is not the same; None where it is not known."""
    paths = sorted({*one.code, *other.code})
    return {path: one.code.get(path) for path in paths if one.code.get(path) != other.code.get(path)}


def words_of_code(differences: Mapping[str, str | None]) -> str:
    """``"with other code of plugins.loss"``, or ``"with code of plugins.loss that is not known"``, or both.

    Args:
        differences: at least one, as of `code_differences`.
    """
    known = [path for path, code in differences.items() if code is not None]
    unknown = [path for path, code in differences.items() if code is None]
    words = [f"other code of {', '.join(known)}"] if known else []
    words += [f"code of {', '.join(unknown)} that is not known"] if unknown else []
    return f"with {' and '.join(words)}"


@contextmanager
def hold_run_dir(path: Path) -> Iterator[None]:
    """Keep a second process from training in the same directory; let go of it however this one ends.

    On a file system without locks nobody is kept out.

    Raises:
        OutputError: another process is at work there, or nothing can be written.
    """
    lock = FileLock(path / _LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise OutputError(_HELD.format(path)) from error
    except NotImplementedError:
        pass
    except OSError as error:
        raise OutputError(_UNWRITABLE.format(path, error.strerror)) from error
    try:
        yield
    finally:
        lock.release()


def write_result(path: Path, result: dict[str, Any]) -> None:
    """Write ``result.json``, which marks a run as finished."""
    write_atomically(path / RESULT, json.dumps(result, indent=2) + "\n")


def stored_digest(path: Path) -> str:
    """`recipe_digest` of the recipe in a run directory.

    Raises:
        OSError: it cannot be read.
    """
    return recipe_digest(yaml.safe_load(_text(path)))


def recipe_digest(stored: Mapping[str, Any]) -> str:
    """64 hexadecimal digits that tell a run's recipe from others, what is expected aside.

    Args:
        stored: the content of its ``recipe.yaml``.
    """
    kept = {key: value for key, value in stored.items() if key != "expected"}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all."""
    draft = _draft(path)
    with draft.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(path)


def _draft(path: Path) -> Path:
    """Where a file is written first; left behind where the disk was full or the process was killed."""
    return path.with_name(f".{path.name}.draft")


def _is_empty(path: Path) -> bool:
    """Whether nothing is in a folder but what a run leaves that was refused before it trained anything."""
    left = {path / RECIPE, _draft(path / RECIPE), path / _LOCK}
    return path.is_dir() and left.issuperset(path.iterdir())


def _is_held(path: Path) -> bool:
    if not (path / _LOCK).is_file():
        return False
    try:
        with FileLock(path / _LOCK).acquire(blocking=False):
            return False
    except Timeout:
        return True
    except (NotImplementedError, OSError):
        return False


def holds_run_of(path: Path, recipe: Recipe) -> bool:
    """Whether the run in a folder was begun with ``recipe``, its loggers included.

    It may lack newer options, and may have had other code.
    """
    begun = begun_recipe(path, recipe)
    return begun is not None and _comparable(begun) == _comparable(recipe)


def _go_on(path: Path, recipe: Recipe) -> Recipe:
    if not (path / RECIPE).is_file():
        raise OutputError(f"{path}: there is no run to resume (no {RECIPE})")
    if _is_whole_result(path):
        which = "this run" if holds_run_of(path, recipe) else "a run of another recipe, seed or options"
        raise OutputError(f"{path}: {which} is finished; its numbers are in {RESULT}")
    begun, mine = begun_recipe(path, recipe), _comparable(recipe)
    stored = _comparable(begun) if begun is not None else _text(path)
    if begun is not None and stored == mine:
        if not newest_checkpoint(path):
            return recipe
        changed = changed_code(path, recipe)
        return recipe.with_code(
            {
                place: f"{begun.code.get(place, _UNKNOWN)}+{now}" if place in changed else begun.code[place]
                for place, now in recipe.code.items()
            }
        )
    lines = difflib.unified_diff(stored.splitlines(), mine.splitlines(), "the run's", "this recipe", lineterm="", n=1)
    raise OutputError("\n".join([f"{path}: the run has another recipe; resume it with its own:", *lines]))


def _is_whole_result(path: Path) -> bool:
    """Whether a run has its result; one that a full disk or a copy cut off is written anew by going on."""
    try:
        return isinstance(json.loads((path / RESULT).read_text(encoding="utf-8")), dict)
    except (OSError, ValueError):
        return False


def _comparable(recipe: Recipe) -> str:
    return recipe.with_code({}).to_yaml()


def _last(code: str | None) -> str | None:
    """The code that a run went on with last."""
    return code.rpartition("+")[2] if code is not None else None


def begun_recipe(path: Path, recipe: Recipe) -> Recipe | None:
    """A run's recipe as it is read with the plug-ins of ``recipe``; None if it cannot be read so.

    Options that plug-ins have got since are at their defaults, and files are where they lie now.
    """
    try:
        plain = yaml.safe_load(_text(path))
        classes = {choice.use: choice.plugin for choice in recipe.choices}
        return written_from_dict(_moved(plain, recipe), Registry.of(classes), recipe.name)
    except (OSError, yaml.YAMLError, IncrlearnError):
        return None


def _text(path: Path) -> str:
    return (path / RECIPE).read_text(encoding="utf-8", errors="replace")


def _moved(plain: Any, recipe: Recipe) -> Any:  # noqa: ANN401 (whatever a file holds)
    """A stored recipe in which a plug-in of a file that lies in another folder now is named by where it lies."""
    if not isinstance(plain, dict):
        return plain
    plugins = plain.get("plugins")
    rows = {"data": plain.get("data")}
    rows |= {f"plugins.{key}": row for key, row in plugins.items()} if isinstance(plugins, dict) else {}
    for choice in recipe.choices:
        row = rows.get(choice.path)
        if isinstance(row, dict) and without_folder(str(row.get("use"))) == without_folder(choice.use):
            row["use"] = choice.use
    return plain
