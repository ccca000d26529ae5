"""Options that are wrong: each mistake is told with its line, its path and what to write instead."""

from typing import Any

import pytest
from pydantic import model_validator

from incrlearn.errors import RecipeError
from incrlearn.plugin import Plugin
from incrlearn.recipe import load_recipe
from incrlearn.registry import Registry


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
        (
            "lr: 1e-2", "lr: '0,01'",
            "plugins.train.lr: must be a number above 0, not '0,01' (write the decimals behind a point: 0.01)",
        ),
        (
            "lr: 1e-2", "lr: 1,5",
            "line 10: plugins.train.5: no such option; the decimals of a number stand behind a point, as in 0.5",
        ),
        ("lr: 1e-2", "lr: 0", "line 10: plugins.train.lr: must be a number above 0, not 0"),
        ("lr: 1e-2", "share: 2", "line 10: plugins.train.share: must be a number from 0 to 1, not 2"),
        ("[1, 2]", "[1, x]", "line 10: plugins.train.milestones[1]: must be a whole number, not 'x'"),
        ("[1, 2]", "2", "plugins.train.milestones: must be a list, each a whole number, not 2 (write [2])"),
        ("[1, 2]", "'12,17'", "milestones: must be a list, each a whole number, not '12,17' (write [12, 17])"),
        ("[1, 2]", "12 17", "milestones: must be a list, each a whole number, not '12 17' (write [12, 17])"),
        ("[1, 2]", "'[1, 2]'", "milestones: must be a list, each a whole number, not '[1, 2]' (write [1, 2])"),
        ("[1, 2]", "[1], scale: '0.5,1'", "scale: must be a list of 2, each a number, not '0.5,1' (write [0.5, 1])"),
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
def test_mistake_is_told_with_line_path_and_remedy(
    write: Any, problems_of: Any, variant: Any, old: str, new: str, message: str
) -> None:
    found = problems_of(write(variant(old, new)))
    assert any(message in problem for problem in found), found


def test_many_names_are_left_to_the_command_that_lists_them(
    write: Any, plugins: dict[str, type[Plugin]], variant: Any
) -> None:
    path = write(variant("log: log", "log: log\n  more: xyz"))
    few = plugins | {f"log_{number}": plugins["log"] for number in range(12 - len(plugins))}
    with pytest.raises(RecipeError, match=r"no plug-in named 'xyz'; known: auxiliary, fixed, .*, wrong_defaults"):
        load_recipe(path, Registry([], few))
    with pytest.raises(RecipeError, match=r"no plug-in named 'xyz'; 'incrlearn plugins' lists them"):
        load_recipe(path, Registry([], few | {"one_more": plugins["log"]}))


@pytest.mark.parametrize("value", ["'12,x'", "true", "x", "{a: 1}"])
def test_what_would_be_no_list_with_brackets_has_no_such_hint(
    write: Any, problems_of: Any, variant: Any, value: str
) -> None:
    (problem,) = problems_of(write(variant("[1, 2]", value)))
    assert "must be a list" in problem
    assert "write" not in problem
    (problem,) = problems_of(write(variant("[1, 2]", "[1], scale: 0.5")))
    assert problem.endswith("scale: must be a list of 2, each a number, not 0.5")


class Trips(Plugin):
    """Has a validator with a mistake of its own."""

    kind = "log"

    class Config(Plugin.Config):
        steps: tuple[int, ...] = ()

        @model_validator(mode="after")
        def _first(self) -> Any:
            assert self.steps[0] >= 0
            return self


def test_a_validator_that_fails_is_told_with_its_line(
    write: Any, plugins: dict[str, type[Plugin]], variant: Any
) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(variant("log: log", "log: trips")), Registry([], plugins | {"trips": Trips}))
    (problem,) = map(str, caught.value.problems)
    told = "line 11: plugins.log: Trips.Config fails on these options: IndexError: tuple index out of range; "
    assert problem.startswith(f"{told}{__file__}, line ")


class Outside(Plugin):
    """Has options where they are none."""

    kind = "loss"
    weight: float = 0.5
    gamma: float
    needs = frozenset()

    def factor(self) -> float:
        return self.weight


class Heir(Outside):
    """Has them from its base class."""


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("weight", "; Heir has 'weight' as an attribute: options go in its class Config(Plugin.Config)"),
        ("gamma", "; Heir has 'gamma' as an attribute: options go in its class Config(Plugin.Config)"),
        *((name, "") for name in ("factor", "kind", "needs", "name", "config", "other")),
    ],
)
def test_option_that_is_an_attribute_of_the_class_is_told_where_to_go(
    write: Any, plugins: dict[str, type[Plugin]], variant: Any, option: str, told: str
) -> None:
    registry = Registry([], plugins | {"outside": Heir})
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(variant("log: log", f"more: {{use: outside, {option}: 1}}")), registry)
    assert [str(problem) for problem in caught.value.problems] == [
        f"line 11: plugins.more.{option}: no such option of 'outside'{told}"
    ]
