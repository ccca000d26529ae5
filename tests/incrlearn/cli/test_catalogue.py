"""``incrlearn plugins``, ``recipes`` and ``schema``: what there is to choose from."""

import json
from pathlib import Path
from typing import Any

from incrlearn import __version__


def test_plugins_lists_what_is_installed(incrlearn: Any) -> None:
    outcome = incrlearn("plugins")
    assert outcome.code == 0
    for name in ("expandable", "linear", "herding", "sgd", "digits"):
        assert f"│ {name}" in outcome.out
    assert f"incrlearn {__version__}" in outcome.words


def test_plugins_shows_one_that_cannot_be_loaded(incrlearn: Any, folder: Path, monkeypatch: Any) -> None:
    info = folder / "sad-3.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sad\nVersion: 3.0\n")
    (info / "entry_points.txt").write_text("[incrlearn.plugins]\nsad_loss = sad_module_that_is_not_there:X\n")
    monkeypatch.syspath_prepend(str(folder))
    outcome = incrlearn("plugins")
    assert outcome.code == 0
    assert "sad_loss" in outcome.out
    assert "sad 3.0" in outcome.words
    assert "cannot be used:" in outcome.words
    assert "│ herding" in outcome.out
    assert incrlearn("plugins", "sad_loss").code == 2


def test_plugins_tells_the_options_of_one(incrlearn: Any) -> None:
    outcome = incrlearn("plugins", "auxiliary")
    assert outcome.code == 0
    assert "auxiliary: loss, from incrlearn" in outcome.out
    assert "needs: parts" in outcome.out
    row = next(line for line in outcome.out.splitlines() if line.startswith("│ weight"))
    assert [cell.strip() for cell in row.split("│")][1:5] == ["weight", "float", "1.0", ">= 0"]


def test_plugins_tells_of_one_in_a_file(incrlearn: Any, folder: Path) -> None:
    (folder / "mine.py").write_text("from incrlearn import Plugin\nclass Mine(Plugin):\n    '''My own.'''\n")
    outcome = incrlearn("plugins", "./mine.py:Mine")
    assert outcome.code == 0
    assert "My own." in outcome.out
    assert "no options" in outcome.out


def test_recipes_lists_the_shipped_ones(incrlearn: Any) -> None:
    outcome = incrlearn("recipes")
    assert outcome.code == 0
    row = next(line for line in outcome.out.splitlines() if line.startswith("│ der_cifar100_b0_10 "))
    assert "74.64 %" in row
    assert "│ quick/der_cifar100" in outcome.out


def test_schema_is_json_and_knows_the_plugins(incrlearn: Any, folder: Path) -> None:
    outcome = incrlearn("schema")
    assert outcome.code == 0
    titles = [row.get("title") for row in json.loads(outcome.out)["properties"]["data"]["anyOf"]]
    assert "digits" in titles
    assert incrlearn("schema", "--out", "schema.json").code == 0
    assert json.loads((folder / "schema.json").read_text()) == json.loads(outcome.out)
    assert incrlearn("schema", "--out", "no/such/folder.json").code == 2
