"""Trained networks, built again from a run directory."""

from __future__ import annotations

from pathlib import Path

import torch

from incrlearn.engine.assemble import backbone_shapes, make_calls
from incrlearn.engine.checkpoint import newest_checkpoint, read_checkpoint, restore_network, tasks_from_counts
from incrlearn.engine.rundir import RECIPE
from incrlearn.engine.runtime import resolve_device
from incrlearn.errors import OutputError
from incrlearn.recipe import load_written
from incrlearn.registry import Registry
from incrlearn.types import Network, RunState


def load_network(
    run_dir: Path | str, task: int | None = None, device: str | torch.device = "cpu", registry: Registry | None = None
) -> Network:
    """The trained network of a run, in eval mode, built from its checkpoints alone; no data is needed.

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
    recipe = load_written(run_dir / RECIPE, registry if registry is not None else Registry.discover())
    checkpoint = read_checkpoint(run_dir, task if task is not None else newest_checkpoint(run_dir))
    progress = checkpoint.progress
    channels, height, width = progress.image_shape
    task_now = tasks_from_counts(progress.classes)[-1]
    state = RunState(recipe.seed, resolve_device(device), task_now, (channels, height, width))
    restore_network(run_dir, checkpoint, make_calls(recipe), backbone_shapes(recipe, channels), state)
    return state.network.to(state.device).eval()
