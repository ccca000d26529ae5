"""incrlearn: class-incremental learning from plug-ins. This module is the public surface, loaded on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from incrlearn.engine.load import load_network
    from incrlearn.engine.run import Result, run_recipe
    from incrlearn.errors import (
        DataError,
        Deprecation,
        DeviceError,
        IncrlearnError,
        OutputError,
        PluginError,
        RecipeError,
        RecipeNotice,
        TrainingError,
    )
    from incrlearn.hooks import MakeBackbone, Row, hookimpl
    from incrlearn.plugin import Plugin
    from incrlearn.recipe import Recipe, load_recipe
    from incrlearn.registry import Registry
    from incrlearn.rng import make_generator
    from incrlearn.types import (
        Batch,
        HeldOut,
        LossTerm,
        Network,
        Output,
        Passes,
        Phase,
        RunState,
        Samples,
        Task,
        TaskPasses,
        Teacher,
    )

__all__ = [
    "Batch",
    "DataError",
    "Deprecation",
    "DeviceError",
    "HeldOut",
    "IncrlearnError",
    "LossTerm",
    "MakeBackbone",
    "Network",
    "Output",
    "OutputError",
    "Passes",
    "Phase",
    "Plugin",
    "PluginError",
    "Recipe",
    "RecipeError",
    "RecipeNotice",
    "Registry",
    "Result",
    "Row",
    "RunState",
    "Samples",
    "Task",
    "TaskPasses",
    "Teacher",
    "TrainingError",
    "__version__",
    "hookimpl",
    "load_network",
    "load_recipe",
    "make_generator",
    "run_recipe",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Load a public name on first use, so that `incrlearn --help` need not wait for torch."""
    homes = {
        "incrlearn.types": {
            "Batch",
            "HeldOut",
            "LossTerm",
            "Network",
            "Output",
            "Passes",
            "Phase",
            "RunState",
            "Samples",
            "Task",
            "TaskPasses",
            "Teacher",
        },
        "incrlearn.hooks": {"MakeBackbone", "Row", "hookimpl"},
        "incrlearn.plugin": {"Plugin"},
        "incrlearn.registry": {"Registry"},
        "incrlearn.recipe": {"Recipe", "load_recipe"},
        "incrlearn.rng": {"make_generator"},
        "incrlearn.engine.run": {"Result", "run_recipe"},
        "incrlearn.engine.load": {"load_network"},
    }
    for module, names in homes.items():
        if name in names:
            return getattr(import_module(module), name)
    if name in __all__:
        return getattr(import_module("incrlearn.errors"), name)
    raise AttributeError(f"module 'incrlearn' has no attribute '{name}'")
