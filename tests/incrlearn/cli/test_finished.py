"""What the commands over finished runs share: the warning where code was changed after them."""

import os
from pathlib import Path

import pytest

from incrlearn import Registry, load_recipe
from incrlearn.cli.consoles import output_console
from incrlearn.cli.finished import warn_of_newer_code

PLUGIN = "from incrlearn import Plugin\n\n\nclass Extra(Plugin):\n    kind = 'loss'\n"
RECIPE = "extends: der_digits.yaml\nplugins:\n  extra: {use: './extra.py:Extra'}\n"


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        (1, "was changed after run0 was trained; its numbers are those of the code of then. If it does something else"),
        (2, "was changed after 2 runs were trained; their numbers are those of the code of then. If it does something"),
    ],
)
def test_changed_file_is_told_once_with_the_runs(
    tmp_path: Path, runs: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "extra.py").write_text(PLUGIN)
    (tmp_path / "own.yaml").write_text(RECIPE)
    recipe = load_recipe(tmp_path / "own.yaml", Registry.discover())
    folders = [tmp_path / f"run{number}" for number in range(runs)]
    for folder in folders:
        folder.mkdir()
        (folder / "result.json").touch()
    warn_of_newer_code(output_console(), [(recipe, folder) for folder in folders])
    assert capsys.readouterr().out == ""
    later = (tmp_path / "run0" / "result.json").stat().st_mtime + 60
    os.utime(tmp_path / "extra.py", (later, later))
    warn_of_newer_code(output_console(), [(recipe, folder) for folder in folders])
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"warning: {tmp_path / 'extra.py'} {words}")
