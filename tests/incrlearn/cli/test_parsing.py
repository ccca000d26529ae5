"""Command lines that cannot be read: one style for all, each mistake with what to write instead."""

import os
import subprocess
import sys
from pathlib import Path
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


AT_LEAST_0 = "must be a whole number of at least 0, not"
RECIPE = "a recipe file, or the name of a shipped one such as der_digits"


@pytest.mark.parametrize(
    ("line", "where", "told"),
    [
        ("run r --seed x", "incrlearn run", f"--seed: {AT_LEAST_0} 'x'"),
        (
            "run r --seed 1,2,3",
            "incrlearn run",
            f"--seed: {AT_LEAST_0} '1,2,3'; several seeds: incrlearn ablate --seeds 1,2,3",
        ),
        ("check r --seed=-1", "incrlearn check", f"--seed: {AT_LEAST_0} '-1'"),
        ("ablate r --jobs 0", "incrlearn ablate", "--jobs: must be a whole number of at least 1, not '0'"),
        ("verify . --tolerance nan", "incrlearn verify", "--tolerance: must be a number of at least 0, not 'nan'"),
        ("run r --seed", "incrlearn run", "--seed: a value must stand behind it; write --seed N"),
        ("run r --resume=3", "incrlearn run", "--resume: takes no value; write --resume alone"),
        ("run r -s 3", "incrlearn run", "-s: no such option; did you mean '--set' or '--seed'?"),
        ("run", "incrlearn run", f"RECIPE is missing; write incrlearn run RECIPE: {RECIPE}"),
        (
            "plugins check",
            "incrlearn plugins check",
            "NAME is missing; write incrlearn plugins check NAME: a plug-in's name, or ./file.py:Class",
        ),
        ("plugins chek focal", "incrlearn plugins", "no such command: chek; did you mean 'check'?"),
        (
            "run r a.b=3",
            "incrlearn run",
            "a.b=3: settings stand behind --set; write --set a.b=3",
        ),
        ("train r", "incrlearn", "no such command: train; did you mean 'incrlearn run'?"),
        ("--versio", "incrlearn", "--versio: no such option; did you mean '--version'?"),
    ],
)
def test_mistake_is_told_in_one_style(incrlearn: Any, line: str, where: str, told: str) -> None:
    outcome = incrlearn(*line.split())
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == f"error: {where}: 1 problem\n  {told}\n"


def test_option_that_must_be_there_is_told_with_what_it_takes(incrlearn: Any) -> None:
    outcome = incrlearn("new-plugin", "mine")
    assert outcome.code == 2
    assert "  --kind is missing; write --kind KIND: one of network, head, loss," in outcome.err


def test_option_of_a_command_in_front_of_it_is_told(incrlearn: Any) -> None:
    outcome = incrlearn("--seed", "3", "run", "small.yaml")
    assert outcome.code == 2
    assert "--version; options of a command stand behind its name" in outcome.err


def test_all_words_too_many_are_told_at_once(incrlearn: Any) -> None:
    outcome = incrlearn("run", "small.yaml", "other", "seed=4")
    assert outcome.err == (
        "error: incrlearn run: 2 problems\n"
        "  other: one word too many; incrlearn run takes RECIPE and options only\n"
        "  seed=4: options begin with two dashes; write --seed 4\n"
    )


def test_what_stands_behind_two_dashes_is_no_option(incrlearn: Any) -> None:
    outcome = incrlearn("check", "--", "--other.yaml")
    assert outcome.code == 2
    assert outcome.err.startswith("error: --other.yaml: 1 problem\n  no such file in ")


def test_without_a_word_the_help_is_shown(incrlearn: Any) -> None:
    outcome = incrlearn()
    assert outcome.code == 2
    assert "Usage: incrlearn" in outcome.out
    assert "error" not in outcome.err


@pytest.mark.parametrize(
    ("line", "offered"),
    [("incrlearn run --foo --se", ["--set", "--seed"]), ("incrlearn run x --seed 1,2 --de", ["--device"])],
)
def test_completion_goes_on_behind_a_mistake(folder: Path, line: str, offered: list[str]) -> None:
    asked = {"_INCRLEARN_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    code = "from incrlearn.cli.main import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **asked}, capture_output=True, text=True, check=False
    )
    assert (done.stdout.split(), done.stderr) == (offered, "")
