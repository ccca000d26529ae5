"""From a file, or from plain values, to a recipe: what is filled in, what cannot be read, and nothing else."""

from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incrlearn.errors import RecipeError
from incrlearn.plugin import Plugin
from incrlearn.recipe import load_recipe, recipe_from_dict
from incrlearn.registry import Registry


def test_good_recipe_is_read_with_its_defaults(
    write: Any, registry: Registry, plugins: dict[str, type[Plugin]], good: str
) -> None:
    recipe = load_recipe(write(good), registry)
    assert (recipe.name, recipe.seed, recipe.precision, recipe.eval_batch) == ("recipe", 1, "auto", 256)
    assert (recipe.backbone.name, recipe.backbone.stem, recipe.backbone.pretrained) == ("resnet18", "default", False)
    assert (recipe.data.use, recipe.data.plugin, recipe.data.scenario.tasks) == ("images", plugins["images"], 5)
    assert recipe.data.scenario.order == "paper-1"
    assert [choice.key for choice in recipe.plugins] == [
        "network", "head", "loss", "auxiliary", "memory", "train", "log",
    ]  # fmt: skip
    train = recipe.plugins[5]
    assert train.plugin is plugins["train"]
    assert train.config.model_dump() == {
        "lr": 0.01, "milestones": (1, 2), "epochs": 3, "share": 0.5, "scale": (0.5, 1.0), "first": None,
        "note": "from the paper",
    }  # fmt: skip
    assert recipe.expected is None
    with pytest.raises(FrozenInstanceError):
        recipe.seed = 2  # type: ignore[misc]


def test_null_means_the_default_unless_the_option_can_be_none(write: Any, registry: Registry, variant: Any) -> None:
    text = variant("epochs: 3,", "epochs: 3, share: null, note: null,").replace("log: log", "log: null")
    recipe = load_recipe(write(text), registry)
    assert recipe.plugins[-1].key == "train"
    options = recipe.plugins[-1].config.model_dump()
    assert (options["share"], options["note"]) == (0.5, None)


def test_all_problems_are_told_at_once(write: Any, registry: Registry) -> None:
    text = """\
data: {use: images, tasks: 5}
backbone: resnet18
plugins:
  pruning: {use: chanel_mask}
  auxiliary: {use: auxiliary, wieght: 1.0}
  memory: {use: memory}
  train: {use: train, epochs: 2}
  train: {use: train, epochs: 3}
"""
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(text), registry)
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("recipe.yaml: 4 problems")
    assert lines[1].startswith("  line 4: plugins.pruning.use: no plug-in named 'chanel_mask'")
    assert lines[2:] == [
        "  line 5: plugins.auxiliary.wieght: no such option; did you mean 'weight'?",
        "  line 6: plugins.memory: give exactly one of total, per_class",
        "  line 8: 'train' is written twice (first on line 7)",
    ]


@pytest.mark.parametrize("text", ["", "[1, 2]", "just text", "# only a comment", "3"])
def test_recipe_must_be_a_mapping(write: Any, problems_of: Any, text: str) -> None:
    assert "a recipe is a mapping with data, backbone and plugins, not" in problems_of(write(text))[0]


def test_file_that_cannot_be_read_is_told(tmp_path: Path, problems_of: Any) -> None:
    (tmp_path / "latin.yaml").write_bytes("# größe".encode("latin-1"))
    assert "is not UTF-8 text" in problems_of(tmp_path / "latin.yaml")[0]
    assert "No such file" in problems_of(tmp_path / "none.yaml")[0]
    assert "cannot be read" in problems_of(tmp_path)[0]


def test_local_plugin_is_found_beside_the_recipe_and_becomes_absolute(
    write: Any, tmp_path: Path, registry: Registry, problems_of: Any, variant: Any
) -> None:
    (tmp_path / "mine.py").write_text(
        "from incrlearn import Plugin\nclass Mine(Plugin):\n    kind = 'loss'\n"
        "    class Config(Plugin.Config):\n        gamma: float = 2\n"
    )
    recipe = load_recipe(write(variant("loss: loss", "loss: {use: ./mine.py:Mine, gamma: 1}")), registry)
    assert recipe.resolved()["plugins"]["loss"] == {"use": f"{tmp_path.resolve()}/mine.py:Mine", "gamma": 1.0}
    assert recipe_from_dict(recipe.resolved(), registry, "x").fingerprint == recipe.fingerprint
    assert "mine.py has no class 'Mne'" in problems_of(write(variant("loss: loss", "loss: ./mine.py:Mne")))[0]


def test_recipe_from_dict_takes_plain_values_only(registry: Registry) -> None:
    with pytest.raises(RecipeError, match=r"extends: no such part") as caught:
        recipe_from_dict({"extends": "x.yaml", 3: 4, "seed": float("nan"), "data": {1, 2}}, registry, "mine")
    assert str(caught.value).startswith("mine: ")
    assert "the key 3 must be text" in str(caught.value)
    assert "nan is not a finite number" in str(caught.value)
    assert "is no plain value" in str(caught.value)


def assert_recipe_or_recipe_error(path: Path, registry: Registry) -> None:
    """Anything else that is raised fails the test by itself."""
    try:
        outcome = load_recipe(path, registry).fingerprint
    except RecipeError as error:
        outcome = str(error)
    assert outcome


WORDS = st.sampled_from(
    [
        *Path(__file__).with_name("good.yaml").read_text(encoding="utf-8").split(),
        *"{}[]:,-\n'\"#&*!|>%@`\t~",
        "\n  ",
        ": ",
        "- ",
        "null",
        "extends",
        "1e999",
        "\\ud800",
        "<<",
        "seed",
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(text=st.text() | st.lists(WORDS, max_size=25).map("".join) | st.lists(WORDS, max_size=25).map(" ".join))
def test_any_text_gives_a_recipe_or_a_recipe_error(tmp_path: Path, registry: Registry, text: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    assert_recipe_or_recipe_error(path, registry)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(data=st.data())
def test_any_edit_of_a_recipe_gives_a_recipe_or_a_recipe_error(
    tmp_path: Path, registry: Registry, good: str, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(len(good), start + 20)))
    path = tmp_path / "recipe.yaml"
    path.write_text(good[:start] + data.draw(WORDS | st.text(max_size=3).map(str)) + good[end:], "utf-8", "replace")
    assert_recipe_or_recipe_error(path, registry)
