"""Options in words for a table."""

from typing import Literal

import pytest
from pydantic import Field

from incrlearn.plugin import Plugin
from incrlearn.recipe.option_table import OptionRow, option_rows, range_words, type_words


class First(Plugin.Config):
    epochs: int | None = Field(None, ge=1)
    """Passes."""


class Options(Plugin.Config):
    rate: float = Field(0.1, gt=0, le=1)
    """How fast,
    in ``units``."""
    shape: Literal["step", "cosine"] = "step"
    name: str = Field(min_length=1)
    first: First | None = None


def test_rows_tell_all_options_and_those_within_them_in_their_order() -> None:
    assert option_rows(Options) == [
        OptionRow("rate", "float", "0.1", "> 0, <= 1", "How fast, in ``units``."),
        OptionRow("shape", "step | cosine", '"step"', "", ""),
        OptionRow("name", "text", "required", "not empty", ""),
        OptionRow("first", "mapping or null", "null", "", ""),
        OptionRow("first.epochs", "int or null", "null", ">= 1", "Passes."),
    ]


def test_a_plugin_without_options_has_no_rows() -> None:
    assert option_rows(Plugin.Config) == []


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer"}, "int"),
        ({"anyOf": [{"type": "number"}, {"const": "all"}, {"type": "null"}]}, "float or all or null"),
        ({"type": "array", "items": {"type": "integer"}}, "list: int"),
        ({"type": "array", "prefixItems": [{"type": "number"}, {"type": "number"}]}, "list of 2: float"),
        ({"$ref": "#/$defs/Mode"}, "a | b"),
        ({}, "any"),
    ],
)
def test_type_in_a_word_or_two(schema: dict[str, object], words: str) -> None:
    assert type_words(schema, {"Mode": {"enum": ["a", "b"]}}) == words


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer"}, ""),
        ({"minimum": 0, "exclusiveMaximum": 1.0}, ">= 0, < 1"),
        ({"minimum": 2_000_000}, ">= 2000000"),
        ({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}, ">= 1"),
        ({"type": "string", "minLength": 1}, "not empty"),
        ({"type": "string", "pattern": "^a$"}, "matches ^a$"),
        ({"type": "array", "minItems": 1, "items": {"minimum": 1}}, "not empty, each >= 1"),
        ({"type": "array", "minItems": 1, "prefixItems": [{"minimum": 1}]}, "each >= 1"),
    ],
)
def test_range_is_what_the_type_does_not_say(schema: dict[str, object], words: str) -> None:
    assert range_words(schema) == words
