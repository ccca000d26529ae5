"""The shipped recipes of PODNet, and of its distillation in DER, against their settings, written independently."""

from pathlib import Path

import pytest

from incrlearn import Recipe, Registry, load_recipe

FOLDER = Path(__file__).parents[2] / "recipes"
# name: exemplars, average and last of the table in DER's paper
PUBLISHED = {
    "podnet_cifar100_b0_10": ({"total": 2000, "per_class": None}, 58.03, 41.05),
    "podnet_cifar100_b50": ({"total": None, "per_class": 20}, 64.04, 52.13),
}


def load(name: str) -> Recipe:
    return load_recipe(FOLDER / f"{name}.yaml", Registry.discover())


def options(recipe: Recipe, key: str) -> dict[str, object]:
    return next(choice.config.model_dump() for choice in recipe.plugins if choice.key == key)


@pytest.mark.parametrize("name", [*PUBLISHED, "podnet_digits", "quick/podnet_cifar100"])
def test_head_losses_and_fine_tuning_are_those_of_the_authors(name: str) -> None:
    recipe = load(name)
    head = options(recipe, "head")
    assert (head["proxies"], head["start"], head["old"], head["scale"]) == (10, "inherit", "fixed", 1.0)
    loss = options(recipe, "loss")
    assert (loss["margin"], loss["hinge"], loss["weight"]) == (0.6, True, 1.0)
    assert options(recipe, "distil") == {
        "pool": "spatial",
        "weight": 3.0,
        "flat": 1.0,
        "adaptive": True,
        "square": True,
    }
    finetune = options(recipe, "finetune")
    assert (finetune["trains"], finetune["lr"], finetune["unfix"]) == ("head", 0.05, True)
    train = options(recipe, "train")
    assert (train["shape"], train["warmup"], train["first"]) == ("cosine", 0, None)
    # Features may be negative before a classifier by cosines.
    assert recipe.backbone.signed
    assert [choice.use for choice in recipe.plugins].count("imprint") == 1
    uses = {choice.key: choice.use for choice in recipe.plugins}
    assert (uses["network"], uses["memory"]) == ("single", "herding")


@pytest.mark.parametrize("name", PUBLISHED)
def test_protocol_is_ders_the_schedule_podnets_and_the_numbers_are_ders_tables(name: str) -> None:
    memory, average, last = PUBLISHED[name]
    recipe, der = load(name), load(name.replace("podnet_", "der_"))
    assert recipe.data == der.data
    assert recipe.backbone == der.backbone.model_copy(update={"signed": True})
    assert options(recipe, "memory") == options(der, "memory") == memory
    train = options(recipe, "train")
    wanted = {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4, "batch": 128, "epochs": 160}
    assert {key: train[key] for key in wanted} == wanted
    assert options(recipe, "finetune")["epochs"] == 20
    assert recipe.expected is not None
    assert (recipe.expected.average, recipe.expected.last) == (average, last)


@pytest.mark.parametrize("family", ["{}_digits", "quick/{}_cifar100"])
def test_data_backbone_and_exemplars_are_those_of_replay(family: str) -> None:
    recipe, replay = load(family.format("podnet")), load(family.format("replay"))
    assert recipe.data == replay.data
    assert recipe.backbone == replay.backbone.model_copy(update={"signed": True})
    assert options(recipe, "memory") == options(replay, "memory")
    for key in ("lr", "momentum", "weight_decay", "batch", "epochs"):
        assert options(recipe, "train")[key] == options(replay, "train")[key]


@pytest.mark.parametrize(
    ("name", "base"), [("der_pod_cifar100_b0_10", "der_cifar100_b0_10"), ("der_pod_digits", "der_digits")]
)
def test_der_with_pods_distillation_differs_in_that_alone(name: str, base: str) -> None:
    recipe, der = load(name), load(base)
    assert [(choice.key, choice.config) for choice in recipe.plugins if choice.key != "distil"] == [
        (choice.key, choice.config) for choice in der.plugins
    ]
    assert (recipe.data, recipe.backbone) == (der.data, der.backbone)
    distil = options(recipe, "distil")
    assert (distil["pool"], distil["weight"], distil["flat"]) == ("channels", 3.0, 0.0)
    # What is published for DER is not true of this.
    assert recipe.expected is None
