"""``--set path=value``: what it changes, and that a path must be there."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from incrlearn.errors import RecipeError, RecipeNotice
from incrlearn.plugin import Plugin
from incrlearn.recipe import Recipe, load_recipe
from incrlearn.registry import Registry


class Images(Plugin):
    kind = "data"

    class Config(Plugin.Config):
        flip: bool = False


class Single(Plugin):
    kind = "network"


class Several(Plugin):
    kind = "network"

    class Config(Plugin.Config):
        start: str = "previous"


class Head(Plugin):
    kind = "head"


class Loss(Plugin):
    kind = "loss"


class Schedule(Plugin.Config):
    lr: float = Field(0.1, gt=0)


class Train(Plugin):
    kind = "phase"

    class Config(Schedule):
        epochs: int = Field(5, ge=1)
        milestones: tuple[int, ...] = ()
        first: Schedule | None = None
        note: str | None = "here"


REGISTRY = Registry(
    [], {"images": Images, "single": Single, "several": Several, "head": Head, "loss": Loss, "train": Train}
)
TEXT = """\
data: {use: images, tasks: 5}
backbone: {name: resnet18}
plugins:
  network: {use: several, start: fresh}
  head: head
  loss: loss
  extra: loss
  train: {use: train, epochs: 3}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "recipe.yaml"
    file.write_text(TEXT)
    return file


def value_at(recipe: Recipe, dotted: str) -> Any:
    value: Any = recipe.resolved()
    for key in dotted.split("."):
        value = value[key]
    return value


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("plugins.train.lr=1e-3", 1e-3),
        ("plugins.train.milestones=[1, 2]", [1, 2]),
        ("plugins.train.first.lr=0.5", 0.5),
        ("plugins.train.note=null", None),
        ("plugins.train.epochs=null", 5),
        ("plugins.network=single", {"use": "single"}),
        ("plugins.network={use: single}", {"use": "single"}),
        ("data.flip=true", True),
        ("data.order=paper-1", "paper-1"),
        ("backbone.stem=cifar", "cifar"),
        ("backbone.options.anything=[1, 2]", [1, 2]),
        (
            "data={use: images, tasks: 5}",
            {"use": "images", "tasks": 5, "order": "seed", "cumulative": False, "flip": False},
        ),
        (
            "backbone=resnet34",
            {"name": "resnet34", "stem": "default", "signed": False, "pretrained": False, "options": {}},
        ),
        ("seed=7", 7),
        ("eval_batch=8", 8),
        ("precision=bf16", "bf16"),
    ],
)
def test_override_changes_its_path_and_nothing_else(path: Path, override: str, value: object) -> None:
    dotted = override.partition("=")[0]
    plain, changed = load_recipe(path, REGISTRY), load_recipe(path, REGISTRY, [override])
    assert value_at(changed, dotted) == value
    keys = [key for key in plain.resolved() if key != dotted.split(".")[0]]
    assert {key: changed.resolved()[key] for key in keys} == {key: plain.resolved()[key] for key in keys}


def test_null_takes_a_row_out(path: Path) -> None:
    recipe = load_recipe(path, REGISTRY, ["plugins.extra=null"])
    assert [choice.key for choice in recipe.plugins] == ["network", "head", "loss", "train"]


def test_a_whole_row_may_be_added_behind_the_others(path: Path) -> None:
    recipe = load_recipe(path, REGISTRY, ["plugins.second={use: train}", "plugins.second.lr=3"])
    assert [choice.key for choice in recipe.plugins][-1] == "second"
    assert value_at(recipe, "plugins.second.use") == "train"
    assert value_at(recipe, "plugins.second.lr") == 3


def test_a_new_row_that_may_be_a_misspelt_one_is_told(path: Path) -> None:
    with pytest.warns(RecipeNotice, match=r"plugins\.trian is a row of its own beside 'train'") as told:
        load_recipe(path, REGISTRY, ["plugins.trian={use: train}"])
    assert told[0].filename == "--set plugins.trian={use: train}"


def test_later_overrides_see_earlier_ones(path: Path) -> None:
    recipe = load_recipe(path, REGISTRY, ["plugins.head=several", "plugins.head.start=x", "plugins.network=null",
                                          "plugins.loss=head", "seed=2", "seed=3"])  # fmt: skip
    assert value_at(recipe, "plugins.head") == {"use": "several", "start": "x"}
    assert recipe.seed == 3


