"""What may have been meant by a word that is no option, no command, or one too many."""

from dataclasses import dataclass

import pytest

from incrlearn.cli.usage import extra_word, no_such_command, no_such_option


@dataclass
class Option:
    """As much of an option as is looked at."""

    metavar: str | None = None


RUN = {"--set": Option("PATH=VALUE"), "--seed": Option("N"), "--data": Option("DIR"), "--out": Option("DIR")}
RUN |= {"--resume": Option(), "--device": Option()}
COMPARE = {"--strict": Option(), "--help": Option()}


@pytest.mark.parametrize(
    ("option", "known", "told"),
    [
        ("--sed", RUN, "did you mean '--seed'?"),
        ("--output", RUN, "did you mean '--out'?"),
        ("--res", RUN, "did you mean '--resume'?"),
        ("-seed", RUN, "did you mean '--seed'?"),
        ("-s", RUN, "did you mean '--set' or '--seed'?"),
        ("--gpu", RUN, "choose a GPU with --device cuda:0"),
        ("--gpus", RUN, "choose a GPU with --device cuda:0"),
        ("--seeds", RUN, "one seed is --seed 1, several are incrlearn ablate --seeds 1,2,3"),
        ("--epochs", RUN, "settings are given as --set PATH=VALUE"),
        ("--metric", COMPARE, "known: --help, --strict"),
        ("--gpu", COMPARE, "known: --help, --strict"),
    ],
)
def test_option_is_told_with_what_may_have_been_meant(option: str, known: dict[str, Option], told: str) -> None:
    assert no_such_option(option, known) == f"{option}: no such option; {told}"


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("train", "did you mean 'incrlearn run'?"),
        ("chekc", "did you mean 'incrlearn check'?"),
        ("der_digits", "did you mean 'incrlearn run der_digits'?"),
        ("my own.yaml", "did you mean 'incrlearn run 'my own.yaml''?"),
        ("frobnicate", "known: run, check"),
        ("plot", "known: run, check"),
    ],
)
def test_command_is_told_with_what_may_have_been_meant(word: str, told: str) -> None:
    assert no_such_command(word, "incrlearn", ["run", "check"]) == f"no such command: {word}; {told}"


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("plugins.train.lr=1", "plugins.train.lr=1: settings stand behind --set; write --set plugins.train.lr=1"),
        ("+plugins.x={use: y}", "+plugins.x={use: y}: settings stand behind --set; write --set 'plugins.x={use: y}'"),
        ("2}", "2}: one word too many; put quotes around a setting with spaces: --set 'plugins.x={use: name}'"),
        ("device=cpu", "device=cpu: options begin with two dashes; write --device cpu"),
        ("2", "several seeds are written in one word: incrlearn ablate --seeds 1,2,3"),
        ("other", "other: one word too many; incrlearn run takes RECIPE and options only"),
    ],
)
def test_word_too_many_is_told_with_where_it_belongs(word: str, told: str) -> None:
    assert extra_word(word, "incrlearn run", ["RECIPE"], RUN) == told


def test_word_too_many_for_a_command_without_settings() -> None:
    assert extra_word("a=b", "incrlearn schema", [], COMPARE) == (
        "a=b: one word too many; incrlearn schema takes options only"
    )
