"""Trained networks, built again from a run directory."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from incrlearn.engine.assemble import backbone_shapes, make_calls
from incrlearn.engine.checkpoint import newest_checkpoint, read_checkpoint, restore_network, tasks_from_counts
from incrlearn.engine.rundir import RECIPE
from incrlearn.engine.runtime import resolve_device
from incrlearn.errors import OutputError, RecipeNotice
from incrlearn.recipe import Recipe, load_written
from incrlearn.registry import Registry
from incrlearn.types import Network, RunState

_MADE_OF = frozenset({"network", "head"})
"""Kinds of plug-ins whose code a trained network still runs."""


def load_network(
    run_dir: Path | str, task: int | None = None, device: str | torch.device = "cpu", registry: Registry | None = None
) -> Network:
    """The trained network of a run, in eval mode, built from its checkpoints alone; no data is needed.

    A network or head whose code has changed since is told by a `RecipeNotice`: what it computes may be something else.

    Args:
        run_dir: the folder of a run.
        task: number of the task, from 1; by default the last one finished.
        device: where to put it, as on the command line, or torch's own object.
        registry: where the run's plug-ins are looked up; by default among those installed.

    Raises:
        OutputError: there is no run, no such checkpoint, or it is damaged.
        RecipeError, PluginError: a plug-in of the run is not installed here.
    """
    run_dir = Path(run_dir)
    if not (run_dir / RECIPE).is_file():
        raise OutputError(f"{run_dir}: not the directory of a run (no {RECIPE})")
    registry = registry if registry is not None else Registry.discover()
    recipe = load_written(run_dir / RECIPE, registry)
    _tell_of_changed_code(run_dir, recipe, registry)
    checkpoint = read_checkpoint(run_dir, task if task is not None else newest_checkpoint(run_dir))
    progress = checkpoint.progress
    channels, height, width = progress.image_shape
    task_now = tasks_from_counts(progress.classes)[-1]
    state = RunState(recipe.seed, resolve_device(device), task_now, (channels, height, width))
    restore_network(run_dir, checkpoint, make_calls(recipe), backbone_shapes(recipe, channels), state)
    return state.network.to(state.device).eval()


def _tell_of_changed_code(run_dir: Path, recipe: Recipe, registry: Registry) -> None:
    for choice in recipe.plugins:
        if choice.plugin.kind not in _MADE_OF or choice.code is None:
            continue
        now = registry.code_of(choice.use, choice.plugin)
        if now != choice.code.rpartition("+")[2]:
            message = f"{run_dir}: the code of {choice.path} ({choice.use}) has changed since the network was trained"
            warnings.warn(message, RecipeNotice, stacklevel=3)
