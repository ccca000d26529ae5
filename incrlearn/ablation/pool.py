"""Where the runs of all ablations lie, each once, and how far they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from incrlearn.ablation.grid import Cell
from incrlearn.ablation.table import DONE, INTERRUPTED, NOT_RUN
from incrlearn.engine.checkpoint import newest_checkpoint
from incrlearn.engine.record import RunRecord, is_finished, is_run, read_record
from incrlearn.engine.rundir import RECIPE, RESULT
from incrlearn.errors import IncrlearnError, OutputError
from incrlearn.recipe import Recipe, load_written
from incrlearn.registry import Registry


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
        self._any_code = any_code
        self._found: _Found | None = None

    def run_dir(self, cell: Cell) -> Path:
        """Where a run lies, or will lie."""
        other = self.of_other_code(cell) if self._any_code else None
        return self._own(cell) or other or self.folder / cell.recipe.fingerprint

    def of_other_code(self, cell: Cell) -> Path | None:
        """A finished run that differs in the code of its plug-ins alone, where there is none that does not."""
        if not cell.recipe.code or self._own(cell) is not None:
            return None
        return self._look().any_code.get(_without_code(cell.recipe))

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
        self._found = _Found({}, {})
        folders = [recipe.parent for recipe in sorted(self.folder.glob(f"*/{RECIPE}"))]
        runs = [folder for folder in folders if re.fullmatch("[0-9a-f]{12}", folder.name)]
        for run_dir in sorted(runs, key=_finished_at, reverse=True):
            try:
                recipe = load_written(run_dir / RECIPE, self._registry)
            # Of plug-ins that are not here, or with options that are no more: nobody asks for it now.
            except IncrlearnError:
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


def _finished_at(run_dir: Path) -> float:
    """When a run came to its end, in seconds; 0 where it did not yet."""
    return (run_dir / RESULT).stat().st_mtime if is_finished(run_dir) else 0.0


def _without_code(recipe: Recipe) -> str:
    return recipe.with_code({}).fingerprint
