"""Plain scalars are those of YAML 1.2."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incrlearn.recipe.scalars import parse_scalar


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4), ("1E5", 1e5), ("5.0e-4", 5e-4), (".5", 0.5), ("1.", 1.0), ("-0.25", -0.25), ("+3", 3),
        ("010", 10), ("0o10", 8), ("0x1F", 31), ("-7", -7), ("true", True), ("false", False),
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("off", "off"), ("y", "y"), ("Off", "Off"),
        ("null", None), ("~", None), ("", None),
        ("12:30", "12:30"), ("1_000", "1_000"), ("2026-11-21", "2026-11-21"), ("0b1", "0b1"), ("1e", "1e"),
        ("paper-1", "paper-1"), (".", "."), ("-", "-"), ("nan", "nan"), ("inf", "inf"), ("٣", "٣"),
    ],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    parsed = parse_scalar(text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize("text", [".inf", "-.inf", ".nan", "1e999", "9" * 5000])
def test_numbers_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"finite number|5000 digits"):
        parse_scalar(text)


@given(st.integers(-(10**30), 10**30))
def test_every_integer_reads_back(number: int) -> None:
    assert parse_scalar(str(number)) == number
    assert type(parse_scalar(str(number))) is int


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_reads_back(number: float) -> None:
    parsed = parse_scalar(repr(number))
    assert type(parsed) is float
    assert parsed == number
    assert math.copysign(1, parsed) == math.copysign(1, number)
