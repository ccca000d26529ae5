"""The command line as a whole: a mistake gives one message, exit code 2 and never a traceback; help comes at once."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from incrlearn.engine.defaults import CoreDefaults


@pytest.mark.parametrize(
    ("edit", "arguments", "message"),
    [
        (("expandable", "expandible"), (), "did you mean 'expandable'?"),
        (("lr: 0.05", "lrr: 0.05"), (), "plugins.train.lrr: no such option of 'sgd'; did you mean 'lr'?"),
        (("epochs: 2", "epochs: two"), (), "plugins.train.epochs: must be a whole number of at least 1, not 'two'"),
        (("lr: 0.05", "lr: -1"), (), "plugins.train.lr: must be a number above 0, not -1"),
        (("  head: linear", "  head: linear\n  head: linear"), (), "'head' is written twice (first on line 7)"),
        (("[1, 1, 1, 1]", "[1, 1"), (), "not valid YAML"),
        (("name: resnet18", "name: resnet19"), (), "timm has no model named 'resnet19'"),
        (("classes: 4", "classes: 11"), (), "11 classes asked for, but digits has 10"),
        (("tasks: 2", "tasks: 3"), (), "do not split into 3 equal tasks"),
        (("total: 8", "total: 3"), (), "too few exemplars"),
        (("order: natural", "order: papr-1"), (), "no class order named 'papr-1'"),
        (None, ("--set", "plugins.trian.lr=1"), "this recipe has no 'trian' below 'plugins'; did you mean 'train'?"),
        (None, ("--set", "plugins.train.lr=0"), "--set plugins.train.lr=0: must be a number above 0, not 0"),
        (None, ("--set", "data.use=cifar100", "--data", "nowhere"), "cifar100"),
        (None, ("--device", "cuda:77"), "cuda:77"),
        (None, ("--seed", "-1"), "--seed"),
        (None, ("--frobnicate",), "--frobnicate: no such option; settings are given as --set PATH=VALUE"),
    ],
)
@pytest.mark.parametrize("command", ["run", "check"])
def test_wrong_input_gives_one_clear_message_and_exit_code_2(
    incrlearn: Any,
    folder: Path,
    small: str,
    command: str,
    edit: tuple[str, str] | None,
    arguments: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Where a data set is missing it would be downloaded; a proxy that is not there makes that fail at once.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    if edit is not None:
        assert edit[0] in small
        (folder / "small.yaml").write_text(small.replace(*edit))
    outcome = incrlearn(command, "small.yaml", *arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    assert not list(folder.rglob("result.json"))


RAISES = """\
from incrlearn import Plugin, hookimpl


def divided(a, b):
    return a / b


class Raises(Plugin):
    @hookimpl
    def prepare(self, state):
        divided(1, state.task.known)
