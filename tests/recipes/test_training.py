"""Shipped recipes at work: digits whole, CIFAR-100 in small on real images."""

from pathlib import Path

import pytest

from incrlearn import Registry, load_recipe, run_recipe
from incrlearn.data import data_root

FOLDER = Path(__file__).parents[2] / "recipes"


def metrics(name: str, out: Path, *overrides: str) -> dict[str, float]:
    recipe = load_recipe(FOLDER / f"{name}.yaml", Registry.discover(), overrides)
    summary = run_recipe(recipe, out, device="cpu").summary
    return {name: entry["value"] for name, entry in summary["metrics"].items()}


def test_der_is_clearly_above_replay_and_finetuning_on_digits(tmp_path: Path) -> None:
    # float32 everywhere, so that the outcome does not hang on what the processor can do.
    der, replay, finetune = (
        metrics(f"{name}_digits", tmp_path / name, "precision=float32") for name in ("der", "replay", "finetune")
    )
    assert der["average"] > replay["average"] + 2 > finetune["average"] + 10
    assert der["last"] > replay["last"] + 5
    assert der["average"] > 95


@pytest.mark.skipif(
    not (data_root(None) / "cifar100").is_dir(),
    reason="no real CIFAR-100 below INCRLEARN_DATA (cifar100/{train,test}/<class>)",
)
@pytest.mark.parametrize("name", ["der", "joint"])
def test_quick_recipe_learns_from_real_images(name: str, tmp_path: Path) -> None:
    short = ["data.classes=10", "data.tasks=2", "plugins.train.epochs=6", "plugins.train.milestones=[4]"]
    if name == "der":
        short += ["plugins.balance.epochs=4", "plugins.balance.milestones=[3]", "plugins.memory.total=100"]
    found = metrics(f"quick/{name}_cifar100", tmp_path / name, *short)
    # Chance is 20 % on the first five classes and 10 % on all ten.
    assert found["average"] > 25
    assert found["last"] > 15
