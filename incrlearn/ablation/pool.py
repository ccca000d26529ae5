"""Where the runs of all ablations lie, each once, and how far they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from incrlearn.ablation.grid import Cell
from incrlearn.ablation.table import DONE, INTERRUPTED, NOT_RUN
from incrlearn.engine.checkpoint import newest_checkpoint
from incrlearn.engine.record import RunRecord, is_finished, is_run, read_record
from incrlearn.engine.rundir import RECIPE, RESULT, begun_recipe
from incrlearn.errors import IncrlearnError, OutputError
from incrlearn.recipe import Recipe, load_written
from incrlearn.registry import Registry, is_local, without_folder

_Outline: TypeAlias = tuple[str, tuple[str, ...]]
"""See `_outline`."""


class Pool:
    """A folder of runs, each in a directory named by the fingerprint of its recipe.

    A run that was begun before its plug-ins had some of their options bears the fingerprint of then. It counts as the
    run of what its recipe comes to now, those options at their defaults. Folders of other names, such as one that was
    moved out of the way, are no part of the pool.
    """

    def __init__(self, folder: Path, registry: Registry, any_code: bool = False) -> None:
        """Look into a folder.

        Args:
            folder: need not be there yet.
            registry: the plug-ins there are.
            any_code: finished runs count whatever code of plug-ins they were trained with.
        """
        self.folder = folder
        self._registry = registry
        self.any_code = any_code
        self._found: _Found | None = None

    def run_dir(self, cell: Cell) -> Path:
        """Where a run lies, or will lie."""
        other = self.of_other_code(cell) if self.any_code else None
        return other or self._own(cell) or self.folder / cell.recipe.fingerprint

    def of_other_code(self, cell: Cell) -> Path | None:
        """A finished run that differs in the code of its plug-ins alone, where no finished one does not."""
        if not cell.recipe.code:
            return None
        own = self._own(cell)
        if own is not None and is_finished(own):
            return None
        wanted = _without_code(cell.recipe)
        found = self._look()
        if wanted in found.any_code:
            return found.any_code[wanted]
        for run_dir in found.moved.get(_outline(cell.recipe.resolved()), ()):
            begun = begun_recipe(run_dir, cell.recipe)
            if begun is not None and _without_code(begun) == wanted:
                return run_dir
        return None

    def _own(self, cell: Cell) -> Path | None:
        """The run of this very recipe, if it was begun."""
        own = self.folder / cell.recipe.fingerprint
        return own if is_run(own) else self._look().earlier.get(cell.recipe.fingerprint)

    def state(self, cell: Cell) -> str:
        """``done``, ``interrupted`` or ``not run``."""
        run_dir = self.run_dir(cell)
        return DONE if is_finished(run_dir) else INTERRUPTED if is_run(run_dir) else NOT_RUN

    def tasks_done(self, cell: Cell) -> int:
        """How many tasks of a run are finished."""
        return newest_checkpoint(self.run_dir(cell))

    def finished(self, cells: Sequence[Cell]) -> dict[tuple[str, int], RunRecord]:
        """The finished runs among ``cells``, by variant and seed.

        Raises:
            OutputError: for all that cannot be used: damaged, of another version's format, of another recipe.
        """
        records, problems = {}, []
        for cell in cells:
            run_dir = self.run_dir(cell)
            if not is_finished(run_dir):
                continue
            try:
                record = read_record(run_dir)
            except OutputError as error:
                problems.append(f"{error} (nothing was changed; move the folder away, or name another pool with --out)")
                continue
            # A run of an earlier version that was gone on with has the fingerprint of now.
            if record.fingerprint not in (run_dir.name, cell.recipe.fingerprint):
                problems.append(f"{run_dir}: holds the run of recipe {record.fingerprint}; move it away")
                continue
            records[cell.key] = record
        if problems:
            raise OutputError("\n".join(problems))
        return records

    def _look(self) -> _Found:
        """Read the recipes of all runs, once."""
        if self._found is not None:
            return self._found
        self._found = _Found({}, {}, {})
        folders = [recipe.parent for recipe in sorted(self.folder.glob(f"*/{RECIPE}"))]
        runs = [folder for folder in folders if re.fullmatch("[0-9a-f]{12}", folder.name)]
        for run_dir in sorted(runs, key=_finished_at, reverse=True):
            try:
                recipe = load_written(run_dir / RECIPE, self._registry)
            # Of plug-ins that are not here, or not where they were, or with options that are no more.
            except IncrlearnError:
                if is_finished(run_dir) and (outline := _outline(_plain(run_dir))) is not None:
                    self._found.moved.setdefault(outline, []).append(run_dir)
                continue
            if recipe.fingerprint != run_dir.name:
                self._found.earlier.setdefault(recipe.fingerprint, run_dir)
            if is_finished(run_dir):
                self._found.any_code.setdefault(_without_code(recipe), run_dir)
        return self._found


@dataclass(frozen=True)
class _Found:
    """Runs that do not lie under the fingerprint that is asked for; those finished last come first."""

    earlier: dict[str, Path]
    """By the fingerprint that their recipe has now, where that is not their name."""
    any_code: dict[str, Path]
    """Finished ones by their recipe without its code."""
    moved: dict[_Outline | None, list[Path]]
    """Finished ones that cannot be read with the files where they lay, by their `_outline`."""


def _finished_at(run_dir: Path) -> float:
    """When a run came to its end, in seconds; 0 where it did not yet."""
    return (run_dir / RESULT).stat().st_mtime if is_finished(run_dir) else 0.0


def _without_code(recipe: Recipe) -> str:
    """The fingerprint without the code, and without the folders that plug-ins of files lie in."""
    rows = [choice for choice in recipe.choices if choice.plugin.affects_result and is_local(choice.use)]
    return recipe.with_code({choice.path: "any" for choice in rows}).fingerprint


def _plain(run_dir: Path) -> Any:  # noqa: ANN401 (whatever a file holds)
    try:
        return yaml.safe_load((run_dir / RECIPE).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None


def _outline(plain: Any) -> _Outline | None:  # noqa: ANN401 (whatever a file holds)
    """Seed and plug-ins of a written recipe: little enough to be told without the plug-ins; None where it is none."""
    try:
        rows = [plain["data"], *plain["plugins"].values()]
        return str(plain["seed"]), tuple(without_folder(row["use"]) for row in rows)
    except (TypeError, KeyError, AttributeError):
        return None
