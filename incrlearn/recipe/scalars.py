"""Plain scalars as YAML 1.2's core schema reads them, not as PyYAML does.

``1e-4`` is a number, ``off`` and ``yes`` are text, ``010`` is ten, ``1_000`` and ``12:30`` are text.
"""

from __future__ import annotations

import math
import re

Scalar = bool | int | float | str | None

_NULL = {"", "~", "null", "Null", "NULL"}
_TRUE = {"true", "True", "TRUE"}
_FALSE = {"false", "False", "FALSE"}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LONGEST_INTEGER = 1000


def parse_scalar(text: str) -> Scalar:
    """The value of a plain (unquoted) scalar.

    Raises:
        ValueError: it is a number that is not finite or absurdly long; the message says so.
    """
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INTEGER.fullmatch(text):
        if len(text) > _LONGEST_INTEGER:
            raise ValueError(f"a number of {len(text)} digits; put it in quotes if it is text")
        return int(text)
    if _OCTAL.fullmatch(text) or _HEXADECIMAL.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text) or _NOT_FINITE.fullmatch(text):
        number = math.nan if _NOT_FINITE.fullmatch(text) else float(text)
        if not math.isfinite(number):
            raise ValueError(f"{text} is not a finite number; put it in quotes if it is text")
        return number
    return text
