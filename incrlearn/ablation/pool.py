"""Where the runs of all ablations lie, each once, and how far they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from incrlearn.ablation.grid import Cell
from incrlearn.ablation.table import DONE, INTERRUPTED, NOT_RUN
from incrlearn.engine.checkpoint import newest_checkpoint
from incrlearn.engine.record import RunRecord, is_finished, is_run, read_record
from incrlearn.engine.rundir import RECIPE
from incrlearn.errors import IncrlearnError, OutputError
from incrlearn.recipe import load_written
from incrlearn.registry import Registry


class Pool:
    """A folder of runs, each in a directory named by the fingerprint of its recipe.

    A run that was begun before its plug-ins had some of their options bears the fingerprint of then. It counts as the
    run of what its recipe comes to now, those options at their defaults. Folders of other names, such as one that was
    moved out of the way, are no part of the pool.
    """

    def __init__(self, folder: Path, registry: Registry) -> None:
        """Look into ``folder``, which need not be there yet, with the plug-ins of ``registry``."""
        self.folder = folder
        self._registry = registry
        self._earlier: dict[str, Path] | None = None

    def run_dir(self, cell: Cell) -> Path:
        """Where a run lies, or will lie."""
        fingerprint = cell.recipe.fingerprint
        own = self.folder / fingerprint
        return own if is_run(own) else self._runs_of_earlier_versions().get(fingerprint, own)

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
            if record.fingerprint != run_dir.name:
                problems.append(f"{run_dir}: holds the run of recipe {record.fingerprint}; move it away")
                continue
            records[cell.key] = record
        if problems:
            raise OutputError("\n".join(problems))
        return records

    def _runs_of_earlier_versions(self) -> dict[str, Path]:
        """Runs by the fingerprint that their recipe has now, where that is not their name; finished ones first."""
        if self._earlier is None:
            folders = [recipe.parent for recipe in sorted(self.folder.glob(f"*/{RECIPE}"))]
            runs = [folder for folder in folders if re.fullmatch("[0-9a-f]{12}", folder.name)]
            self._earlier = {}
            for run_dir in sorted(runs, key=is_finished, reverse=True):
                try:
                    fingerprint = load_written(run_dir / RECIPE, self._registry).fingerprint
                # Of plug-ins that are not here, or with options that are no more: nobody asks for it now.
                except IncrlearnError:
                    continue
                if fingerprint != run_dir.name:
                    self._earlier.setdefault(fingerprint, run_dir)
        return self._earlier
