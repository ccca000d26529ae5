"""From a file to a recipe: what is filled in, what is refused and in which words, and what two recipes share."""

import json
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import Field, model_validator

from incrlearn.errors import RecipeError
from incrlearn.plugin import Plugin
from incrlearn.recipe import Recipe, load_recipe, recipe_from_dict
from incrlearn.registry import Registry


class Images(Plugin):
    """A data set."""

    kind = "data"

    class Config(Plugin.Config):
        flip: bool = False
        """Mirror."""


class Grows(Plugin):
    """A network with parts."""

    kind = "network"
    provides = frozenset({"parts"})

    class Config(Plugin.Config):
        start: Literal["previous", "fresh"] = "previous"


class Fixed(Plugin):
    """A network without."""

    kind = "network"


class Head(Plugin):
    """A head."""

    kind = "head"


class Loss(Plugin):
    """A loss."""

    kind = "loss"
    provides = frozenset({"classification"})


class Auxiliary(Plugin):
    """Needs parts."""

    kind = "loss"
    needs = frozenset({"parts"})

    class Config(Plugin.Config):
        weight: float = Field(1.0, ge=0)


class Memory(Plugin):
    """A memory with a rule over two options."""

    kind = "memory"

    class Config(Plugin.Config):
        total: int | None = Field(None, ge=1)
        per_class: int | None = Field(None, ge=1)

        @model_validator(mode="after")
        def _one(self) -> "Memory.Config":
            if (self.total is None) == (self.per_class is None):
                raise ValueError("give exactly one of total, per_class")
            return self


class Schedule(Plugin.Config):
    lr: float = Field(0.1, gt=0)
    milestones: tuple[int, ...] = (110, 130)


class Train(Plugin):
    """A phase."""

    kind = "phase"

    class Config(Schedule):
        epochs: int = Field(ge=1)
        share: float = Field(0.5, ge=0, le=1)
        scale: tuple[float, float] = (0.5, 1)
        first: Schedule | None = None
        note: str | None = "from the paper"


class Log(Plugin):
    """A logger."""

    kind = "log"
    affects_result = False

    class Config(Plugin.Config):
        file: str = "metrics.jsonl"


class WrongDefaults(Plugin):
    """Its default is outside its own range."""

    class Config(Plugin.Config):
        size: int = Field(0, ge=1)


REGISTRY = Registry(
    [],
    {
        "images": Images,
        "grows": Grows,
        "fixed": Fixed,
        "head": Head,
        "loss": Loss,
        "auxiliary": Auxiliary,
        "memory": Memory,
        "train": Train,
        "log": Log,
        "wrong_defaults": WrongDefaults,
    },
)

