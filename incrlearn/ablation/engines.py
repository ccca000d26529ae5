"""From ``--on`` and ``--jobs`` to an executor."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from incrlearn.ablation.executors.base import Executor
from incrlearn.errors import DeviceError, did_you_mean

ENGINES = ("here", "ray", "slurm")
_MODULES = {"ray": "ray", "slurm": "submitit"}


def make_executor(
    on: str, jobs: int | None, device: str, resources: Mapping[str, Any], folder: Path, waiting: int
) -> Executor:
    """The executor that is meant.

    Args:
        on: ``here``, ``ray``, ``ray://host:port`` or ``slurm``.
        jobs: runs side by side; None: one here, elsewhere what the engine has room for.
        device: as on the command line; only ``here`` looks at it, engines give each run its own.
        resources: what a run asks an engine for.
        folder: for an engine's own files.
        waiting: how many runs there are to train.

    Raises:
        DeviceError: there is no such engine, or its package is not installed, or it does not take these resources.
    """
    engine = on.partition(":")[0]
    check_engine(on, resources, device)
    if engine == "here":
        return _here(jobs or 1, device)
    try:
        if engine == "ray":
            from incrlearn.ablation.executors.ray import Ray

            return Ray(on if "://" in on else None, jobs, resources)
        from incrlearn.ablation.executors.slurm import Slurm

        return Slurm(folder, jobs, resources, waiting)
    # Each engine has its own errors for an address nobody answers at and for parameters it does not know.
    except Exception as error:
        raise DeviceError(f"--on {on}: {type(error).__name__}: {error}") from error


def check_engine(on: str, resources: Mapping[str, Any], device: str) -> None:
    """Make sure, without starting anything, that an engine is there.

    Raises:
        DeviceError: it is not.
    """
    engine = on.partition(":")[0]
    if engine not in ENGINES or (engine != on and not on.startswith("ray://")):
        raise DeviceError(f"--on {on}: no such engine{did_you_mean(engine, ENGINES)}; a Ray cluster is ray://host:port")
    if engine == "here" and resources:
        raise DeviceError("--resource goes with --on ray or --on slurm; here, --jobs and --device say it all")
    if engine != "here" and device != "auto":
        raise DeviceError(f"--device goes with --on here; {engine} gives each run its own, by --resource")
    if engine in _MODULES and find_spec(_MODULES[engine]) is None:
        raise DeviceError(f"--on {on}: {_MODULES[engine]} is not installed; pip install 'incrlearn[{engine}]'")


def _here(jobs: int, device: str) -> Executor:
    if jobs == 1:
        from incrlearn.ablation.executors.here import Here

        return Here(device)
    from incrlearn.ablation.executors.processes import Processes, share_devices

    return Processes(share_devices(device, jobs))
