"""Every shipped recipe trains: its plug-ins as they are, on six synthetic classes, a few batches a task."""

import math
from pathlib import Path
from typing import Any

import pytest

from incrlearn import Registry, load_recipe, run_recipe
from incrlearn.recipe import recipe_from_dict, shipped_recipes
from incrlearn.recipe.shipped import recipe_name
from incrlearn.testing import SyntheticData

REGISTRY = Registry.of({"synthetic": SyntheticData})
RECIPES = {recipe_name(path): path for path in shipped_recipes()}
SHORT: dict[str, Any] = {"epochs": 1, "milestones": [], "warmup": 0, "batch": 16, "first": None, "samples": 8}


def shortened(path: Path) -> dict[str, Any]:
    """A recipe with its plug-ins, on a small network and so little data that an epoch is two or three batches."""
    plain = load_recipe(path, REGISTRY).resolved()
    for row in plain["plugins"].values():
        row |= {option: value for option, value in SHORT.items() if option in row}
        if row.get("total") is not None:
            row["total"] = 24
        if row.get("per_class") is not None:
            row["per_class"] = 4
    scenario = {key: plain["data"][key] for key in ("cumulative",) if key in plain["data"]}
    growth = {"tasks": 3} if "base" not in plain["data"] else {"base": 2, "increment": 2}
    return plain | {
        "data": {"use": "synthetic", "per_class": 12, **scenario, **growth},
        "backbone": {
            "name": "resnet18",
            "stem": "cifar",
            "signed": plain["backbone"]["signed"],
            "options": {"layers": [1] * 4, "channels": [8] * 4},
        },
        "precision": "float32",
        "expected": None,
    }


@pytest.fixture(scope="module")
def accuracies() -> dict[str, list[float]]:
    """By fingerprint, top-1 after each task: recipes that differ in protocol alone are the same here."""
    return {}


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_trains_three_tasks(name: str, tmp_path: Path, accuracies: dict[str, list[float]]) -> None:
    recipe = recipe_from_dict(shortened(RECIPES[name]), REGISTRY, name)
    if recipe.fingerprint not in accuracies:
        rows = run_recipe(recipe, tmp_path / "run", device="cpu").summary["tasks"]
        accuracies[recipe.fingerprint] = [row["top1"] for row in rows]
    assert len(accuracies[recipe.fingerprint]) == 3
    assert all(math.isfinite(value) for value in accuracies[recipe.fingerprint])