"""


def test_plugin_that_raises_is_named_with_its_own_frames(incrlearn: Any, folder: Path) -> None:
    (folder / "mine.py").write_text(RAISES)
    (folder / "child.yaml").write_text("extends: small.yaml\nplugins: {mine: './mine.py:Raises'}\n")
    outcome = incrlearn("run", "child.yaml", "--out", "run")
    assert outcome.code == 1
    told, _, error = outcome.err.partition("error: ")
    assert error == "ZeroDivisionError: division by zero\n  while 'mine' answered prepare, task 1\n"
    lines = told.splitlines()
    assert lines[0] == "Traceback of the plug-in (most recent call last):"
    places = [line.partition("mine.py")[2] for line in lines if line.startswith("  File ")]
    assert places == ['", line 11, in prepare', '", line 5, in divided']


def test_plugin_that_answers_wrongly_is_named_without_a_traceback(incrlearn: Any, folder: Path) -> None:
    answer = "    @hookimpl\n    def loss_terms(self, out):\n        return out.logits.mean()\n"
    (folder / "mine.py").write_text("from incrlearn import Plugin, hookimpl\n\n\nclass Mean(Plugin):\n" + answer)
    (folder / "child.yaml").write_text("extends: small.yaml\nplugins: {mine: './mine.py:Mean'}\n")
    outcome = incrlearn("run", "child.yaml", "--out", "run")
    assert outcome.code == 1
    assert outcome.err == (
        "error: plugins.mine: loss_terms must give a list of LossTerm, such as [LossTerm(self.name, loss)]; got a "
        "tensor () of float32\n  while 'mine' answered loss_terms, task 1\n"
    )


def test_failure_of_our_own_is_not_hidden(incrlearn: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object, new: object, memory: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(CoreDefaults.select_data, "__code__", fail.__code__)
    with pytest.raises(ZeroDivisionError, match="ours"):
        incrlearn("run", "small.yaml", "--out", "run")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "der_digit"), "did you mean 'der_digits'?"),
        (("run", "no/such/file.yaml"), "no such file"),
        (("explain", "nothing"), "'incrlearn recipes' lists those that are shipped"),
        (("plugins", "herdin"), "did you mean 'herding'?"),
        (("rnu", "small.yaml"), "no such command: rnu; did you mean 'incrlearn run'?"),
        (("run",), "RECIPE is missing; write incrlearn run RECIPE"),
        (("run", "small.yaml", "--resume"), "there is no unfinished run of this recipe and seed in runs/small"),
    ],
)
def test_wrong_command_line_is_told(incrlearn: Any, arguments: tuple[str, ...], message: str) -> None:
    outcome = incrlearn(*arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.usefixtures("folder")
def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys\nfrom incrlearn.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as left:\n    assert not left.code, left.code\n"
        "assert 'torch' not in sys.modules\n"
    )
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
    for arguments in (["--help"], ["run", "--help"], ["--version"], ["recipes"]):
        command = [sys.executable, "-c", code, *arguments]
        process = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60)
        assert process.returncode == 0, process.stderr
        assert process.stdout


RENAMED = """
from incrlearn import LossTerm, Plugin, hookimpl


class Renamed(Plugin):
    kind = "loss"

    class Config(Plugin.Config):
        weight: float = 1.0

        @classmethod
        def formerly(cls):
            return {"factor": "weight"}

    @hookimpl
    def loss_terms(self, out):
        return [LossTerm(self.name, out.logits.square().mean(), self.config.weight)]
"""


def test_earlier_name_of_an_option_is_told_once_beside_the_result(incrlearn: Any, folder: Path, small: str) -> None:
    (folder / "renamed.py").write_text(RENAMED)
    text = small.replace("  memory:", "  extra: {use: './renamed.py:Renamed', factor: 0.1}\n  memory:")
    (folder / "old.yaml").write_text(text)
    done = incrlearn("check", "old.yaml")
    assert done.code == 0
    line = text[: text.index("factor")].count("\n") + 1
    notice = (
        f"old.yaml, line {line}: plugins.extra.factor is called 'weight' today; write that: the earlier name will go"
    )
    assert [row for row in done.err.splitlines() if row.startswith("notice: ") and row.endswith(notice)] != []
    assert done.err.count("notice: ") == 1


DATA = """
from incrlearn.data import DataPlugin


class Broken(DataPlugin):
    def open(self, root):
        return self.read({})

    def read(self, index):
        return index["train"]


class Nothing(DataPlugin):
    def open(self, root):
        return None
"""


def test_data_plugin_that_raises_shows_its_own_frames_alone(incrlearn: Any, folder: Path) -> None:
    (folder / "mine.py").write_text(DATA)
    (folder / "mine.yaml").write_text("extends: small.yaml\ndata: {use: './mine.py:Broken'}\n")
    outcome = incrlearn("check", "mine.yaml", "--data", "images")
    assert outcome.code == 1
    lines = outcome.err.splitlines()
    assert lines[0] == "Traceback of the plug-in (most recent call last):"
    assert [line.rpartition(", in ")[2] for line in lines if line.startswith("  File ")] == ["open", "read"]
    assert lines[-2:] == [
        "error: KeyError: 'train'",
        f"  while 'data', which is {(folder / 'mine.py').resolve()}:Broken, answered open('images')",
    ]


def test_data_plugin_that_gives_no_source_is_told(incrlearn: Any, folder: Path) -> None:
    (folder / "mine.py").write_text(DATA)
    (folder / "mine.yaml").write_text("extends: small.yaml\ndata: {use: './mine.py:Nothing'}\n")
    outcome = incrlearn("check", "mine.yaml")
    assert outcome.code == 2
    assert "mine.py:Nothing must give an incrlearn.data.Source; got None" in outcome.err
