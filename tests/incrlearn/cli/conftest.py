"""What the tests of the commands share: a folder with a small recipe, and a command line run in this process."""

import re
from pathlib import Path
from typing import Any

import pytest

from incrlearn.cli.main import main

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
SMALL = """\
# A small one
data: {use: digits, classes: 4, tasks: 2, order: natural}
backbone: {name: resnet18, stem: cifar, options: {layers: [1, 1, 1, 1], channels: [4, 4, 4, 4]}}
precision: float32
plugins:
  network: expandable
  head: linear
  loss: cross_entropy
  auxiliary: auxiliary
  memory: {use: herding, total: 8}
  train: {use: sgd, lr: 0.05, batch: 64, epochs: 2, milestones: [1], warmup: 0}
  balance: {use: balanced_head, epochs: 1, milestones: []}
expected: {average: 90.5, last: 80.25, source: a guess, parameters_average: 0.1}
"""


@pytest.fixture(scope="session")
def small() -> str:
    """The text of the small recipe."""
    return SMALL


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: str) -> Path:
    """The test stands in its own folder, with the small recipe in small.yaml; data lie below it too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("INCRLEARN_DATA", raising=False)
    (tmp_path / "small.yaml").write_text(small)
    return tmp_path


class Outcome:
    """What a command left."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err
        # Tables wrap: words are compared without the breaks.
        self.words = " ".join(out.split())


@pytest.fixture
def incrlearn(folder: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command line in this process, beside the small recipe."""

    def run(*arguments: str) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main(arguments)
        text = capsys.readouterr()
        # Typer colours what it prints itself wherever it believes to be in continuous integration.
        return Outcome(int(left.value.code or 0), *(_COLOURS.sub("", printed) for printed in (text.out, text.err)))

    return run
