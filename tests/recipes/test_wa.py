"""The shipped recipes of WA, and of DER with its aligning, against their settings, written here independently."""

from pathlib import Path

import pytest

from incrlearn import Recipe, Registry, load_recipe

FOLDER = Path(__file__).parents[2] / "recipes"
# name: exemplars, average and last of the table in DER's paper
PUBLISHED = {
    "wa_cifar100_b0_10": ({"total": 2000, "per_class": None}, 69.46, 53.78),
    "wa_cifar100_b50": ({"total": None, "per_class": 20}, 57.86, 47.90),
}


def load(name: str) -> Recipe:
    return load_recipe(FOLDER / f"{name}.yaml", Registry.discover())


def options(recipe: Recipe, key: str) -> dict[str, object]:
    return next(choice.config.model_dump() for choice in recipe.plugins if choice.key == key)


@pytest.mark.parametrize("name", [*PUBLISHED, "wa_digits", "quick/wa_cifar100"])
def test_losses_and_aligning_are_the_papers(name: str) -> None:
    recipe = load(name)
    assert options(recipe, "loss") == {"over": "all", "weight": "new_share"}
    assert options(recipe, "distill") == {"temperature": 2.0, "weight": "old_share"}
    assert options(recipe, "align") == {"positive": True}
    # As the authors of DER trained it: no bias, and the head drawn anew after the warm-up.
    assert options(recipe, "head") == {"bias": False, "start": "inherit"}
    assert options(recipe, "train")["fresh_heads"] is True
    uses = {choice.key: choice.use for choice in recipe.plugins}
    assert (uses["network"], uses["memory"]) == ("single", "herding")


@pytest.mark.parametrize("name", PUBLISHED)
def test_protocol_is_ders_and_the_numbers_are_its_tables(name: str) -> None:
    memory, average, last = PUBLISHED[name]
    recipe, der = load(name), load(name.replace("wa_", "der_"))
    assert (recipe.data, recipe.backbone) == (der.data, der.backbone)
    assert options(recipe, "memory") == options(der, "memory") == memory
    assert options(recipe, "train") == options(der, "train")
    assert recipe.expected is not None
    assert (recipe.expected.average, recipe.expected.last) == (average, last)


@pytest.mark.parametrize("family", ["{}_digits", "quick/{}_cifar100"])
def test_data_backbone_and_exemplars_are_those_of_replay(family: str) -> None:
    recipe, replay = load(family.format("wa")), load(family.format("replay"))
    assert (recipe.data, recipe.backbone) == (replay.data, replay.backbone)
    assert options(recipe, "memory") == options(replay, "memory")
    assert options(recipe, "train") == options(replay, "train") | {"fresh_heads": True}


@pytest.mark.parametrize(
    ("name", "base"), [("der_wa_cifar100_b0_10", "der_cifar100_b0_10"), ("der_wa_digits", "der_digits")]
)
def test_der_with_aligning_has_no_classifier_stage_and_no_pruning(name: str, base: str) -> None:
    recipe, der = load(name), load(base)
    assert {choice.key for choice in recipe.plugins} == {choice.key for choice in der.plugins} - {
        "balance",
        "pruning",
    } | {"align"}
    assert options(recipe, "align") == {"positive": False}
    assert options(recipe, "head") == {"bias": True, "start": "inherit"}
    assert options(recipe, "train") == options(der, "train") | {"fresh_heads": False}
    for key in ("network", "auxiliary", "memory"):
        assert options(recipe, key) == options(der, key)
    # What is published for DER is not true of this.
    assert recipe.expected is None
