"""The shipped recipes of EWC against their settings, written here a second time and independently."""

from pathlib import Path

import pytest

from incrlearn import Recipe, Registry, load_recipe

FOLDER = Path(__file__).parents[2] / "recipes"


def load(name: str) -> Recipe:
    return load_recipe(FOLDER / f"{name}.yaml", Registry.discover())


def options(recipe: Recipe, key: str) -> dict[str, object]:
    return next(choice.config.model_dump() for choice in recipe.plugins if choice.key == key)


@pytest.mark.parametrize("name", ["ewc_cifar100_b0_10", "ewc_cifar100_b50", "ewc_digits", "quick/ewc_cifar100"])
def test_penalty_is_online_and_there_are_no_exemplars(name: str) -> None:
    recipe = load(name)
    samples = {"ewc_digits": 100, "quick/ewc_cifar100": 200}.get(name, 500)
    ewc = {"labels": "sampled", "samples": samples, "online": True, "gamma": 1.0}
    # PyCIL's are 1000 and 0.0001, for squares of mean gradients over 128 images: about as many times smaller.
    assert options(recipe, "ewc") == ewc | {"weight": 10.0, "fisher_max": 0.01}
    assert options(recipe, "loss") == {"over": "new", "weight": 1.0}
    assert options(recipe, "head") == {"bias": True, "start": "inherit"}
    uses = {choice.key: choice.use for choice in recipe.plugins}
    assert uses["network"] == "single"
    assert set(uses) == {"network", "head", "loss", "ewc", "train", "log"}
    assert recipe.expected is None


def test_protocols_are_those_of_der() -> None:
    for name in ("b0_10", "b50"):
        recipe, der = load(f"ewc_cifar100_{name}"), load(f"der_cifar100_{name}")
        assert (recipe.data, recipe.backbone) == (der.data, der.backbone)
        assert options(recipe, "train") == options(der, "train") | {"fresh_heads": False}


@pytest.mark.parametrize("family", ["{}_digits", "quick/{}_cifar100"])
def test_ewc_differs_from_finetuning_in_its_losses_alone(family: str) -> None:
    recipe, finetune = load(family.format("ewc")), load(family.format("finetune"))
    assert (recipe.data, recipe.backbone) == (finetune.data, finetune.backbone)
    for key in ("network", "head", "train"):
        assert options(recipe, key) == options(finetune, key)
