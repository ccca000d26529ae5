"""Whether the plug-ins of a recipe fit together: the kinds that must be there, and what each needs."""

from typing import Any

import pytest


def test_needs_are_checked_and_who_provides_is_named(write: Any, problems_of: Any, variant: Any) -> None:
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
def test_kinds_that_must_be_there(write: Any, problems_of: Any, variant: Any, old: str, new: str, message: str) -> None:
    assert any(message in problem for problem in problems_of(write(variant(old, new))))
