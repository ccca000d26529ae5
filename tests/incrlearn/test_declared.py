"""What a plug-in class declares: what its author is told where it could not work."""

from pathlib import Path

import pytest

from incrlearn import Plugin, PluginError, Registry
from incrlearn.cli.starters import STARTERS
from incrlearn.declared import KINDS, check_declarations

HEAD = """
from incrlearn import Plugin
from incrlearn.data import DataPlugin
from pydantic import Field


"""


def told(folder: Path, text: str) -> str:
    """What is told of class L in a file of that text."""
    (folder / "mine.py").write_text(HEAD + text)
    with pytest.raises(PluginError) as caught:
        Registry([]).load("./mine.py:L", folder)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix("'./mine.py:L': ")


@pytest.mark.parametrize("attribute", ["needs", "provides"])
@pytest.mark.parametrize(
    ("value", "instead"),
    [
        ("'parts'", '{"parts"}'),
        ("['parts', 'maps']", '{"maps", "parts"}'),
        ("('parts',)", '{"parts"}'),
        ("{'parts': 1}", '{"classification"}'),
        ("frozenset({1})", '{"classification"}'),
        ("None", '{"classification"}'),
    ],
)
def test_words_that_are_no_set_are_refused(tmp_path: Path, attribute: str, value: str, instead: str) -> None:
    message = told(tmp_path, f"class L(Plugin):\n    {attribute} = {value}\n")
    assert message == f"L.{attribute} must be a set of words: frozenset({instead})"


def test_plain_set_of_words_goes() -> None:
    class Loss(Plugin):
        provides = {"classification"}  # type: ignore[assignment]  # noqa: RUF012 (as a newcomer writes it)

    assert check_declarations(Loss, "loss") is Loss


@pytest.mark.parametrize("arguments", ["self", "self, name", "self, name, config, more", "self, *, name, config"])
def test_init_that_cannot_be_given_name_and_config_is_refused(tmp_path: Path, arguments: str) -> None:
    message = told(tmp_path, f"class L(Plugin):\n    def __init__({arguments}):\n        pass\n")
    assert message == "L.__init__ must take (self, name, config) and call super().__init__(name, config)"


@pytest.mark.parametrize("arguments", ["self, name, config", "self, key, options, more=1", "self, *both"])
def test_init_that_can_be_given_them_goes(tmp_path: Path, arguments: str) -> None:
    (tmp_path / "mine.py").write_text(f"{HEAD}class L(Plugin):\n    def __init__({arguments}):\n        pass\n")
    assert Registry([]).load("./mine.py:L", tmp_path).__name__ == "L"


@pytest.mark.parametrize(
    ("methods", "hint"),
    [
        (["load"], "; is it 'load'?"),
        (["read", "opens"], "; is it 'opens'?"),
        (["read", "scan"], ""),
        (["_open"], ""),
        ([], ""),
    ],
)
def test_data_without_open_is_refused(tmp_path: Path, methods: list[str], hint: str) -> None:
    body = "".join(f"    def {name}(self, root):\n        return None\n" for name in methods) or "    pass\n"
    assert told(tmp_path, f"class L(DataPlugin):\n{body}") == f"L lacks open(root){hint}"


@pytest.mark.parametrize("kind", ["losses", "Loss", "heads", "phases"])
def test_misspelt_kind_is_refused(tmp_path: Path, kind: str) -> None:
    known = "network, head, loss, prune, memory, phase, adjust, score, data and log"
    assert told(tmp_path, f"class L(Plugin):\n    kind = '{kind}'\n") == f"L.kind is '{kind}'; kinds are {known}"


def test_kind_that_is_no_word_is_refused(tmp_path: Path) -> None:
    assert told(tmp_path, "class L(Plugin):\n    kind = None\n").startswith(
        "L.kind must be a word, not None; kinds are"
    )


@pytest.mark.parametrize("kind", [*KINDS, "other", "optimizer"])
def test_known_kinds_and_words_of_ones_own_go(kind: str) -> None:
    made = type("Own", (Plugin,), {"kind": kind})
    assert check_declarations(made, "own") is made


def test_kinds_are_those_that_packages_are_written_for() -> None:
    assert tuple(STARTERS) == KINDS


@pytest.mark.parametrize(
    ("line", "example"),
    [
        ("gamma = 2.0", "gamma: float = 2.0"),
        ("gamma = 1e-05", "gamma: float = 1e-05"),
        ("gamma = 2", "gamma: int = 2"),
        ("gamma = True", "gamma: bool = True"),
        ("gamma = 'mean'", "gamma: str = 'mean'"),
        ("gamma = None", "gamma: float = 0.5"),
        ("gamma = Field(2.0, ge=0)", "gamma: float = Field(...)"),
    ],
)
def test_option_without_a_type_is_told(tmp_path: Path, line: str, example: str) -> None:
    message = told(tmp_path, f"class L(Plugin):\n    class Config(Plugin.Config):\n        {line}\n")
    assert f"cannot be imported: Config.gamma needs a type, such as {example} (mine.py, line " in message


def test_what_is_no_class_is_told(tmp_path: Path) -> None:
    assert told(tmp_path, "L = 3\n") == "'./mine.py:L' is 3, not a class that inherits from incrlearn.Plugin"


def test_class_that_is_no_plugin_is_told_by_its_own_name(tmp_path: Path) -> None:
    assert told(tmp_path, "class L:\n    pass\n") == "L must inherit from incrlearn.Plugin"
