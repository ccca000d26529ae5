"""``incrlearn plugins``: the list, one of them, and one tried against the contract."""

from pathlib import Path
from typing import Any

from incrlearn import __version__
from incrlearn.cli.plugins import below

GREEDY = """
import torch

from incrlearn import LossTerm, Plugin, hookimpl


class Greedy(Plugin):
    '''Adds noise to the loss.'''

    kind = "loss"

    class Config(Plugin.Config):
        scale: float = 0.1
        '''How much.'''

    @hookimpl
    def loss_terms(self, out):
        return [LossTerm(self.name, self.config.scale * (out.logits * torch.rand(())).mean())]
"""


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
    assert [cell.strip() for cell in row.split("│")][1:4] == ["weight", "1.0", "float, >= 0"]


def test_options_with_much_to_say_keep_room_for_it_on_80_columns(incrlearn: Any) -> None:
    outcome = incrlearn("plugins", "image_folder")
    table = [line for line in outcome.out.splitlines() if line[:1] in "┏┃│└"]
    assert max(map(len, table)) <= 80
    assert len(table) < 40
    assert "The folder with train/ and test/ or val/, below" in outcome.out


def test_plugins_tells_of_one_in_a_file(incrlearn: Any, folder: Path) -> None:
    (folder / "mine.py").write_text("from incrlearn import Plugin\nclass Mine(Plugin):\n    '''My own.'''\n")
    outcome = incrlearn("plugins", "./mine.py:Mine")
    assert outcome.code == 0
    assert "My own." in outcome.out
    assert "no options" in outcome.out


def test_check_tells_every_rule_and_what_breaks_it(incrlearn: Any, folder: Path) -> None:
    (folder / "greedy.py").write_text(GREEDY)
    outcome = incrlearn("plugins", "check", "./greedy.py:Greedy", "--set", "scale=0.01", "--beside", "auxiliary=null")
    assert outcome.code == 1
    lines = outcome.out.splitlines()
    assert "ok: three tasks are trained with it" in lines
    place = lines.index("not so: it draws from no global generator")
    assert lines[place + 1].startswith("  loss_terms, task 1: drew from torch's global generator")
    assert [line for line in lines if line.startswith("not so")] == [lines[place]]


def test_check_of_a_sound_one_leaves_with_0(incrlearn: Any) -> None:
    outcome = incrlearn("plugins", "check", "jsonl")
    assert outcome.code == 0
    assert "not so" not in outcome.out
    assert "ok: stopped and resumed, it comes to the same bits" in outcome.out


def test_check_asks_for_what_the_plugin_needs(incrlearn: Any) -> None:
    outcome = incrlearn("plugins", "check", "channel_mask")
    assert outcome.code == 2
    assert "plugins.subject: give exactly one of keep" in outcome.err
    assert "give options with --set OPTION=VALUE" in outcome.err


def test_check_takes_options_of_options_and_tells_what_is_wrong_with_them(incrlearn: Any) -> None:
    given = ("first.epochs=0", "first.wramup=1", "epohcs=2", "plugins.train.lr=1")
    outcome = incrlearn("plugins", "check", "sgd", *(word for text in given for word in ("--set", text)))
    assert outcome.code == 2
    assert [line.partition(":")[0] for line in outcome.err.splitlines()[1:]] == [
        "  --set first.epochs",
        "  --set first.wramup",
        "  --set epohcs",
        "  --set plugins",
    ]
    assert "--set first.wramup: no such option; did you mean 'warmup'?" in outcome.err
    assert below({"first.epochs": 3, "lr": 1, "first.lr": 2}) == {"first": {"epochs": 3, "lr": 2}, "lr": 1}


def test_check_asks_for_an_option_and_its_value(incrlearn: Any) -> None:
    outcome = incrlearn("plugins", "check", "herding", "--set", "total: 3")
    assert outcome.code == 2
    assert "total: 3: must be OPTION=VALUE, such as epochs=3" in outcome.err