def test_seed_argument_goes_over_everything(path: Path) -> None:
    assert load_recipe(path, REGISTRY, ["seed=3"], seed=9).seed == 9


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "plugins.trian.lr=1",
            "--set plugins.trian.lr=1: this recipe has no 'trian' below 'plugins'; did you mean 'train'?",
        ),
        ("plugins.train.lrr=1", "this recipe has no 'lrr' below 'plugins.train'; did you mean 'lr'?"),
        ("plugins.train.first.lrr=1", "this recipe has no 'lrr' below 'plugins.train.first'; did you mean 'lr'?"),
        ("plugins.train.lr.x=1", "'plugins.train.lr' is a single value, nothing is below it"),
        ("plugins.memory=null", "this recipe has no 'memory' below 'plugins'"),
        (
            "plugins.memory=random",
            "'plugins'; known: extra, head, loss, network, train; a new row is given whole: plugins.name={use: name}",
        ),
        ("plugins.memory={total: 3}", "a new row is given whole: plugins.name={use: name}"),
        ("plugins.train.lr=", "--set plugins.train.lr=: nothing stands behind the '='; write null to take out what is"),
        ("train.lr=1", "--set train.lr=1: this recipe has no 'train'; did you mean plugins.train.lr?"),
        ("lr=1", "--set lr=1: this recipe has no 'lr'; did you mean plugins.train.lr?"),
        ("plugins.loss=none", "; write null to take the row out"),
        ("data.flop=true", "this recipe has no 'flop' below 'data'; did you mean 'flip'?"),
        ("backbone.steam=cifar", "this recipe has no 'steam' below 'backbone'; did you mean 'stem'?"),
        ("sede=1", "--set sede=1: this recipe has no 'sede'; did you mean 'seed'?"),
        ("extends=x", "this recipe has no 'extends'"),
        ("seed", "--set seed: must be path=value"),
        ("=1", "must be path=value"),
        ("a..b=1", "must be path=value"),
        ("seed=[1", "--set seed=[1: not valid YAML"),
        ("plugins.train.lr=-1", "--set plugins.train.lr=-1: must be a number above 0, not -1"),
        ("plugins.train.lr=fast", "--set plugins.train.lr=fast: must be a number above 0, not 'fast'"),
        (
            "plugins.train={use: train, lr: -1}",
            "--set plugins.train={use: train, lr: -1}: plugins.train.lr: must be a number above 0, not -1",
        ),
        (
            "plugins={train: {lr: 2}}",
            "--set plugins={train: {lr: 2}}: this mapping would stand in place of all that is there; "
            "write dotted paths: plugins.train.lr=2",
        ),
        ("plugins={train: {first: {lr: 2}, epochs: 3}}", "write dotted paths: plugins.train.first.lr=2"),
        ("plugins={extra: null, train: {epochs: 2}}", "write dotted paths: plugins.extra=null"),
        ("plugins={loss: {use: loss}}", "write dotted paths: plugins.loss.use=loss"),
        ("plugins.train={lr: 2}", "write dotted paths: plugins.train.lr=2"),
        ("data={tasks: 3}", "write dotted paths: data.tasks=3"),
        ("backbone={stem: cifar}", "write dotted paths: backbone.stem=cifar"),
        ("plugins=null", "--set plugins=null: is empty; a recipe needs at least a network, a head, a loss and a phase"),
        ("plugins.loss=xyz", "no plug-in named 'xyz'; known: loss"),
        ("plugins.network.use=xyz", "no plug-in named 'xyz'; known: several, single"),
        (
            "plugins.network.use=single",
            "--set plugins.network.use=single: plugins.network.start: no such option of 'single'",
        ),
        ("plugins.loss=los", "--set plugins.loss=los: plugins.loss.use: no plug-in named 'los'; did you mean 'loss'?"),
    ],
)
def test_override_that_cannot_work_is_told_by_its_own_text(path: Path, override: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, REGISTRY, [override])
    assert len(caught.value.problems) == 1
    assert message in str(caught.value.problems[0])


def test_a_file_on_the_command_line_is_meant_from_the_current_folder(
    path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path_factory.mktemp("here")
    (here / "mine.py").write_text("from incrlearn import Plugin\n\n\nclass Mine(Plugin):\n    kind = 'loss'\n")
    monkeypatch.chdir(here)
    recipe = load_recipe(path, REGISTRY, ["plugins.mine={use: ./mine.py:Mine}"])
    assert value_at(recipe, "plugins.mine.use") == f"{here}/mine.py:Mine"
