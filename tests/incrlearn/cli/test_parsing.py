"""Options that a command does not have: all are told at once, each with what to write instead."""

from typing import Any

import pytest


def test_every_unknown_option_is_told_with_what_to_write(incrlearn: Any) -> None:
    outcome = incrlearn("run", "--epochs", "3", "small.yaml", "--sed=2", "--set", "plugins.train.lr=1", "--epochs=4")
    assert outcome.code == 2
    assert outcome.err == (
        "error: incrlearn run: 2 problems\n"
        "  --epochs: no such option; settings are given as --set PATH=VALUE\n"
        "  --sed: no such option; did you mean '--seed'?\n"
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ("plugins", "check", "focal", "--epochs", "3"),
            "--epochs: no such option; settings are given as --set OPTION",
        ),
        (("plugins", "show", "focal", "--all"), "--all: no such option; known: --help"),
        (("new-plugin", "x", "--kid", "loss"), "--kid: no such option; did you mean '--kind'?"),
        (("report", "--ot", "x"), "--ot: no such option; did you mean '--out'?"),
    ],
)
def test_other_commands_tell_it_too(incrlearn: Any, arguments: tuple[str, ...], told: str) -> None:
    outcome = incrlearn(*arguments)
    assert outcome.code == 2
    assert told in outcome.err


def test_what_stands_behind_two_dashes_is_no_option(incrlearn: Any) -> None:
    outcome = incrlearn("check", "--", "--other.yaml")
    assert outcome.code == 2
    assert outcome.err.startswith("error: --other.yaml: 1 problem\n  no such file in ")
