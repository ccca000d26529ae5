"""The shipped recipes of BiC against their settings, written here a second time and independently."""

from pathlib import Path

import pytest

from incrlearn import Recipe, Registry, load_recipe

FOLDER = Path(__file__).parents[2] / "recipes"
# name: exemplars, average and last of the table in DER's paper
PUBLISHED = {
    "bic_cifar100_b0_10": ({"total": 2000, "per_class": None}, 68.80, 53.54),
    "bic_cifar100_b50": ({"total": None, "per_class": 20}, 60.25, 48.04),
}


def load(name: str) -> Recipe:
    return load_recipe(FOLDER / f"{name}.yaml", Registry.discover())


def options(recipe: Recipe, key: str) -> dict[str, object]:
    return next(choice.config.model_dump() for choice in recipe.plugins if choice.key == key)


@pytest.mark.parametrize("name", [*PUBLISHED, "bic_digits", "quick/bic_cifar100"])
def test_losses_and_correction_are_the_papers(name: str) -> None:
    recipe = load(name)
    assert options(recipe, "loss") == {"over": "all", "weight": "new_share"}
    assert options(recipe, "distill") == {"temperature": 2.0, "weight": "old_share"}
    assert options(recipe, "head") == {"bias": True, "start": "inherit"}
    assert options(recipe, "train")["fresh_heads"] is False
    bias = options(recipe, "bias")
    assert bias["share"] == (0.2 if "digits" in name else 0.1)
    wanted = {"epochs": 200, "lr": 0.1, "milestones": (60, 120, 160, 180), "batch": 256, "beta_decay": 0.1}
    assert {key: bias[key] for key in wanted} == wanted
    uses = {choice.key: choice.use for choice in recipe.plugins}
    assert (uses["network"], uses["memory"]) == ("single", "herding")
    # The correction comes after what it corrects.
    assert list(uses).index("bias") > list(uses).index("train")


@pytest.mark.parametrize("name", PUBLISHED)
def test_protocol_is_ders_and_the_numbers_are_its_tables(name: str) -> None:
    memory, average, last = PUBLISHED[name]
    recipe, der = load(name), load(name.replace("bic_", "der_"))
    assert (recipe.data, recipe.backbone) == (der.data, der.backbone)
    assert options(recipe, "memory") == options(der, "memory") == memory
    assert options(recipe, "train") == options(der, "train") | {"fresh_heads": False}
    assert recipe.expected is not None
    assert (recipe.expected.average, recipe.expected.last) == (average, last)


@pytest.mark.parametrize("family", ["{}_digits", "quick/{}_cifar100"])
def test_data_backbone_and_exemplars_are_those_of_replay(family: str) -> None:
    recipe, replay = load(family.format("bic")), load(family.format("replay"))
    assert (recipe.data, recipe.backbone) == (replay.data, replay.backbone)
    for key in ("memory", "train", "head"):
        assert options(recipe, key) == options(replay, key)
