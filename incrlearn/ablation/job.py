"""One run of an ablation, told in plain values, so that any process on any machine can train it."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incrlearn.errors import IncrlearnError, OutputError, PluginError

if TYPE_CHECKING:
    from incrlearn.recipe import Recipe
    from incrlearn.registry import Registry

TRACEBACK = "traceback.txt"
"""Below the run directory: where an error came from that is no user's mistake."""


@dataclass(frozen=True)
class Job:
    """What to train and where; holds nothing but plain values."""

    run_dir: str
    """Absolute, on a disk that every worker sees."""
    name: str
    """What the recipe is called."""
    recipe: dict[str, Any]
    """Resolved."""
    fingerprint: str
    data: str | None
    """Where data sets lie; None: INCRLEARN_DATA, then ./data."""
    device: str
    """As on the command line."""
    threads: int | None = None
    """CPU threads; None: torch's own choice."""


@dataclass(frozen=True)
class Outcome:
    """How a job ended."""

    error: str | None = None
    """What went wrong; None: nothing."""


def train(job: Job) -> Outcome:
    """Train a job's run, or go on with it from its last finished task; a finished one is left as it is.

    Raises nothing but what stops the whole process, such as an interrupt.
    """
    try:
        _train(job)
    except IncrlearnError as error:
        return Outcome(_with_notes(error))
    except (Exception, SystemExit) as error:
        # A plug-in's own mistake: its author needs the way there, the table only a line.
        where = _keep_traceback(Path(job.run_dir))
        return Outcome(f"{type(error).__name__}: {_with_notes(error)}{where}")
    return Outcome()


def _train(job: Job) -> None:
    import torch

    from incrlearn.engine.record import is_finished, is_run
    from incrlearn.engine.run import run_recipe
    from incrlearn.registry import Registry

    if job.threads is not None:
        torch.set_num_threads(job.threads)
    run_dir = Path(job.run_dir)
    if is_finished(run_dir):
        return
    resume = is_run(run_dir)
    if run_dir.is_dir():
        (run_dir / TRACEBACK).unlink(missing_ok=True)  # of an earlier try
    recipe = read_job_recipe(job, Registry.discover())
    run_recipe(
        _as_begun(recipe, run_dir) if resume else recipe,
        run_dir,
        data=Path(job.data) if job.data is not None else None,
        device=job.device,
        resume=resume,
    )


def read_job_recipe(job: Job, registry: Registry) -> Recipe:
    """The job's recipe as a worker has to see it.

    Raises:
        RecipeError: it is not valid here, for want of a plug-in for example.
        PluginError: the plug-ins installed here make another recipe of it.
    """
    from incrlearn.recipe import recipe_from_dict

    recipe = recipe_from_dict(job.recipe, registry, job.name)
    if recipe.fingerprint == job.fingerprint:
        return recipe
    then, now = job.recipe.get("code", {}), recipe.code
    changed = [path for path in sorted({*then, *now}) if then.get(path) != now.get(path)]
    if changed:
        raise PluginError(
            f"the code of {', '.join(changed)} is not what it was when the ablation was begun: "
            "put the file back, or run the ablation again, which trains changed code anew"
        )
    raise PluginError(
        f"the recipe is {recipe.fingerprint} here and {job.fingerprint} where the ablation was begun: "
        "its plug-ins must be the same in both places; install the same versions, or run the ablation again"
    )


def _as_begun(recipe: Recipe, run_dir: Path) -> Recipe:
    """The recipe as an interrupted run has it: it goes on with its own loggers.

    Raises:
        OutputError: the directory holds another recipe's run.
    """
    from incrlearn.engine.rundir import begun_recipe

    begun = begun_recipe(run_dir, recipe)
    if begun is None or begun.fingerprint != recipe.fingerprint:
        which = f"of another recipe ({begun.fingerprint})" if begun is not None else "that cannot be read"
        raise OutputError(f"{run_dir}: holds an unfinished run {which}, perhaps of another version; move it away")
    return begun


def _with_notes(error: BaseException) -> str:
    return "; ".join([str(error), *getattr(error, "__notes__", [])])


def _keep_traceback(run_dir: Path) -> str:
    path = run_dir / TRACEBACK
    try:
        path.write_text(traceback.format_exc(), encoding="utf-8")
    except OSError:
        return ""
    return f" (where: {path})"
