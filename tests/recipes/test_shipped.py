"""The shipped recipes against the paper's settings, written here a second time and independently."""

from pathlib import Path

import pytest

from incrlearn import Recipe, Registry, load_recipe
from incrlearn.ablation.file import read_grid
from incrlearn.data import data_root
from incrlearn.engine.plan import make_plan
from incrlearn.network import build_backbone

FOLDER = Path(__file__).parents[2] / "recipes"
ALL = sorted(path for path in FOLDER.rglob("*.yaml") if path.parent.name != "ablations")
ABLATIONS = sorted((FOLDER / "ablations").glob("*.yaml"))


def load(name: str) -> Recipe:
    return load_recipe(FOLDER / f"{name}.yaml", Registry.discover())


def options(recipe: Recipe, key: str) -> dict[str, object]:
    return next(choice.config.model_dump() for choice in recipe.plugins if choice.key == key)


@pytest.mark.parametrize("path", ALL, ids=lambda p: str(p.relative_to(FOLDER)))
def test_recipe_is_valid_and_says_what_it_is(path: Path) -> None:
    recipe = load_recipe(path, Registry.discover())
    assert path.read_text().startswith("# ")
    assert [choice.use for choice in recipe.plugins].count("jsonl") == 1


@pytest.mark.parametrize("path", ABLATIONS, ids=lambda p: p.stem)
def test_ablation_is_valid_says_what_it_is_and_is_found_by_name(path: Path) -> None:
    registry = Registry.discover()
    grid = read_grid(str(path), (), (), registry)
    assert path.read_text().startswith("# DER's ")
    assert grid.name == f"ablations/{path.stem}"
    assert read_grid(grid.name, (), (), registry).title == grid.title
    assert grid.seeds == (1, 2, 3)
    assert grid.base in [variant.name for variant in grid.variants]


def test_each_ablation_is_there_for_digits_the_quick_set_and_the_whole_protocol() -> None:
    bases = {"": "der_cifar100_b0_10", "_quick": "quick/der_cifar100", "_digits": "der_digits"}
    registry = Registry.discover()
    for topic in ("der", "memory", "sparsity"):
        for suffix, base in bases.items():
            grid = read_grid(f"ablations/{topic}{suffix}", (), (), registry)
            assert {variant.recipe.name for variant in grid.variants} == {base}


# name: scenario, memory, average, last, parameters in M of DER with P, and of DER without P (the paper's table)
CIFAR = {
    "der_cifar100_b0_5": ({"tasks": 5}, {"total": 2000}, 75.55, 67.27, 2.9, 33.6),
    "der_cifar100_b0_10": ({"tasks": 10}, {"total": 2000}, 74.64, 64.36, 5.0, 61.6),
    "der_cifar100_b0_20": ({"tasks": 20}, {"total": 2000}, 73.98, 62.56, 7.2, 117.6),
    "der_cifar100_b0_50": ({"tasks": 50}, {"total": 2000}, 72.05, 59.77, 10.2, 285.6),
    "der_cifar100_b50_2": ({"base": 50, "increment": 25}, {"per_class": 20}, 74.57, 68.50, 3.9, 22.4),
    "der_cifar100_b50_5": ({"base": 50, "increment": 10}, {"per_class": 20}, 72.60, 66.03, 6.1, 39.2),
    "der_cifar100_b50": ({"base": 50, "increment": 5}, {"per_class": 20}, 72.45, 65.58, 8.8, 67.2),
}
IMAGENET = {
    "der_imagenet100_b0": ("imagenet100", {"tasks": 10}, {"total": 2000}, 76.12, 66.06, 7.7, 61.6),
    "der_imagenet100_b50": ("imagenet100", {"base": 50, "increment": 5}, {"per_class": 20}, 77.73, 72.06, 8.9, 67.2),
    "der_imagenet1000_b0": ("imagenet1000", {"tasks": 10}, {"total": 20000}, 66.73, 58.62, 14.5, 61.6),
}


def assert_protocol(
    recipe: Recipe,
    scenario: dict[str, int],
    memory: dict[str, int],
    average: float,
    last: float,
    pruned: float,
    full: float,
) -> None:
    assert {k: v for k, v in recipe.data.scenario.model_dump().items() if k in scenario} == scenario
    assert not recipe.data.scenario.cumulative
    assert {k: v for k, v in options(recipe, "memory").items() if v is not None} == memory
    assert options(recipe, "network") == {"start": "previous"}
    assert options(recipe, "head") == {"bias": False, "start": "fresh"}
    assert options(recipe, "auxiliary")["weight"] == 1.0
    expected = recipe.expected
    assert expected is not None
    assert (expected.average, expected.last, expected.parameters_average) == (average, last, pruned)
    # The published #P is a mean over tasks, so the share of it that is left is that of each extractor.
    assert options(recipe, "pruning")["keep"] == pytest.approx(pruned / full, rel=0.03)


