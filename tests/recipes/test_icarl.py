"""iCaRL's recipes against the settings of DER's comparison, written here a second time and independently."""

from pathlib import Path

import pytest

from incrlearn import Recipe, Registry, load_recipe

FOLDER = Path(__file__).parents[2] / "recipes"


def load(name: str) -> Recipe:
    return load_recipe(FOLDER / f"{name}.yaml", Registry.discover())


def options(recipe: Recipe, key: str) -> dict[str, object]:
    return next(choice.config.model_dump() for choice in recipe.plugins if choice.key == key)


def parts(recipe: Recipe) -> dict[str, str]:
    return {choice.key: choice.use for choice in recipe.plugins}


METHOD = {
    "network": "single",
    "head": "linear",
    "loss": "binary",
    "memory": "herding",
    "train": "sgd",
    "scores": "nearest_mean",
    "log": "jsonl",
}
# name: scenario, memory, average and last in DER's comparison, epochs and milestones of the first task
PUBLISHED = {
    "icarl_cifar100_b0_10": ({"tasks": 10}, {"total": 2000}, 65.27, 50.74, 170, [110, 130]),
    "icarl_cifar100_b50": ({"base": 50, "increment": 5}, {"per_class": 20}, 58.59, None, 200, [60, 120, 160]),
}


@pytest.mark.parametrize("name", [*PUBLISHED, "icarl_digits", "quick/icarl_cifar100"])
def test_icarl_is_these_parts_over_a_head_that_keeps_its_weights(name: str) -> None:
    recipe = load(name)
    assert parts(recipe) == METHOD
    assert options(recipe, "head") == {"bias": True, "start": "inherit"}
    assert options(recipe, "loss") == {"over_classes": "sum", "weight": 1.0}
    assert options(recipe, "train")["fresh_heads"] is False


@pytest.mark.parametrize("name", PUBLISHED)
def test_icarl_has_the_protocol_its_numbers_belong_to(name: str) -> None:
    scenario, memory, average, last, first_epochs, first_milestones = PUBLISHED[name]
    recipe = load(name)
    assert {k: v for k, v in recipe.data.scenario.model_dump().items() if k in scenario} == scenario
    assert {k: v for k, v in options(recipe, "memory").items() if v is not None} == memory
    assert recipe.data.scenario.order == "paper-1"
    assert (recipe.backbone.name, recipe.backbone.stem) == ("resnet18", "cifar")
    train = options(recipe, "train")
    wanted = {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4, "batch": 128, "epochs": 170, "warmup": 10, "gamma": 0.1}
    assert {key: train[key] for key in wanted} == wanted
    assert list(train["milestones"]) == [110, 130]
    first = {**train, **(train["first"] or {})}
    assert (first["epochs"], list(first["milestones"])) == (first_epochs, first_milestones)
    assert recipe.expected is not None
    assert (recipe.expected.average, recipe.expected.last) == (average, last)


@pytest.mark.parametrize("family", ["{}_digits", "quick/{}_cifar100"])
def test_icarl_and_replay_differ_in_loss_and_scores_alone(family: str) -> None:
    icarl, replay = load(family.format("icarl")), load(family.format("replay"))
    assert (icarl.data, icarl.backbone) == (replay.data, replay.backbone)
    for key in ("network", "head", "memory", "train"):
        assert options(icarl, key) == options(replay, key)


def test_der_with_nearest_mean_is_der_but_for_the_scores() -> None:
    crossed, der = load("der_nme_cifar100_b0_10"), load("der_cifar100_b0_10")
    assert parts(crossed) == {**parts(der), "scores": "nearest_mean"}
    assert all(options(crossed, key) == options(der, key) for key in parts(der))
    # DER's numbers are not its own.
    assert crossed.expected is None
