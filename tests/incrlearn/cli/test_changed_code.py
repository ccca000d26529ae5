"""What a person is told after the code of a plug-in was changed."""

from pathlib import Path
from typing import Any

import pytest

LOSS = """
from incrlearn import LossTerm, Plugin, hookimpl


class Mine(Plugin):
    kind = "loss"

    @hookimpl
    def loss_terms(self, state, out):
        if state.task.number == 2:
            raise RuntimeError("not yet")
        return [LossTerm(self.name, out.logits.square().mean())]
"""
MENDED = LOSS.replace("state.task.number == 2", "False")
OWN = "extends: small.yaml\nplugins: {mine: ./mine.py:Mine}\n"
GRID = "base: own.yaml\nseeds: [1, 2]\nvariants:\n  without mine: {plugins.mine: null}\n"


@pytest.fixture
def own(folder: Path) -> Path:
    (folder / "mine.py").write_text(LOSS)
    (folder / "own.yaml").write_text(OWN)
    (folder / "grid.yaml").write_text(GRID)
    return folder


def test_a_run_that_its_plugin_stopped_goes_on_with_a_warning(incrlearn: Any, own: Path) -> None:
    command = ("run", "own.yaml", "--device", "cpu", "--out", "run")
    stopped = incrlearn(*command)
    assert stopped.code == 1
    again = "incrlearn run own.yaml --device cpu --resume --out run"
    assert f"what is finished is kept; when that is mended, go on with: {again}" in stopped.out
    (own / "mine.py").write_text(MENDED)
    outcome = incrlearn(*command, "--resume")
    assert outcome.code == 0
    assert "warning: this run was trained with other code of plugins.mine so far" in outcome.out
    assert "task 1/2" not in outcome.out
    # What the run wrote tells of both when it is trained again.
    again = incrlearn("check", "run/recipe.yaml")
    assert again.code == 0
    assert "the code of plugins.mine" in again.err
    assert again.err.count("notice") == 1


def test_an_ablation_trains_changed_code_again_or_counts_it_as_it_is(incrlearn: Any, own: Path) -> None:
    (own / "mine.py").write_text(MENDED)
    command = ("ablate", "grid.yaml", "--device", "cpu", "--out", "pool")
    assert incrlearn(*command).code == 0
    (own / "mine.py").write_text(MENDED.replace("square()", "abs()"))
    outcome = incrlearn(*command, "--dry-run")
    assert "2 of 4 runs are done" in outcome.out
    assert "2 runs were trained with other code of plugins.mine, and not counted" in outcome.out
    outcome = incrlearn(*command, "--dry-run", "--any-code")
    assert "4 of 4 runs are done" in outcome.out
    assert "2 runs were trained with other code of plugins.mine, counted all the same" in outcome.out
    assert "nothing to train" in outcome.out
    assert incrlearn(*command, "--any-code").code == 0
    table = (own / "pool" / "tables" / "grid" / "table.md").read_text()
    assert "2 runs were trained with other code of plugins.mine." in table
    (own / "mine.py").write_text(MENDED)
    outcome = incrlearn(*command, "--dry-run")
    assert "4 of 4 runs are done" in outcome.out
    assert "other code" not in outcome.out
