"""The run directory: resolved recipe, metrics, checkpoints, result; never two runs in one."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from incrlearn.errors import IncrlearnError, OutputError
from incrlearn.recipe import Recipe, recipe_from_dict
from incrlearn.registry import Registry

RECIPE = "recipe.yaml"
RESULT = "result.json"
_LOCK = ".lock"
_HELD = "{}: another process is training this run; wait for it, or stop it first"
RESULT_FORMAT = 1
"""Of ``result.json``; another number where a reader of this one would misunderstand it."""


def open_run_dir(path: Path, recipe: Recipe, resume: bool) -> None:
    """Make ``path`` the directory of this run, or make sure that it is.

    Raises:
        OutputError: it holds another run or something else; or, to resume, no run, another recipe's or a finished one.
    """
    if resume:
        _check_same_run(path, recipe)
        return
    if path.exists() and not _is_empty(path):
        if _is_held(path):
            raise OutputError(_HELD.format(path))
        holds = "holds another run" if (path / RECIPE).exists() else "is not empty"
        raise OutputError(f"{path} {holds}; name another with --out, or go on with an interrupted run by --resume")
    try:
        path.mkdir(parents=True, exist_ok=True)
        write_atomically(path / RECIPE, recipe.to_yaml())
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); name another with --out") from error


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
        raise OutputError(f"{path}: cannot be written ({error.strerror}); name another with --out") from error
    try:
        yield
    finally:
        lock.release()


def write_result(path: Path, result: dict[str, Any]) -> None:
    """Write ``result.json``, which marks a run as finished."""
    write_atomically(path / RESULT, json.dumps(result, indent=2) + "\n")


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
    """Whether nothing is in a folder but the draft of a recipe that never came to be one."""
    return path.is_dir() and all(child == _draft(path / RECIPE) for child in path.iterdir())


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


def _check_same_run(path: Path, recipe: Recipe) -> None:
    if not (path / RECIPE).is_file():
        raise OutputError(f"{path}: there is no run to resume (no {RECIPE})")
    if (path / RESULT).exists():
        raise OutputError(f"{path}: this run is finished; its numbers are in {RESULT}")
    if not holds_run_of(path, recipe):
        stored, mine = _as_read_now(path, recipe), recipe.to_yaml()
        lines = difflib.unified_diff(
            stored.splitlines(), mine.splitlines(), "the run's", "this recipe", lineterm="", n=1
        )
        raise OutputError("\n".join([f"{path}: the run has another recipe; resume it with its own:", *lines]))


def holds_run_of(path: Path, recipe: Recipe) -> bool:
    """Whether the run in a folder was begun with ``recipe``, its loggers included; it may lack newer options."""
    return _as_read_now(path, recipe) == recipe.to_yaml()


def _as_read_now(path: Path, recipe: Recipe) -> str:
    """A run's recipe with the options that plug-ins have got since, at their defaults; as it is if that fails."""
    stored = (path / RECIPE).read_text(encoding="utf-8", errors="replace")
    classes = {choice.use: choice.plugin for choice in recipe.plugins} | {recipe.data.use: recipe.data.plugin}
    try:
        return recipe_from_dict(yaml.safe_load(stored), Registry.of(classes), recipe.name).to_yaml()
    except (yaml.YAMLError, IncrlearnError):
        return stored