@pytest.mark.parametrize("name", CIFAR)
def test_cifar_recipe_has_the_papers_settings(name: str) -> None:
    scenario, memory, *published = CIFAR[name]
    recipe = load(name)
    assert_protocol(recipe, scenario, memory, *published)
    assert (recipe.backbone.name, recipe.backbone.stem) == ("resnet18", "cifar")
    assert recipe.data.scenario.order == "paper-1"
    data = recipe.data.config.model_dump()
    assert (data["padding"], data["flip"], data["train_per_class"]) == (4, True, None)
    assert data["brightness"] == pytest.approx(63 / 255)
    train, balance = options(recipe, "train"), options(recipe, "balance")
    wanted = {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4, "batch": 128, "epochs": 170, "warmup": 10, "gamma": 0.1}
    assert {key: train[key] for key in wanted} == wanted
    assert (list(train["milestones"]), train["fresh_heads"], train["shape"]) == ([110, 130], True, "milestones")
    first = train["first"]
    if "base" in scenario:
        assert (first["epochs"], list(first["milestones"]), first["warmup"], first["lr"]) == (
            200,
            [60, 120, 160],
            0,
            0.1,
        )
    else:
        assert first is None
    wanted = {"epochs": 30, "lr": 0.1, "weight_decay": 5e-4, "temperature": 5.0, "gamma": 0.1}
    assert {key: balance[key] for key in wanted} == wanted
    assert list(balance["milestones"]) == [15]


@pytest.mark.parametrize("name", IMAGENET)
def test_imagenet_recipe_has_the_papers_settings(name: str) -> None:
    data, scenario, memory, *published = IMAGENET[name]
    recipe = load(name)
    assert_protocol(recipe, scenario, memory, *published)
    assert recipe.data.use == data
    assert recipe.data.scenario.order == "paper"
    train, balance = options(recipe, "train"), options(recipe, "balance")
    wanted = {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4, "batch": 256, "epochs": 220, "warmup": 20, "gamma": 0.1}
    assert {key: train[key] for key in wanted} == wanted
    assert (list(train["milestones"]), train["fresh_heads"]) == ([80, 140, 180, 200], True)
    assert (balance["epochs"], balance["temperature"], list(balance["milestones"])) == (30, 1.0, [15])


@pytest.mark.parametrize("family", ["{}_digits", "quick/{}_cifar100"])
def test_compared_recipes_differ_only_in_the_method(family: str) -> None:
    der, replay, finetune = (load(family.format(name)) for name in ("der", "replay", "finetune"))
    assert der.data == replay.data == finetune.data
    assert der.backbone == replay.backbone == finetune.backbone
    assert options(der, "memory") == options(replay, "memory")
    assert "memory" not in [choice.key for choice in finetune.plugins]
    alike = {"fresh_heads"}
    for key, value in options(der, "train").items():
        assert key in alike or options(replay, "train")[key] == options(finetune, "train")[key] == value


@pytest.mark.skipif(
    not (data_root(None) / "cifar100").is_dir(),
    reason="no real CIFAR-100 below INCRLEARN_DATA (cifar100/{train,test}/<class>)",
)
def test_b50_plan_on_real_cifar100() -> None:
    counts = [len(list(folder.iterdir())) for folder in (data_root(None) / "cifar100" / "train").iterdir()]
    assert len(set(counts)) == 1
    plan = make_plan(load("der_cifar100_b50"))
    assert [row.new for row in plan.rows] == [50] + [5] * 10
    assert [row.train_images for row in plan.rows] == [50 * counts[0]] + [5 * counts[0]] * 10
    assert [row.exemplars for row in plan.rows] == [20 * row.seen for row in plan.rows]
    assert plan.rows[-1].test_images == 10_000
    # The paper's first order begins 87, 0, 52, 58: television, apple, oak_tree, pickup_truck.
    assert plan.class_names[:4] == ("television", "apple", "oak_tree", "pickup_truck")
    assert plan.backbone_parameters == pytest.approx(11.17e6, rel=1e-3)


@pytest.mark.parametrize("name", [*CIFAR, *IMAGENET])
def test_residual_branches_start_at_zero(name: str) -> None:
    model = build_backbone(load(name).backbone, 3, 1).model
    zeros = [parameter for parameter in model.parameters() if parameter.ndim > 0 and bool((parameter == 0).all())]
    # Eight residual blocks: the weight of the last norm (or, before activation, of the last convolution) of each.
    biases = {id(p) for key, p in model.named_parameters() if key.endswith("bias")}
    assert len([parameter for parameter in zeros if id(parameter) not in biases]) == 8
