"""The training loop: what a phase touches, what it adds up, when hooks are called."""

from pathlib import Path

import pytest
import torch

from incrlearn import (
    Batch,
    LossTerm,
    Output,
    Passes,
    Phase,
    Plugin,
    PluginError,
    Registry,
    RunState,
    hookimpl,
    run_recipe,
)
from incrlearn.engine.phase import EpochTotals, replace_parameters, total_loss
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
    """Says after which epochs it was asked, and answers after some of them."""

    class Config(Plugin.Config):
        after: tuple[int, ...]

    config: Config
    kind = "prune"

    @hookimpl
    def prune(self, state: RunState, passes: Passes) -> dict[str, object] | None:
        assert state.phase is not None
        place = {"task": state.task.number, "phase": state.phase.name, "epoch": state.epoch}
        return {"plugin": self.name, **place} if state.epoch in self.config.after else None


def places(rows: list[dict[str, object]], kind: str) -> list[tuple[object, object]]:
    """Which rows of a kind tell of a pruning, and what."""
    key = "epoch" if kind == "epoch" else "task"
    return [(row[key], row["pruned"]) for row in rows if row["kind"] == kind and "pruned" in row]


def answer(task: int, epoch: int, name: str = "pruning") -> dict[str, object]:
    return {"plugin": name, "task": task, "phase": "train", "epoch": epoch}


def test_prune_is_asked_after_every_epoch_of_a_phase_that_trains_the_network(tmp_path: Path) -> None:
    watcher = Rows()
    run(tmp_path / "run", watcher, {"prunes": Prunes}, pruning={"use": "prunes", "after": [0, 1, 2]})
    epochs = [row for row in watcher.rows if row["kind"] == "epoch"]
    for row in epochs:
        if row["phase"] == "train":
            assert isinstance(row["epoch"], int)
            assert row["pruned"] == [answer(row["task"], row["epoch"] - 1)]  # type: ignore[arg-type]
        else:
            assert "pruned" not in row
    assert len(epochs) == 3 * 3 + 2 * 2


def test_what_was_pruned_is_in_the_rows_of_its_epoch_and_its_task(tmp_path: Path) -> None:
    watcher = Rows()
    rows = {"pruning": {"use": "prunes", "after": [1]}, "again": {"use": "prunes", "after": [1, 2]}}
    run(tmp_path / "run", watcher, {"prunes": Prunes}, **rows)
    in_epochs, in_tasks = [], []
    for task in (1, 2, 3):
        second, third = [answer(task, 1), answer(task, 1, "again")], [answer(task, 2, "again")]
        in_epochs += [(2, second), (3, third)]
        in_tasks.append((task, second + third))
    assert places(watcher.rows, "epoch") == in_epochs
    assert places(watcher.rows, "task") == in_tasks


def test_rows_tell_of_no_pruning_where_nobody_answers(tmp_path: Path) -> None:
    watcher = Rows()
    run(tmp_path / "run", watcher, {"prunes": Prunes}, pruning={"use": "prunes", "after": []})
    assert places(watcher.rows, "epoch") == places(watcher.rows, "task") == []


class Groups:
    """Counts how often the parameter groups are asked for in each phase."""

    def __init__(self) -> None:
        self.asked: dict[tuple[int, str], int] = {}

    @hookimpl(wrapper=True)
    def param_groups(self, state: RunState, phase: Phase):
        place = (state.task.number, phase.name)
        self.asked[place] = self.asked.get(place, 0) + 1
        return (yield)


def test_parameter_groups_are_asked_for_again_after_each_answer(tmp_path: Path) -> None:
    watcher = Groups()
    run(tmp_path / "run", watcher, {"prunes": Prunes}, pruning={"use": "prunes", "after": [0, 2]})
    asked = {(task, "train"): 3 for task in (1, 2, 3)} | {(task, "balance"): 1 for task in (2, 3)}
    assert watcher.asked == asked


def stepped_optimizer() -> tuple[torch.optim.SGD, list[torch.nn.Parameter]]:
    """SGD over two groups of two parameters, each with momentum."""
    parameters = [torch.nn.Parameter(torch.full((2,), float(number))) for number in range(4)]
    groups = [{"params": parameters[:2]}, {"params": parameters[2:], "lr": 0.5, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9, weight_decay=0.01)
    for parameter in parameters:
        parameter.grad = torch.ones(2)
    optimizer.step()
    return optimizer, parameters


def test_replaced_parameters_start_without_momentum_and_the_others_keep_theirs() -> None:
    optimizer, (first, second, third, fourth) = stepped_optimizer()
    momentum = optimizer.state[first]["momentum_buffer"].clone()
    small = torch.nn.Parameter(torch.zeros(1))
    replace_parameters(optimizer, [{"params": [small, first]}, {"params": [fourth], "lr": 7.0}])
    assert [group["params"] for group in optimizer.param_groups] == [[small, first], [fourth]]
    assert torch.equal(optimizer.state[first]["momentum_buffer"], momentum)
    assert set(optimizer.state) == {first, fourth}
    assert [(group["lr"], group["weight_decay"]) for group in optimizer.param_groups] == [(0.1, 0.01), (0.5, 0.0)]
    # The next step: v = g for the new one, v = 0.9 v + g + 0.01 w for the other.
    before = first.detach().clone()
    small.grad = torch.ones(1)
    optimizer.step()
    torch.testing.assert_close(small.detach(), torch.tensor([-0.1]))
    torch.testing.assert_close(first.detach(), before - 0.1 * (0.9 * momentum + 1 + 0.01 * before))
    assert torch.equal(second.detach(), torch.full((2,), 1 - 0.1 * 1.01))
    assert third not in optimizer.state


def test_groups_that_are_gone_go_on_empty() -> None:
    optimizer, (first, second, *_) = stepped_optimizer()
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch)
    replace_parameters(optimizer, [{"params": [first, second]}])
    assert [len(group["params"]) for group in optimizer.param_groups] == [2, 0]
    optimizer.step()
    schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.05, 0.25]


def test_more_groups_than_before_are_refused() -> None:
    optimizer, (first, second, *_) = stepped_optimizer()
    with pytest.raises(PluginError, match="param_groups gave 2 groups before the pruning and 3 after it"):
        replace_parameters(optimizer, [{"params": [first]}, {"params": [second]}, {"params": []}])