GOOD = """\
# A good one
data: {use: images, tasks: 5, order: paper-1}
backbone: resnet18
plugins:
  network: {use: grows, start: fresh}
  head: head
  loss: loss
  auxiliary: {use: auxiliary, weight: 2}
  memory: {use: memory, total: 30}
  train: {use: train, epochs: 3, lr: 1e-2, milestones: [1, 2]}
  log: log
"""


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Write a recipe file."""

    def write_file(text: str, name: str = "recipe.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


def problems_of(path: Path, *overrides: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, REGISTRY, overrides)
    assert caught.value.exit_code == 2
    return [str(problem) for problem in caught.value.problems]


def variant(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


def test_good_recipe_is_read_with_its_defaults(write: Any) -> None:
    recipe = load_recipe(write(GOOD), REGISTRY)
    assert (recipe.name, recipe.seed, recipe.precision, recipe.eval_batch) == ("recipe", 1, "auto", 256)
    assert (recipe.backbone.name, recipe.backbone.stem, recipe.backbone.pretrained) == ("resnet18", "default", False)
    assert (recipe.data.use, recipe.data.plugin, recipe.data.scenario.tasks) == ("images", Images, 5)
    assert recipe.data.scenario.order == "paper-1"
    assert [choice.key for choice in recipe.plugins] == [
        "network", "head", "loss", "auxiliary", "memory", "train", "log",
    ]  # fmt: skip
    train = recipe.plugins[5]
    assert train.plugin is Train
    assert train.config.model_dump() == {
        "lr": 0.01, "milestones": (1, 2), "epochs": 3, "share": 0.5, "scale": (0.5, 1.0), "first": None,
        "note": "from the paper",
    }  # fmt: skip
    assert recipe.expected is None
    with pytest.raises(FrozenInstanceError):
        recipe.seed = 2  # type: ignore[misc]


def test_resolved_holds_everything_and_loads_back(write: Any, tmp_path: Path) -> None:
    recipe = load_recipe(write(GOOD), REGISTRY)
    plain = recipe.resolved()
    assert plain["plugins"]["auxiliary"] == {"use": "auxiliary", "weight": 2.0}
    assert plain["data"] == {
        "use": "images", "tasks": 5, "order": "paper-1", "cumulative": False, "flip": False,
    }  # fmt: skip
    assert json.loads(json.dumps(plain)) == plain
    again = recipe_from_dict(plain, REGISTRY, "again")
    from_file = load_recipe(write(recipe.to_yaml(), "stored.yaml"), REGISTRY)
    assert again.resolved() == from_file.resolved() == plain
    assert again.fingerprint == from_file.fingerprint == recipe.fingerprint
    assert len(recipe.fingerprint) == 12
    assert set(recipe.fingerprint) <= set("0123456789abcdef")


def test_null_means_the_default_unless_the_option_can_be_none(write: Any) -> None:
    text = variant("epochs: 3,", "epochs: 3, share: null, note: null,").replace("log: log", "log: null")
    recipe = load_recipe(write(text), REGISTRY)
    assert recipe.plugins[-1].key == "train"
    options = recipe.plugins[-1].config.model_dump()
    assert (options["share"], options["note"]) == (0.5, None)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("weight: 2", "wieght: 2", "line 8: plugins.auxiliary.wieght: no such option; did you mean 'weight'?"),
        ("weight: 2", "weight: true", "line 8: plugins.auxiliary.weight: must be a number of at least 0, not true"),
        (
            "epochs: 3", "epochs: ten",
            "line 10: plugins.train.epochs: must be a whole number of at least 1, not 'ten'",
        ),
        (
            "epochs: 3", 'epochs: "3"',
            "line 10: plugins.train.epochs: must be a whole number of at least 1, not '3' (write it without quotes)",
        ),
        ("epochs: 3", "epochs: 0", "line 10: plugins.train.epochs: must be a whole number of at least 1, not 0"),
        ("epochs: 3", "epochs: 3.0", "line 10: plugins.train.epochs: must be a whole number of at least 1, not 3.0"),
        ("epochs: 3, ", "", "line 10: plugins.train.epochs: missing; give a whole number of at least 1"),
        ("epochs: 3", "epochs: null", "line 10: plugins.train.epochs: missing; give a whole number of at least 1"),
        ("lr: 1e-2", "lr: 0", "line 10: plugins.train.lr: must be a number above 0, not 0"),
        ("lr: 1e-2", "share: 2", "line 10: plugins.train.share: must be a number from 0 to 1, not 2"),
        ("[1, 2]", "[1, x]", "line 10: plugins.train.milestones[1]: must be a whole number, not 'x'"),
        ("[1, 2]", "2", "line 10: plugins.train.milestones: must be a list, each a whole number, not 2"),
        ("[1, 2]", "[1], scale: [1]", "line 10: plugins.train.scale[1]: missing; give a number"),
        ("[1, 2]", "[1], first: {lr: -1}", "line 10: plugins.train.first.lr: must be a number above 0, not -1"),
        (
            "[1, 2]", "[1], first: {lrr: 1}",
            "line 10: plugins.train.first.lrr: no such option; did you mean 'lr'?",
        ),
        ("start: fresh", "start: frsh", "line 5: plugins.network.start: must be one of previous, fresh, not 'frsh'"),
        ("total: 30", "total: 30, per_class: 2", "line 9: plugins.memory: give exactly one of total, per_class"),
        ("use: grows", "use: grow", "line 5: plugins.network.use: no plug-in named 'grow'; did you mean 'grows'?"),
        ("head: head", "head: 3", "line 6: plugins.head: must be a plug-in's name or {use: name, ...}, not 3"),
        ("head: head", "head: {bias: 3}", "line 6: plugins.head: 'use' is missing; write head: {use: name, ...}"),
        ("head: head", "head: {use: 3}", "line 6: plugins.head.use: must be the name of a plug-in, not 3"),
        ("head: head", "my head: head", "must be a word of letters, digits and underscores"),
        ("log: log", "log: images", "line 11: plugins.log: 'images' is a data set; name it as data: {use: images}"),
        ("use: images", "use: loss", "line 2: data.use: 'loss' is of kind 'loss'; name it under plugins"),
        ("tasks: 5", "tasks: 5, flop: true", "line 2: data.flop: no such option; did you mean 'flip'?"),
        ("tasks: 5", "task: 5", "line 2: data.task: no such option; did you mean 'tasks'?"),
        (
            "tasks: 5", "tasks: 5, increment: 2",
            "line 2: data: give exactly one of tasks, increment, increments; not tasks and increment",
        ),
        ("tasks: 5", "tasks: 5, base: 2", "line 2: data: base goes with increment, not with tasks"),
        ("tasks: 5", "increments: [5, 0]", "data.increments[1]: must be a whole number of at least 1, not 0"),
        ("order: paper-1", "order: [1, x]", "data.order[1]: must be a whole number of at least 0, not 'x'"),
        ("order: paper-1", "cumulative: yes", "line 2: data.cumulative: must be true or false, not 'yes'"),
        ("resnet18", "{name: resnet18, steam: cifar}", "line 3: backbone.steam: no such option; did you mean 'stem'?"),
        ("resnet18", "{name: ''}", "line 3: backbone.name: must be text that is not empty, not ''"),
        ("resnet18", "{name: a, options: {b: {c: 1}}}", "line 3: backbone.options.b: must be "),
        ("backbone: resnet18", "# none", "backbone: missing; write, for example, backbone: {name: resnet18"),
        ("data: {", "dta: {", "line 2: dta: no such part of a recipe; did you mean 'data'?"),
        ("# A good one", "seed: -1", "line 1: seed: must be a whole number of at least 0, not -1"),
        ("# A good one", "precision: fp16", "precision: must be one of auto, float32, bf16, not 'fp16'"),
        ("# A good one", "expected: {average: 1, last: 101, source: me}", "expected.last: must be a number from 0 to"),
        ("  log: log\n", "  log: log\n  size: wrong_defaults", "plugins.size: the defaults of"),
    ],
)  # fmt: skip
def test_mistake_is_told_with_line_path_and_remedy(write: Any, old: str, new: str, message: str) -> None:
    found = problems_of(write(variant(old, new)))
    assert any(message in problem for problem in found), found


def test_all_problems_are_told_at_once(write: Any) -> None:
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
        load_recipe(write(text), REGISTRY)
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("recipe.yaml: 4 problems")
    assert lines[1].startswith("  line 4: plugins.pruning.use: no plug-in named 'chanel_mask'")
    assert lines[2:] == [
        "  line 5: plugins.auxiliary.wieght: no such option; did you mean 'weight'?",
        "  line 6: plugins.memory: give exactly one of total, per_class",
        "  line 8: 'train' is written twice (first on line 7)",
    ]


def test_needs_are_checked_and_who_provides_is_named(write: Any) -> None:
    found = problems_of(write(variant("{use: grows, start: fresh}", "fixed")))
    assert found == ["line 8: plugins.auxiliary needs 'parts', which no plug-in here provides; 'grows' does"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  head: head\n", "", "line 4: plugins: none is of kind 'head', and a recipe needs one; there are 'head'"),
        ("  head: head\n", "  head: head\n  two: head\n", "line 7: plugins: 'head' and 'two' are all of kind 'head'"),
        ("  train: {", "  #: {", "plugins: none is of kind 'phase'"),
    ],
)
def test_kinds_that_must_be_there(write: Any, old: str, new: str, message: str) -> None:
    assert any(message in problem for problem in problems_of(write(variant(old, new))))


@pytest.mark.parametrize("text", ["", "[1, 2]", "just text", "# only a comment", "3"])
def test_recipe_must_be_a_mapping(write: Any, text: str) -> None:
    assert "a recipe is a mapping with data, backbone and plugins, not" in problems_of(write(text))[0]


def test_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("# größe".encode("latin-1"))
    assert "is not UTF-8 text" in problems_of(tmp_path / "latin.yaml")[0]
    assert "No such file" in problems_of(tmp_path / "none.yaml")[0]
    assert "cannot be read" in problems_of(tmp_path)[0]


def test_local_plugin_is_found_beside_the_recipe_and_becomes_absolute(write: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from incrlearn import Plugin\nclass Mine(Plugin):\n    kind = 'loss'\n"
        "    class Config(Plugin.Config):\n        gamma: float = 2\n"
    )
    recipe = load_recipe(write(variant("loss: loss", "loss: {use: ./mine.py:Mine, gamma: 1}")), REGISTRY)
    assert recipe.resolved()["plugins"]["loss"] == {"use": f"{tmp_path.resolve()}/mine.py:Mine", "gamma": 1.0}
    assert recipe_from_dict(recipe.resolved(), REGISTRY, "x").fingerprint == recipe.fingerprint
    assert "mine.py has no class 'Mne'" in problems_of(write(variant("loss: loss", "loss: ./mine.py:Mne")))[0]


# -- extends


def plain_plugins(recipe: Recipe) -> dict[str, Any]:
    plugins: dict[str, Any] = recipe.resolved()["plugins"]
    return plugins


def test_extends_merges_and_null_takes_out(write: Any) -> None:
    base = load_recipe(write(GOOD + "expected: {average: 1, last: 1, source: me}\n", "base.yaml"), REGISTRY)
    child = load_recipe(
        write("extends: base.yaml\nseed: 3\nplugins:\n  auxiliary: null\n  train: {epochs: 7}\n  loss: {use: loss}\n"),
        REGISTRY,
    )
    expected = plain_plugins(base)
    del expected["auxiliary"]
    expected["train"]["epochs"] = 7
    assert plain_plugins(child) == expected
    assert list(plain_plugins(child)) == [key for key in plain_plugins(base) if key != "auxiliary"]
    assert (child.seed, base.seed) == (3, 1)
    # What a source reports for one recipe is not said of its variants.
    assert base.expected is not None
    assert child.expected is None


def test_row_that_uses_another_plugin_has_its_own_options(write: Any) -> None:
    write(GOOD, "base.yaml")
    for row in ("fixed", "{use: fixed}", "{use: fixed, start: null}"):
        recipe = load_recipe(write(f"extends: base.yaml\nplugins: {{network: {row}, auxiliary: null}}"), REGISTRY)
        assert plain_plugins(recipe)["network"] == {"use": "fixed"}


def test_problem_of_a_base_names_its_file(write: Any) -> None:
    write(variant("weight: 2", "wieght: 2"), "base.yaml")
    found = problems_of(write("extends: base.yaml\nplugins:\n  train: {epochs: 0}\n"))
    assert found == [
        "line 3: plugins.train.epochs: must be a whole number of at least 1, not 0",
        "base.yaml, line 8: plugins.auxiliary.wieght: no such option; did you mean 'weight'?",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: bse.yaml", "line 1: extends: 'bse.yaml': no such file; did you mean 'base.yaml'?"),
        ("extends: 3", "line 1: extends: must be the path of one recipe, not 3"),
        ("extends: recipe.yaml", "line 1: extends: goes round in a circle: recipe.yaml -> recipe.yaml"),
        ("extends: other.yaml", "other.yaml, line 1: extends: goes round in a circle: recipe.yaml -> other.yaml -> re"),
        (
            "extends: base.yaml\nplugins: {auxilary: null}",
            "line 2: plugins.auxilary: there is none to take out of base.yaml; did you mean 'auxiliary'?",
        ),
    ],
)
def test_extends_that_cannot_work_is_told(write: Any, text: str, message: str) -> None:
    write(GOOD, "base.yaml")
    write("extends: recipe.yaml", "other.yaml")
    found = problems_of(write(text))
    assert len(found) == 1
    assert message in found[0]


def test_recipe_from_dict_takes_plain_values_only() -> None:
    with pytest.raises(RecipeError, match=r"extends: no such part") as caught:
        recipe_from_dict({"extends": "x.yaml", 3: 4, "seed": float("nan"), "data": {1, 2}}, REGISTRY, "mine")
    assert str(caught.value).startswith("mine: ")
    assert "the key 3 must be text" in str(caught.value)
    assert "nan is not a finite number" in str(caught.value)
    assert "is no plain value" in str(caught.value)


# -- fingerprint


def plain_recipe() -> dict[str, Any]:
    return {
        "data": {"use": "images", "tasks": 5, "order": "natural"},
        "backbone": {"name": "resnet18", "options": {"a": 1, "b": [1, 2]}},
        "plugins": {
            "network": {"use": "grows", "start": "fresh"},
            "head": {"use": "head"},
            "loss": {"use": "loss"},
            "train": {"use": "train", "epochs": 3, "lr": 0.5, "share": 0.25},
        },
    }


def fingerprint(data: dict[str, Any], name: str = "x") -> str:
    return recipe_from_dict(data, REGISTRY, name).fingerprint


@given(st.randoms(use_true_random=False))
def test_order_of_options_does_not_change_the_fingerprint(random: Any) -> None:
    def shuffled(mapping: dict[str, Any]) -> dict[str, Any]:
        keys = list(mapping)
        random.shuffle(keys)
        return {key: mapping[key] for key in keys}

    data = plain_recipe()
    rows = {key: shuffled(row) for key, row in data["plugins"].items()}
    mixed = shuffled({**data, "data": shuffled(data["data"]), "backbone": shuffled(data["backbone"]), "plugins": rows})
    assert fingerprint(mixed) == fingerprint(data)


@given(st.permutations(["network", "head", "loss", "train"]))
def test_order_of_plugins_changes_the_fingerprint(keys: list[str]) -> None:
    data = plain_recipe()
    mixed = {**data, "plugins": {key: data["plugins"][key] for key in keys}}
    assert (fingerprint(mixed) == fingerprint(data)) == (keys == list(data["plugins"]))


def test_fingerprint_counts_what_decides_the_result_and_nothing_else() -> None:
    data = plain_recipe()
    original = fingerprint(data)
    same = {**data, "expected": {"average": 1, "last": 2, "source": "me"}, "precision": "auto"}
    same["plugins"] = {**data["plugins"], "log": {"use": "log", "file": "x.jsonl"}}
    assert fingerprint(same, "another name") == original
    for path, value in [
        (("seed",), 2), (("eval_batch",), 2), (("precision",), "bf16"), (("backbone", "stem"), "cifar"),
        (("data", "flip"), True), (("data", "order"), 3), (("plugins", "train", "lr"), 0.51),
        (("backbone", "options", "a"), 2), (("plugins", "network", "start"), "previous"),
    ]:  # fmt: skip
        other = json.loads(json.dumps(data))
        place = other
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        assert fingerprint(other) != original, path


OPTIONS = st.fixed_dictionaries(
    {"use": st.just("train"), "epochs": st.integers(1, 10**6)},
    optional={
        "lr": st.floats(0, 1e9, exclude_min=True) | st.integers(1, 9),
        "share": st.floats(0, 1),
        "milestones": st.lists(st.integers(), max_size=4),
        "scale": st.tuples(st.floats(-1e300, 1e300), st.integers(-9, 9)).map(list),
        "note": st.none() | st.text(),
        "first": st.none() | st.fixed_dictionaries({}, optional={"lr": st.floats(1e-300, 1)}),
    },
)
ORDERS = st.sampled_from(["natural", "seed", "paper-1", "1e-4"]) | st.integers(0, 99) | st.lists(st.integers(0, 99))
BACKBONE_VALUES = st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    options=OPTIONS,
    order=ORDERS,
    values=st.dictionaries(st.text(), BACKBONE_VALUES | st.lists(BACKBONE_VALUES, max_size=3), max_size=3),
)
def test_every_recipe_loads_back_from_what_it_resolves_to(
    tmp_path: Path, options: dict[str, Any], order: Any, values: dict[str, Any]
) -> None:
    data = plain_recipe()
    data["plugins"]["train"] = options
    data["data"]["order"] = order
    data["backbone"]["options"] = values
    recipe = recipe_from_dict(data, REGISTRY, "x")
    stored = tmp_path / "stored.yaml"
    stored.write_text(recipe.to_yaml(), encoding="utf-8")
    again = load_recipe(stored, REGISTRY)
    assert again.resolved() == recipe.resolved()
    assert again.fingerprint == recipe.fingerprint == fingerprint(recipe.resolved())


def assert_recipe_or_recipe_error(path: Path) -> None:
    """Anything else that is raised fails the test by itself."""
    try:
        outcome = load_recipe(path, REGISTRY).fingerprint
    except RecipeError as error:
        outcome = str(error)
    assert outcome


WORDS = st.sampled_from(
    [
        *GOOD.split(),
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
def test_any_text_gives_a_recipe_or_a_recipe_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    assert_recipe_or_recipe_error(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(data=st.data())
def test_any_edit_of_a_recipe_gives_a_recipe_or_a_recipe_error(tmp_path: Path, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, min(len(GOOD), start + 20)))
    path = tmp_path / "recipe.yaml"
    path.write_text(GOOD[:start] + data.draw(WORDS | st.text(max_size=3).map(str)) + GOOD[end:], "utf-8", "replace")
    assert_recipe_or_recipe_error(path)
