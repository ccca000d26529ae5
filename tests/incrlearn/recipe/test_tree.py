"""``extends``: what two recipes share, what a child changes or takes out, and whose file a problem names."""

from typing import Any

import pytest

from incrlearn.recipe import Recipe, load_recipe
from incrlearn.registry import Registry


def plain_plugins(recipe: Recipe) -> dict[str, Any]:
    plugins: dict[str, Any] = recipe.resolved()["plugins"]
    return plugins


def test_extends_merges_and_null_takes_out(write: Any, registry: Registry, good: str) -> None:
    base = load_recipe(write(good + "expected: {average: 1, last: 1, source: me}\n", "base.yaml"), registry)
    child = load_recipe(
        write("extends: base.yaml\nseed: 3\nplugins:\n  auxiliary: null\n  train: {epochs: 7}\n  loss: {use: loss}\n"),
        registry,
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


def test_row_that_uses_another_plugin_has_its_own_options(write: Any, registry: Registry, good: str) -> None:
    write(good, "base.yaml")
    for row in ("fixed", "{use: fixed}", "{use: fixed, start: null}"):
        recipe = load_recipe(write(f"extends: base.yaml\nplugins: {{network: {row}, auxiliary: null}}"), registry)
        assert plain_plugins(recipe)["network"] == {"use": "fixed"}


def test_problem_of_a_base_names_its_file(write: Any, problems_of: Any, variant: Any) -> None:
    write(variant("weight: 2", "wieght: 2"), "base.yaml")
    found = problems_of(write("extends: base.yaml\nplugins:\n  train: {epochs: 0}\n"))
    assert found == [
        "line 3: plugins.train.epochs: must be a whole number of at least 1, not 0",
        "base.yaml, line 8: plugins.auxiliary.wieght: no such option; did you mean 'weight'?",
    ]


def test_part_that_is_empty_is_told_at_its_own_line(write: Any, problems_of: Any, good: str) -> None:
    write(good, "base.yaml")
    keep = "; leave it out to keep what the extended recipe has"
    found = problems_of(write("extends: base.yaml\ndata:\nseed: 2\nbackbone: null\nplugins:\n"))
    assert found == [
        f"line 2: data: is empty; write, for example, data: {{use: cifar100, tasks: 10}}{keep}",
        f"line 4: backbone: is empty; write, for example, backbone: {{name: resnet18, stem: cifar}}{keep}",
        f"line 5: plugins: is empty; a recipe needs at least a network, a head, a loss and a phase{keep}",
    ]
    found = problems_of(write("data: {use: images, tasks: 5}\nbackbone: resnet18\nplugins:\n"))
    assert found == ["line 3: plugins: is empty; a recipe needs at least a network, a head, a loss and a phase"]


@pytest.mark.parametrize("row", ["xyz", "{use: xyz}"])
def test_misspelt_row_is_told_the_names_of_the_kind_that_it_replaces(
    write: Any, problems_of: Any, good: str, row: str
) -> None:
    write(good, "base.yaml")
    (problem,) = problems_of(write(f"extends: base.yaml\nplugins: {{loss: {row}}}\n"))
    assert problem == "line 2: plugins.loss.use: no plug-in named 'xyz'; known: auxiliary, loss"
    (problem,) = problems_of(write("extends: base.yaml\nplugins: {loss: imagse}\n"))
    assert "did you mean 'images'?" in problem


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: bse.yaml", "and no shipped recipe of that name; did you mean 'base.yaml'?"),
        (
            "extends: ~no-such-user/base.yaml",
            "line 1: extends: '~no-such-user/base.yaml': no such file, and no shipped recipe of",
        ),
        (f"extends: {'x' * 300}.yaml", "line 1: extends: 'xxx"),
        ("extends: 3", "line 1: extends: must be the path of one recipe, not 3"),
        ("extends: recipe.yaml", "line 1: extends: goes round in a circle: recipe.yaml -> recipe.yaml"),
        ("extends: other.yaml", "other.yaml, line 1: extends: goes round in a circle: recipe.yaml -> other.yaml -> re"),
        (
            "extends: base.yaml\nplugins: {auxilary: null}",
            "line 2: plugins.auxilary: there is none to take out of base.yaml; did you mean 'auxiliary'?",
        ),
    ],
)
def test_extends_that_cannot_work_is_told(write: Any, good: str, problems_of: Any, text: str, message: str) -> None:
    write(good, "base.yaml")
    write("extends: recipe.yaml", "other.yaml")
    found = problems_of(write(text))
    assert len(found) == 1
    assert message in found[0]
