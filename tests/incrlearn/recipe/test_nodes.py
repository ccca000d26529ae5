"""YAML as recipes are read: text and keys, lines, what is refused, and that what is written reads back."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incrlearn.recipe.nodes import Place, Problems, dump_yaml, read_yaml

FILE = Path("recipe.yaml")


def read(text: str) -> tuple[Any, list[str]]:
    """Plain values and problems of a document."""
    problems = Problems("recipe.yaml", FILE)
    node = read_yaml(text, Place(FILE), problems)
    return (node.plain() if node is not None else None), [str(problem) for problem in problems.error().problems]


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
LOOKALIKES = st.sampled_from(
    ["1e-4", "off", "010", "null", "~", "", "0o7", "true", "1e999", ".inf", "<<", "=", "- a", "\x85", "a\n b"]
)
TREES = st.recursive(
    SCALARS | LOOKALIKES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | LOOKALIKES, inner, max_size=3),
    max_leaves=8,
)


@given(TREES)
def test_what_is_written_reads_back_to_the_same_values(value: object) -> None:
    plain, problems = read(dump_yaml(value))
    assert problems == []
    assert repr(plain) == repr(value)


def test_quoted_text_stays_text() -> None:
    assert read("""{a: "1e-4", b: 'off', c: "", d: !!str 12}""")[0] == {"a": "1e-4", "b": "off", "c": "", "d": "12"}


def test_keys_are_text() -> None:
    assert read("{1: a, true: b, null: c}")[0] == {"1": "a", "true": "b", "null": "c"}


def test_repeated_keys_are_told_with_both_lines() -> None:
    plain, problems = read("a:\n  train: 1\n  x: 2\n  train: 3\nx: 1\na: 4\n")
    assert problems == [
        "line 4: 'train' is written twice (first on line 2)",
        "line 6: 'a' is written twice (first on line 1)",
    ]
    assert plain == {"a": {"train": 1, "x": 2}, "x": 1}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\n\tb: 2", 2, "spaces, not tabs"),
        ("a: [1, 2\nb: 3\n", 2, r"a comma is missing before this, or the ']' of line 1 that closes it"),
        ("a: {b: c d: 2}", 1, "a comma is missing before this"),
        ("a:\n  b: {d: 1}\n   c: 2\n", 3, "indented by 3 spaces, the one above by 2 spaces"),
        ("a:\n  b: 1\n\n c: 2\n", 4, "indented by 1 space, the one above by 2 spaces"),
        ("- a\nb: 2\n", 2, "begun on line 1"),
        ("a: b: c", 1, "quotes"),
        ("a: 1\nb: &x 2\nc: *x", 3, "aliases such as \\*x are not read"),
        ("a: 1\nb: !!int 2", 2, "the tag !!int is not read"),
        ("a: 1\nb: !!python/object:os.system x", 2, "the tag !!python/object:os.system is not read"),
        ("a: 1\n? [b]\n: 2", 2, "a key must be a word"),
        ('a: 1\nb: "\\UFFFFFFFF"', 2, "stands for no character"),
        ('a: 1\nb: "\\ud800"', 2, "half a surrogate pair"),
        ("a: 1\nb: \x07", 2, "is not allowed"),
        ("a: 1\nb: .inf", 2, "not a finite number"),
        ("a: 1\n---\nb: 2", 2, "another document"),
    ],
)
def test_what_is_no_recipe_yaml_is_one_problem_with_its_line(text: str, line: int, words: str) -> None:
    _, problems = read(text)
    assert len(problems) == 1
    with pytest.raises(AssertionError, match=rf"line {line}: .*{words}"):
        raise AssertionError(problems[0])


def test_deep_nesting_is_refused() -> None:
    assert read("[" * 20_000)[1] == ["not read: nested too deeply"]


def test_a_name_with_a_colon_is_a_name_where_a_value_follows() -> None:
    problems = Problems("test")
    root = read_yaml("variants:\n  lr:0.1: {plugins.train.lr: 0.1}\n", Place(), problems)
    assert root is not None
    assert root.plain() == {"variants": {"lr:0.1": {"plugins.train.lr": 0.1}}}
    assert not problems
