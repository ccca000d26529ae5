"""Options of the channel masks: what they take, and how a recipe is told of what they do not."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from incrlearn import RecipeError, Registry
from incrlearn.engine.plan import make_plan
from incrlearn.recipe import dump_yaml, load_recipe, recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe
from incrlearn_plugins.prune.options import MaskOptions

REGISTRY = Registry.of({"synthetic": SyntheticData})


@pytest.mark.parametrize("options", [{}, {"s_max": 15}, {"keep": 0.5, "sparsity": 1}, {"keep": 0.5, "sparsity": 0}])
def test_exactly_one_of_budget_and_weight_is_wanted(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="give exactly one of keep"):
        MaskOptions.model_validate(options)


@pytest.mark.parametrize(
    "options",
    [
        {"sparsity": 0},
        {"sparsity": 0.5, "s_max": 400, "binarise_at": 1},
        {"keep": 0.001},
        {"keep": 0.999, "descent": [0, 1]},
        {"keep": 0.1, "start": [-6, 6]},
        {"sparsity": 1, "settle": False},
    ],
)
def test_options_within_their_ranges_are_taken(options: dict[str, Any]) -> None:
    taken = MaskOptions.model_validate(options).model_dump(mode="json")
    assert {key: taken[key] for key in options} == options


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("keep", 0),
        ("keep", 1),
        ("keep", -0.1),
        ("sparsity", -1),
        ("s_max", 1),
        ("lr", 0),
        ("clamp", 0),
        ("binarise_at", 0),
        ("binarise_at", 1.1),
        ("descent", [0.5, 0.5]),
        ("descent", [0.9, 0.4]),
        ("descent", [-0.1, 0.5]),
        ("descent", [0.5, 1.1]),
        ("start", [1, 1]),
        ("start", [2, 0]),
        ("start", [0, 6.5]),
        ("start", [-7, 0]),
        ("binarize_at", 0.5),
    ],
)
def test_options_out_of_their_ranges_are_refused_by_name(option: str, value: object) -> None:
    budget = {} if option in ("keep", "sparsity") else {"keep": 0.5}
    with pytest.raises(ValidationError, match=option):
        MaskOptions.model_validate({**budget, option: value})


def recipe_file(folder: Path, pruning: dict[str, Any], backbone: dict[str, Any] | None = None) -> tuple[Path, int]:
    """A recipe on disk, and the line on which its pruning begins."""
    recipe = tiny_recipe(pruning={"use": "channel_mask", **pruning})
    recipe["backbone"] = backbone or recipe["backbone"]
    path = folder / "recipe.yaml"
    path.write_text(dump_yaml(recipe))
    lines = path.read_text().splitlines()
    return path, next(number for number, line in enumerate(lines, start=1) if line.strip().startswith("pruning:"))


def first_problem(error: RecipeError) -> tuple[int | None, str]:
    (problem,) = error.problems
    return problem.line, problem.message


def test_recipe_without_budget_and_weight_is_refused_at_its_line(tmp_path: Path) -> None:
    path, line = recipe_file(tmp_path, {})
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, REGISTRY)
    assert first_problem(caught.value) == (
        line,
        "plugins.pruning: give exactly one of keep (a budget) and sparsity (lambda_s)",
    )


def test_option_out_of_range_is_refused_at_its_line(tmp_path: Path) -> None:
    path, line = recipe_file(tmp_path, {"keep": 1.5})
    with pytest.raises(RecipeError, match=r"plugins\.pruning\.keep: must be a number above 0 and below 1") as caught:
        load_recipe(path, REGISTRY)
    found, _ = first_problem(caught.value)
    assert found in (line, line + 1, line + 2)
    assert "keep: 1.5" in path.read_text().splitlines()[(found or 0) - 1]


def test_backbone_without_removable_channels_is_refused_before_training(tmp_path: Path) -> None:
    group_norms = {"name": "resnet50_gn", "options": {"layers": [1] * 4, "channels": [32] * 4}}
    path, line = recipe_file(tmp_path, {"keep": 0.5}, group_norms)
    recipe = load_recipe(path, REGISTRY)
    with pytest.raises(RecipeError) as caught:
        make_plan(recipe)
    found, message = first_problem(caught.value)
    assert message.startswith("plugins.pruning: no channel of this backbone can be removed exactly (the first ones: ")
    assert found == line


def test_plan_notes_which_channels_get_gates() -> None:
    recipe = recipe_from_dict(tiny_recipe(pruning={"use": "channel_mask", "keep": 0.5}), REGISTRY, "tiny")
    notes = make_plan(recipe).notes
    assert "64 gates: model.conv1" in notes
    assert "8 gates: model.layer1.0.conv1" in notes


def test_masks_need_a_network_with_parts() -> None:
    with pytest.raises(RecipeError, match=r"plugins\.pruning.*parts"):
        recipe_from_dict(
            tiny_recipe(pruning={"use": "channel_mask", "keep": 0.5}, network="single", auxiliary=None),
            REGISTRY,
            "tiny",
        )
