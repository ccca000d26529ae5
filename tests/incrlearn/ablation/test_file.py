"""Ablation files: what they say, and every mistake at its line."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incrlearn import RecipeError, Registry
from incrlearn.ablation.file import read_grid
from incrlearn.ablation.grid import Grid
from incrlearn.recipe.nodes import dump_yaml

REGISTRY = Registry.discover()
GOOD = """\
# Parts of a tiny one
base: tiny.yaml
seeds: [3, 4]
variants:
  all of it: {}
  no auxiliary:
    plugins.auxiliary: null
columns: [average, last]
"""


def read(tiny: Path, text: str, overrides: tuple[str, ...] = (), seeds: tuple[int, ...] = ()) -> Grid:
    path = tiny.parent / "parts.yaml"
    path.write_text(text)
    return read_grid(str(path), overrides, seeds, REGISTRY)


def test_a_file_gives_its_grid(tiny: Path) -> None:
    grid = read(tiny, GOOD)
    assert (grid.name, grid.title, grid.base) == ("parts", "Parts of a tiny one", "all of it")
    assert (grid.seeds, grid.columns) == ((3, 4), ("average", "last"))
    assert [variant.edits for variant in grid.variants] == [(), ("plugins.auxiliary=null",)]


def test_seeds_and_edits_of_the_command_line_go_before_those_of_the_file(tiny: Path) -> None:
    grid = read(tiny, GOOD, ("plugins.train.epochs=2",), (9,))
    assert grid.seeds == (9,)
    assert all(v.recipe.resolved()["plugins"]["train"]["epochs"] == 2 for v in grid.variants)


def test_without_seeds_the_base_s_own_counts(tiny: Path) -> None:
    assert read(tiny, GOOD.replace("seeds: [3, 4]\n", "")).seeds == (1,)


def test_a_title_is_read_behind_a_byte_order_mark(tiny: Path) -> None:
    assert read(tiny, "\ufeff" + GOOD).title == "Parts of a tiny one"


def test_a_recipe_is_taken_apart(tiny: Path) -> None:
    assert [v.name for v in read_grid(str(tiny), (), (), REGISTRY).variants][1:] == [
        "without auxiliary",
        "without memory",
    ]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("seeds:", "sedes:", "line 3: sedes: no such part of an ablation; did you mean 'seeds'"),
        ("[3, 4]", "[3, 3]", "line 3: seeds: given twice: 3"),
        ("[3, 4]", "[]", "line 3: seeds: must be a list"),
        ("[3, 4]", "[3, -4]", "line 3: seeds: must be a list such as "),
        ("[3, 4]", "[true]", "line 3: seeds: must be a list such as "),
        ("[3, 4]", "3", "line 3: seeds: must be a list such as "),
        ("[average, last]", "[averge]", "line 8: columns: no metric is called 'averge'; did you mean 'average'"),
        ("[average, last]", "[last, last]", "line 8: columns: 'last' is given twice"),
        ("base: tiny.yaml", "base: tniy.yaml", "line 2: base: 'tniy.yaml': no such file"),
        ("base: tiny.yaml", "base: ~no_such_user_here/tiny.yaml", "line 2: base: .*: no such file"),
        ("base: tiny.yaml", f"base: {'a' * 300}", "line 2: base: .*: no such file"),
        ("base: tiny.yaml", "base: [tiny.yaml]", "line 2: base: must be a recipe's path"),
        ("base: tiny.yaml", "", "base: missing; write"),
        ("    plugins.auxiliary: null", "    plugins.auxilary: null", "line 7: variant 'no auxiliary': plugins.auxil"),
        ("    plugins.auxiliary: null", "    plugins..x: null", "line 7: variant 'no auxiliary': .* no dotted path"),
        ("    plugins.auxiliary: null", "    seed: 7", "line 7: variant 'no auxiliary': seeds are those of the whole"),
        (
            "    plugins.auxiliary: null",
            "    plugins.train.lr: -1",
            "line 7: variant 'no auxiliary': plugins.train.lr:",
        ),
        ("    plugins.auxiliary: null", "    plugins.train.lr: 0.05", "line 7: .* changes nothing that counts"),
        ("all of it: {}", "all of it: 3", "line 5: variant 'all of it': must be a mapping"),
        ("all of it: {}", '"": {}', "line 5: variants: a name is blank"),
        ("all of it: {}", "no auxiliary: {}", "line 6: 'no auxiliary' is written twice"),
        ("    plugins.auxiliary: null", "    {}", "line 6: variant 'no auxiliary': 'all of it' stands for the base"),
    ],
)
def test_a_mistake_is_told_at_its_line(tiny: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        read(tiny, GOOD.replace(old, new))


def test_no_line_is_told_twice(tiny: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        read(tiny, GOOD.replace("    plugins.auxiliary: null", "    plugins.nothing: null"))
    assert str(caught.value).count("line ") == 1


@pytest.mark.parametrize("variants", ["", "variants:\n", "variants: {}\n", "variants: []\n"])
def test_an_empty_grid_is_refused(tiny: Path, variants: str) -> None:
    with pytest.raises(RecipeError, match="variants: "):
        read(tiny, f"base: tiny.yaml\n{variants}")


def test_a_broken_base_is_told_at_its_own_line(tiny: Path) -> None:
    tiny.write_text(tiny.read_text().replace("lr: 0.05", "lr: -1"))
    with pytest.raises(RecipeError, match=r"parts.yaml: 1 problem\n  tiny.yaml, line \d+: plugins.train.lr"):
        read(tiny, GOOD)
    with pytest.raises(RecipeError, match=r"2 problems\n  line 3: seeds: given twice: 3\n  tiny.yaml, line \d+: plug"):
        read(tiny, GOOD.replace("[3, 4]", "[3, 3]"))


def test_all_problems_are_told_at_once(tiny: Path) -> None:
    wrong = "    plugins.auxilary: null\n  dotted: {plugins..x: 1}\n  seeded: {seed: 2, plugins.nothing: 3}\n  also: {}"
    with pytest.raises(RecipeError) as caught:
        read(
            tiny,
            GOOD.replace("[3, 4]", "[3, 3]").replace("average", "averge").replace("    plugins.auxiliary: null", wrong),
        )
    told = [str(problem).partition(": ")[2] for problem in caught.value.problems]
    begins = ("seeds: given", "variant 'no auxiliary': plugins.aux", "variant 'dotted': ", "variant 'seeded': seeds")
    rest = ("variant 'also': 'all of it' stands", "columns: no metric")
    assert [text[: len(begin)] for text, begin in zip(told, begins + rest, strict=True)] == list(begins + rest)


def test_extends_in_place_of_base_is_told_beside_all_other_problems(tiny: Path) -> None:
    wrong = GOOD.replace("base: tiny.yaml", "extends: tiny.yaml").replace("[3, 4]", "[3, 3]")
    wrong = wrong.replace("    plugins.auxiliary: null", "    plugins..x: null\n  more: {plugins.auxilary: null}")
    with pytest.raises(RecipeError) as caught:
        read(tiny, wrong.replace("average", "averge"))
    told = [str(problem) for problem in caught.value.problems]
    hint = "an ablation names its recipe as base; write base: tiny.yaml"
    assert told[0] == f"line 2: extends: no such part of an ablation; {hint}"
    begins = (
        "line 3: seeds: given",
        "line 7: variant 'no aux",
        "line 8: variant 'more': plugins.aux",
        "line 9: columns",
    )
    assert [text[: len(begin)] for text, begin in zip(told[1:], begins, strict=True)] == list(begins)


def test_extends_beside_base_is_told_to_be_too_much(tiny: Path) -> None:
    with pytest.raises(
        RecipeError, match=r"1 problem\n  line 8: extends: .* as base, which is given too; leave this out"
    ):
        read(tiny, f"{GOOD}extends: other.yaml\n".replace("columns: [average, last]\n", ""))


def test_base_that_is_missing_is_told_beside_all_other_problems(tiny: Path) -> None:
    with pytest.raises(RecipeError, match=r"2 problems\n  line 2: base: missing; .*\n  line 2: seeds: given twice: 3"):
        read(tiny, GOOD.replace("# Parts of a tiny one\nbase: tiny.yaml\n", "\n").replace("[3, 4]", "[3, 3]"))


@pytest.mark.parametrize(
    ("edits", "instead"),
    [
        ("{plugins: {train: {lr: 0.5, epochs: 2}}}", "plugins: .*: plugins.train.lr: 0.5"),
        ("{plugins: {loss: {use: cross_entropy, tau: 2}}}", "plugins: .*: plugins.loss.tau: 2"),
        ("{plugins: {loss: {use: pod, weight: 2}}}", "plugins: .*: plugins.loss: {use: pod, weight: 2}"),
        ("{plugins: {auxiliary: null}}", "plugins: .*: plugins.auxiliary: null"),
        ("\n      data:\n        tasks: 5", "data: .*: data.tasks: 5"),
        ("{backbone: {stem: cifar}}", "backbone: .*: backbone.stem: cifar"),
        ("{backbone: {name: resnet34}}", "backbone: .*: backbone.name: resnet34"),
        ("{plugins.train: {lr: 0.5}}", "plugins.train: .*: plugins.train.lr: 0.5"),
    ],
)
def test_edits_that_are_nested_are_told_as_dotted_paths(tiny: Path, edits: str, instead: str) -> None:
    words = instead.replace(".*:", "this mapping would stand in place of all that is there; write dotted paths:")
    with pytest.raises(RecipeError) as caught:
        read(tiny, GOOD.replace("no auxiliary:\n    plugins.auxiliary: null", f"nested: {edits}"))
    (problem,) = caught.value.problems
    assert problem.message == f"variant 'nested': {words}"


def test_sections_that_are_whole_are_taken(tiny: Path) -> None:
    edits = ("backbone: resnet34", "data: {use: digits, tasks: 2}", "plugins.loss: {use: binary}")
    for edit in edits:
        grid = read(tiny, GOOD.replace("plugins.auxiliary: null", edit))
        assert len(grid.variants) == 2


def test_rule_that_a_variant_breaks_is_told_at_the_line_of_its_edit(tiny: Path) -> None:
    with pytest.raises(RecipeError, match=r"1 problem\n  line 7: variant 'no auxiliary': plugins.train: warmup \(1\)"):
        read(tiny, GOOD.replace("    plugins.auxiliary: null", "    plugins.train.warmup: 1"))


WORDS = st.sampled_from(["base", "seeds", "variants", "columns", "plugins.auxiliary", "plugins.train.lr", "", "~x/y"])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = WORDS | st.text(max_size=8) | st.sampled_from(["tiny.yaml", "average", "single"])
VALUES: Any = st.recursive(
    LEAVES | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.fixed_dictionaries(
        {"base": st.just("tiny.yaml") | VALUES},
        optional={
            "seeds": st.lists(st.integers(), max_size=3) | VALUES,
            "variants": st.dictionaries(TEXTS, st.dictionaries(TEXTS, VALUES, max_size=2) | VALUES, max_size=3),
            "columns": VALUES,
        },
    )
)
def test_any_mapping_gives_a_grid_or_its_problems(tiny: Path, content: dict[str, Any]) -> None:
    try:
        grid = read(tiny, dump_yaml(content))
    except RecipeError as error:
        assert "problem" in str(error)  # noqa: PT017 (either is good)
    else:
        assert grid.cells()
