"""The training loop: what a phase touches, what it adds up, when hooks are called."""

from pathlib import Path

import pytest
import torch

from incrlearn import (
    Batch,
    LossTerm,
    Output,
    Phase,
    Plugin,
    PluginError,
    Registry,
    RunState,
    hookimpl,
    run_recipe,
)
from incrlearn.engine.phase import EpochTotals, total_loss
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe


def run(out: Path, watcher: object, registry: dict[str, type[Plugin]] | None = None, **plugins: object) -> None:
    known = {"synthetic": SyntheticData, **(registry or {})}
    run_recipe(
        recipe_from_dict(tiny_recipe(**plugins), Registry.of(known), "tiny"), out, device="cpu", watchers=[watcher]
    )


class ClassifierStage:
    """Looks at everything but the head before and after the classifier stage, and at modes within."""

    def __init__(self) -> None:
        self.before: dict[str, torch.Tensor] = {}
        self.changed: list[str] = []
        self.heads: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.training: set[bool] = set()

    @hookimpl
    def phase_start(self, state: RunState) -> None:
        self.before = {name: value.clone() for name, value in state.network.state_dict().items()}

    @hookimpl
    def batch_start(self, state: RunState) -> None:
        if state.phase is not None and state.phase.name == "balance":
            self.training |= {module.training for module in state.network.modules()}

    @hookimpl
    def phase_end(self, state: RunState) -> None:
        if state.phase is None or state.phase.name != "balance":
            return
        after = state.network.state_dict()
        self.changed += [name for name, value in after.items() if not torch.equal(value, self.before[name])]


def test_classifier_stage_changes_the_head_and_nothing_else(tmp_path: Path) -> None:
    watcher = ClassifierStage()
    run(tmp_path / "run", watcher)
    assert set(watcher.changed) == {"head.weight"}
    assert watcher.training == {False}


class Temperatures:
    """Logits as the losses see them against those of the network."""

    def __init__(self) -> None:
        self.ratios: dict[str, set[float]] = {}

    @hookimpl
    def loss_terms(self, state: RunState, out: Output) -> None:
        assert state.phase is not None
        plain = out.features @ state.network.head.weight.T
        ratio = float((plain.norm() / out.logits.norm()).detach())
        self.ratios.setdefault(state.phase.name, set()).add(round(ratio, 3))


def test_temperature_divides_logits_in_its_phase_only(tmp_path: Path) -> None:
    watcher = Temperatures()
    run(tmp_path / "run", watcher)
    assert watcher.ratios == {"train": {1.0}, "balance": {5.0}}


class Positions:
    """Where in the epoch each batch says it is."""

    def __init__(self) -> None:
        self.epochs: list[list[float]] = []

    @hookimpl
    def epoch_start(self) -> None:
        self.epochs.append([])

    @hookimpl
    def batch_start(self, position: float) -> None:
        self.epochs[-1].append(position)


def test_position_runs_from_0_to_1_in_each_epoch(tmp_path: Path) -> None:
    watcher = Positions()
    run(tmp_path / "run", watcher)
    # Task 1: 2 classes x 20 images in batches of 16.
    assert watcher.epochs[0] == [0.0, 0.5, 1.0]
    assert all(positions[0] == 0.0 and positions == sorted(positions) for positions in watcher.epochs)


class Rows:
    def __init__(self) -> None:
        self.rows: list[dict[str, object]] = []

    @hookimpl
    def record(self, row: dict[str, object]) -> None:
        self.rows.append(row)


def test_rows_come_in_order_with_the_rate_of_their_epoch(tmp_path: Path) -> None:
    watcher = Rows()
    run(tmp_path / "run", watcher)
    first = [(row["epoch"], row["lr"]) for row in watcher.rows if row["kind"] == "epoch" and row["task"] == 1]
    # warm-up over one epoch, milestone at 2
    assert first == [(1, 0.05), (2, 0.05), (3, pytest.approx(0.005))]
    assert [row["kind"] for row in watcher.rows][-2:] == ["task", "result"]


def terms(*pairs: tuple[float, float]) -> list[LossTerm]:
    return [LossTerm(f"t{i}", torch.tensor(value), weight) for i, (value, weight) in enumerate(pairs)]


def test_loss_is_the_weighted_sum() -> None:
    assert total_loss(terms((2.0, 1.0), (3.0, 0.5)), Phase("train", 1, 2)).item() == 3.5


def test_phase_without_a_loss_says_which_was_wanted() -> None:
    with pytest.raises(PluginError, match=r"provides one of \['classification'\] answered in phase 'balance'"):
        total_loss([], Phase("balance", 1, 2, terms=frozenset({"classification"})))


def test_epoch_means_are_over_images_not_batches() -> None:
    totals = EpochTotals()
    logits = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    for count, value in ((3, 1.0), (1, 5.0)):
        out = Output((logits[:count],), logits[:count], logits[:count])
        labels = torch.tensor([0, 1, 0])[:count]
        totals.add([LossTerm("a", torch.tensor(value), 2.0)], out, Batch(logits[:count], labels))
    read = totals.read()
    assert read["terms"] == {"a": (3 * 1.0 + 1 * 5.0) / 4}
    assert read["loss"] == 2 * 2.0
    assert read["accuracy"] == 75.0


class HalvesQuota(Plugin):
    """Changes another's answer, which is what wrappers are for."""

    kind = "adjust"

    @hookimpl(wrapper=True)
    def memory_quota(self):
        quota = yield
        return quota // 2


def test_wrapper_changes_the_answer_of_another_plugin(tmp_path: Path) -> None:
    watcher = Rows()
    run(tmp_path / "run", watcher, {"halves": HalvesQuota}, halves="halves")
    assert [row["exemplars"] for row in watcher.rows if row["kind"] == "task"] == [8, 8, 6]


class Prunes(Plugin):
    """Says what it removed."""

    kind = "prune"

    @hookimpl
    def prune(self, state: RunState) -> dict[str, int]:
        return {"before": 10, "after": 10 - state.task.number}


def test_what_was_pruned_is_in_the_row_of_the_task(tmp_path: Path) -> None:
    watcher = Rows()
    run(tmp_path / "run", watcher, {"prunes": Prunes}, pruning="prunes")
    rows = [row for row in watcher.rows if row["kind"] == "task"]
    assert [row["pruned"] for row in rows] == [[{"before": 10, "after": 10 - task}] for task in (1, 2, 3)]
