"""Code of plug-ins that is newer than what was trained with it: no fingerprint tells of it."""

from __future__ import annotations

import sys
from pathlib import Path

from incrlearn.engine.checkpoint import FOLDER
from incrlearn.engine.rundir import RECIPE, RESULT
from incrlearn.plugin import Plugin
from incrlearn.recipe import Recipe

_OURS = ("incrlearn", "incrlearn_plugins")
"""Packages whose changes come with a version."""


def newer_code(recipe: Recipe, run_dir: Path) -> list[Path]:
    """Files of the recipe's own plug-ins that were written to after the run was last; sorted.

    A file counts by the time of its last change, so that one that was only saved again is among them.

    Args:
        recipe: its plug-ins are loaded; those that incrlearn brings are left out.
        run_dir: a run; nothing is newer than one that was not begun.
    """
    written = _written(run_dir)
    if not written:
        return []
    last = max(path.stat().st_mtime for path in written)
    plugins = {recipe.data.plugin, *(choice.plugin for choice in recipe.plugins if choice.plugin.affects_result)}
    files = {file for plugin in plugins for file in _sources(plugin)}
    return sorted(file for file in files if file.stat().st_mtime > last)


def _written(run_dir: Path) -> list[Path]:
    """What tells when a run was last trained: its result, its checkpoints, or at least its beginning."""
    result = run_dir / RESULT
    if result.is_file():
        return [result]
    return list((run_dir / FOLDER).glob("task_*/state.pt")) or list(run_dir.glob(RECIPE))


def _sources(plugin: type[Plugin]) -> list[Path]:
    """The Python files of a plug-in's package, or the one that it lies in."""
    package = plugin.__module__.partition(".")[0]
    file = getattr(sys.modules.get(package), "__file__", None)
    if package in _OURS or file is None:
        return []
    path = Path(file)
    return sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]
