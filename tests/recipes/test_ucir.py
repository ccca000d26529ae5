"""The shipped recipes of UCIR, and of DER with its head, against their settings, written here independently."""

from pathlib import Path

import pytest

from incrlearn import Recipe, Registry, load_recipe

FOLDER = Path(__file__).parents[2] / "recipes"
# name: exemplars, average and last of the table in DER's paper
PUBLISHED = {
    "ucir_cifar100_b0_10": ({"total": 2000, "per_class": None}, 58.66, 43.39),
    "ucir_cifar100_b50": ({"total": None, "per_class": 20}, 59.92, 48.02),
}
ALL = [*PUBLISHED, "ucir_digits", "quick/ucir_cifar100"]


def load(name: str) -> Recipe:
    return load_recipe(FOLDER / f"{name}.yaml", Registry.discover())


def options(recipe: Recipe, key: str) -> dict[str, object]:
    return next(choice.config.model_dump() for choice in recipe.plugins if choice.key == key)


def parts(recipe: Recipe) -> dict[str, str]:
    return {choice.key: choice.use for choice in recipe.plugins}


@pytest.mark.parametrize("name", ALL)
def test_parts_and_constants_are_the_papers(name: str) -> None:
    recipe = load(name)
    assert parts(recipe) == {
        "network": "single",
        "head": "cosine",
        "imprint": "imprint",
        "loss": "cross_entropy",
        "less_forget": "less_forget",
        "margin": "margin",
        "memory": "herding",
        "train": "sgd",
        "log": "jsonl",
    }
    assert recipe.backbone.signed
    assert options(recipe, "less_forget") == {"weight": 5.0, "growth": "old/new"}
    assert options(recipe, "margin") == {"margin": 0.5, "nearest": 2, "over_nearest": "sum", "weight": 1.0}
    assert options(recipe, "loss") == {"over": "all", "weight": 1.0}
    # The authors start the scale at 1; a training of seconds starts where a long one arrives.
    scale = 10.0 if name == "ucir_digits" else 1.0
    assert options(recipe, "head") == {"scale": scale, "start": "inherit", "old": "fixed"}
    assert options(recipe, "train")["fresh_heads"] is False


@pytest.mark.parametrize("name", PUBLISHED)
def test_protocol_is_ders_and_the_numbers_are_its_tables(name: str) -> None:
    memory, average, last = PUBLISHED[name]
    recipe, der = load(name), load(name.replace("ucir_", "der_"))
    assert recipe.data == der.data
    assert recipe.backbone == der.backbone.model_copy(update={"signed": True})
    assert options(recipe, "memory") == options(der, "memory") == memory
    assert options(recipe, "train") == options(der, "train") | {"fresh_heads": False}
    assert recipe.expected is not None
    assert (recipe.expected.average, recipe.expected.last) == (average, last)


@pytest.mark.parametrize("family", ["{}_digits", "quick/{}_cifar100"])
def test_data_exemplars_and_training_are_those_of_replay(family: str) -> None:
    recipe, replay = load(family.format("ucir")), load(family.format("replay"))
    assert recipe.data == replay.data
    assert recipe.backbone == replay.backbone.model_copy(update={"signed": True})
    for key in ("memory", "train", "loss"):
        assert options(recipe, key) == options(replay, key)


@pytest.mark.parametrize(
    ("name", "base"), [("der_ucir_cifar100_b0_10", "der_cifar100_b0_10"), ("der_ucir_digits", "der_digits")]
)
def test_der_with_ucirs_head_is_der_but_for_head_separation_and_pruning(name: str, base: str) -> None:
    recipe, der = load(name), load(base)
    assert set(parts(recipe)) == set(parts(der)) - {"pruning"} | {"imprint", "margin"}
    # Features grow, so old classes have weights to learn.
    assert options(recipe, "head") == {"scale": 10.0, "start": "inherit", "old": "learned"}
    assert options(recipe, "train") == options(der, "train") | {"fresh_heads": False}
    assert options(recipe, "balance") == options(der, "balance") | {"temperature": 1.0}
    for key in ("network", "auxiliary", "memory", "loss"):
        assert options(recipe, key) == options(der, key)
    # What is published for DER is not true of this.
    assert recipe.expected is None
