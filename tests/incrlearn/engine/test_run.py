"""Whole runs on a synthetic data set: what must stand still, what must repeat, what must go on."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from incrlearn import (
    Batch,
    Network,
    OutputError,
    Plugin,
    RecipeError,
    Registry,
    Result,
    RunState,
    TrainingError,
    hookimpl,
    load_network,
    run_recipe,
)
from incrlearn.engine.result import result_metrics
from incrlearn.network import BranchedNetwork
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe


def run(
    out: Path | str, data: dict[str, Any] | None = None, watchers: tuple[object, ...] = (), resume: bool = False
) -> Result:
    registry = Registry.of({"synthetic": SyntheticData, "interrupts": Interrupts, "diverges": Diverges})
    recipe = recipe_from_dict(data or tiny_recipe(), registry, "tiny")
    return run_recipe(recipe, out, device="cpu", watchers=watchers, resume=resume)


class Interrupts(Plugin):
    """Stops the run in the middle of a task, as a power cut would."""

    class Config(Plugin.Config):
        task: int
        phase: str = "train"

    config: Config

    @hookimpl
    def epoch_end(self, state: RunState) -> None:
        assert state.phase is not None
        if (state.task.number, state.phase.name, state.epoch) == (self.config.task, self.config.phase, 1):
            raise KeyboardInterrupt


class Diverges(Plugin):
    """Spoils a gradient."""

    @hookimpl
    def after_backward(self, state: RunState) -> None:
        for parameter in state.network.parameters():
            if parameter.grad is not None:
                parameter.grad.fill_(float("nan"))


class Snapshots:
    """Looks on: old extractors before and after each task, batches as they come."""

    def __init__(self) -> None:
        self.before: dict[int, dict[str, torch.Tensor]] = {}
        self.after: dict[int, dict[str, torch.Tensor]] = {}
        self.labels: list[torch.Tensor] = []
        self.phases: list[tuple[int, str]] = []

    @staticmethod
    def old_extractors(state: RunState) -> dict[str, torch.Tensor]:
        assert isinstance(state.network, BranchedNetwork)
        old = state.network.backbones[:-1]
        return {f"{i}.{name}": value.clone() for i, e in enumerate(old) for name, value in e.state_dict().items()}

    @hookimpl
    def prepare(self, state: RunState) -> None:
        self.before[state.task.number] = self.old_extractors(state)

    @hookimpl
    def task_end(self, state: RunState) -> None:
        self.after[state.task.number] = self.old_extractors(state)

    @hookimpl
    def phase_start(self, state: RunState) -> None:
        assert state.phase is not None
        self.phases.append((state.task.number, state.phase.name))

    @hookimpl
    def loss_terms(self, state: RunState, batch: Batch) -> None:
        if state.phase is not None and state.phase.name == "train":
            self.labels.append(batch.labels.clone())


def built(run_dir: Path, task: int | None = None) -> Network:
    return load_network(run_dir, task, registry=Registry.of({"synthetic": SyntheticData}))


def comparable(result: Result) -> list[dict[str, Any]]:
    wall_times = {"seconds", "latency_ms"}
    return [{k: v for k, v in row.items() if k not in wall_times} for row in result.summary["tasks"]]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Snapshots]:
    watcher = Snapshots()
    return run(tmp_path_factory.mktemp("finished") / "run", watchers=(watcher,)), watcher


def test_old_extractors_are_bit_equal_before_and_after_a_task(finished: tuple[Result, Snapshots]) -> None:
    _, watcher = finished
    for task in (2, 3):
        before, after = watcher.before[task], watcher.after[task]
        assert len(before) > 0
        assert any("running_mean" in name for name in before)
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)


def test_new_extractor_learns(finished: tuple[Result, Snapshots]) -> None:
    _, watcher = finished
    # What task 2 left as its newest extractor is old in task 3, and differs from the first.
    weights = watcher.before[3]
    assert not torch.equal(weights["0.model.conv1.weight"], weights["1.model.conv1.weight"])


def test_phases_run_in_recipe_order(finished: tuple[Result, Snapshots]) -> None:
    _, watcher = finished
    assert watcher.phases == [(1, "train"), (2, "train"), (2, "balance"), (3, "train"), (3, "balance")]


def test_result_labels_its_numbers(finished: tuple[Result, Snapshots]) -> None:
    result, _ = finished
    stored = json.loads((result.run_dir / "result.json").read_text())
    rows = stored["tasks"]
    assert [row["classes"] for row in rows] == [2, 4, 6]
    assert [len(row) for row in stored["accuracy_matrix"]] == [1, 2, 3]
    assert stored["metrics"]["average"]["value"] == pytest.approx(sum(row["top1"] for row in rows) / 3)
    assert stored["metrics"]["last"]["value"] == rows[-1]["top1"]
    assert stored["metrics"]["parameters_last"]["value"] == rows[-1]["parameters"]
    assert all({"value", "unit", "meaning"} <= entry.keys() for entry in stored["metrics"].values())
    assert {"fingerprint", "seed", "hardware", "versions", "date", "precision"} <= stored.keys()


def test_rows_and_result_tell_what_the_model_costs(tmp_path: Path) -> None:
    result = run(tmp_path / "run", tiny_recipe(log="jsonl"))
    stored = json.loads((result.run_dir / "result.json").read_text())
    logged = [json.loads(line) for line in (result.run_dir / "metrics.jsonl").read_text().splitlines()]
    rows = [row for row in logged if row["kind"] == "task"]
    assert stored["tasks"] == rows
    assert rows[1]["flops"] == pytest.approx(2 * rows[0]["flops"], rel=0.001)  # but for the head
    assert [row["latency_batch"] for row in rows] == [20, 40, 60]
    assert all(row["latency_ms"] > 0 for row in rows)
    # a second extractor's weights, and its batch-norm statistics
    assert rows[1]["model_mb"] > 2 * 4 * rows[0]["parameters"] / 1e6
    assert [row["exemplar_mb"] for row in rows] == [18 * 64 / 1e6, 16 * 64 / 1e6, 18 * 64 / 1e6]
    metrics, last = stored["metrics"], rows[-1]
    told = {name: (metrics[name]["value"], metrics[name]["unit"]) for name in metrics}
    assert told["flops_last"] == (last["flops"], "FLOPs")
    assert told["latency_last"] == (last["latency_ms"], "ms")
    assert "60 images" in metrics["latency_last"]["meaning"]
    assert told["model_mb_last"] == (last["model_mb"], "MB")
    assert told["exemplar_mb_last"] == (last["exemplar_mb"], "MB")


def test_rows_of_an_earlier_version_leave_the_costs_open(finished: tuple[Result, Snapshots]) -> None:
    result, _ = finished
    added = {"flops", "latency_ms", "latency_batch", "model_mb", "exemplar_mb"}
    old = [{k: v for k, v in row.items() if k not in added} for row in result.summary["tasks"]]
    metrics = result_metrics(old)
    open_ones = {name for name, metric in metrics.items() if metric["value"] is None}
    assert open_ones == {"flops_last", "latency_last", "model_mb_last", "exemplar_mb_last"}


def test_exemplars_fill_the_quota_and_no_more(finished: tuple[Result, Snapshots]) -> None:
    result, _ = finished
    assert [row["exemplars"] for row in result.summary["tasks"]] == [18, 16, 18]


def test_same_seed_gives_the_same_bits_twice(finished: tuple[Result, Snapshots], tmp_path: Path) -> None:
    result, _ = finished
    again = run(tmp_path / "again")
    assert comparable(again) == comparable(result)
    first, second = built(result.run_dir).state_dict(), built(again.run_dir).state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_another_seed_gives_other_weights(finished: tuple[Result, Snapshots], tmp_path: Path) -> None:
    result, _ = finished
    other = run(tmp_path / "other", {**tiny_recipe(), "seed": 2})
    first, second = built(result.run_dir).state_dict(), built(other.run_dir).state_dict()
    assert not torch.equal(first["head.weight"], second["head.weight"])


@pytest.mark.parametrize("absent", [{"auxiliary": None}, {"balance": None}])
def test_taking_out_a_plugin_does_not_change_the_data_order(
    finished: tuple[Result, Snapshots], tmp_path: Path, absent: dict[str, None]
) -> None:
    _, watcher = finished
    without = Snapshots()
    data = {**tiny_recipe(**absent), "data": {"use": "synthetic", "tasks": 3}}
    # A quota that keeps every image: otherwise other features choose other exemplars, which is no matter of order.
    kept = {"use": "herding", "per_class": 20}
    with_all = Snapshots()
    data["plugins"]["memory"] = kept
    run(tmp_path / "without", data, watchers=(without,))
    run(tmp_path / "with", tiny_recipe(memory=kept), watchers=(with_all,))
    assert len(without.labels) == len(with_all.labels) > 0
    assert all(torch.equal(a, b) for a, b in zip(without.labels, with_all.labels, strict=True))
    assert torch.equal(watcher.labels[0], without.labels[0])


@pytest.mark.parametrize(("task", "phase"), [(1, "train"), (2, "train"), (3, "balance")])
def test_resumed_run_equals_one_that_went_through(
    finished: tuple[Result, Snapshots], tmp_path: Path, task: int, phase: str
) -> None:
    result, _ = finished
    out = tmp_path / "interrupted"
    logged = tiny_recipe(log="jsonl")
    broken = tiny_recipe(log="jsonl", power={"use": "interrupts", "task": task, "phase": phase})
    with pytest.raises(KeyboardInterrupt):
        run(out, broken)
    # The same recipe without the power cut: what is on disk must be taken for its own.
    recipe_file = out / "recipe.yaml"
    registry = Registry.of({"synthetic": SyntheticData, "interrupts": Interrupts})
    clean = recipe_from_dict(logged, registry, "tiny")
    lines = recipe_file.read_text().split("  power:")[0]
    rest = recipe_file.read_text().split("  power:")[1]
    tail = rest[rest.index("\nprecision") :] if "\nprecision" in rest else ""
    recipe_file.write_text(lines.rstrip("\n") + tail)
    resumed = run_recipe(clean, out, device="cpu", resume=True)
    assert comparable(resumed) == comparable(result)
    first, second = built(result.run_dir).state_dict(), built(out).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    epochs = [(row["task"], row["phase"], row["epoch"]) for row in rows if row["kind"] == "epoch"]
    assert len(epochs) == len(set(epochs)) == 3 * 3 + 2 * 2
    assert [row["kind"] for row in rows].count("task") == 3


def test_networks_of_earlier_tasks_can_be_built_again(finished: tuple[Result, Snapshots]) -> None:
    result, watcher = finished
    second = built(result.run_dir, task=2)
    assert isinstance(second, BranchedNetwork)
    assert len(second.backbones) == 2
    assert second(torch.zeros(1, 1, 8, 8)).logits.shape == (1, 4)
    state = second.backbones[1].state_dict()
    assert all(torch.equal(value, watcher.before[3][f"1.{name}"]) for name, value in state.items())


def test_frozen_extractors_are_stored_once(finished: tuple[Result, Snapshots]) -> None:
    result, _ = finished
    sizes = [
        (result.run_dir / "checkpoints" / f"task_{task:02d}" / "network.safetensors").stat().st_size
        for task in (1, 2, 3)
    ]
    assert max(sizes) < 1.2 * min(sizes)


def test_directory_of_another_run_is_not_written_over(finished: tuple[Result, Snapshots], tmp_path: Path) -> None:
    result, _ = finished
    before = (result.run_dir / "result.json").read_text()
    with pytest.raises(OutputError, match="holds a finished run of this recipe"):
        run(result.run_dir)
    with pytest.raises(OutputError, match="is finished"):
        run(result.run_dir, resume=True)
    with pytest.raises(OutputError, match="no run to resume"):
        run(tmp_path, resume=True)
    assert (result.run_dir / "result.json").read_text() == before


def test_resume_refuses_another_recipe_and_shows_the_difference(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run(out, tiny_recipe(power={"use": "interrupts", "task": 1}))
    with pytest.raises(OutputError, match=r"another recipe(.|\n)*-.*task: 1(.|\n)*\+.*task: 2"):
        run(out, tiny_recipe(power={"use": "interrupts", "task": 2}), resume=True)


def test_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    result = run(tmp_path / "run", {**tiny_recipe(), "data": {"use": "synthetic", "tasks": 1}})
    weights = result.run_dir / "checkpoints" / "task_01" / "network.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(OutputError, match=r"network\.safetensors"):
        built(result.run_dir)
    with pytest.raises(OutputError, match="no checkpoint of task 7; the last finished task there is 1"):
        built(result.run_dir, task=7)


def without(key: str) -> Any:
    return lambda progress: {name: value for name, value in progress.items() if name != key}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (without("widths"), "damaged, or of another version"),
        (lambda progress: {**progress, "more": 1}, "damaged, or of another version"),
        (lambda progress: {**progress, "plugins": {}}, "damaged, it has no state of"),
        (None, r"state\.pt: damaged, cannot be read"),
    ],
)
def test_checkpoint_that_says_something_else_is_told_on_resume(tmp_path: Path, change: Any, told: str) -> None:
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run(out, tiny_recipe(power={"use": "interrupts", "task": 2}))
    path = out / "checkpoints" / "task_01" / "state.pt"
    if change is None:
        path.write_text("erased")
    else:
        content = torch.load(path, weights_only=True)
        torch.save({**content, "progress": change(content["progress"])}, path)
    with pytest.raises(OutputError, match=told):
        run(out, tiny_recipe(power={"use": "interrupts", "task": 2}), resume=True)


def test_a_damaged_result_is_written_anew_by_going_on(tmp_path: Path) -> None:
    result = run(str(tmp_path / "run"), tiny_recipe())
    whole = json.loads((result.run_dir / "result.json").read_text())
    (result.run_dir / "result.json").write_text("")
    again = run(result.run_dir, tiny_recipe(), resume=True)
    assert again.summary["accuracy_matrix"] == whole["accuracy_matrix"]
    assert json.loads((result.run_dir / "result.json").read_text())["tasks"] == whole["tasks"]


def test_loss_that_is_no_longer_finite_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"task 1, phase 'train', epoch"):
        run(tmp_path / "run", tiny_recipe(spoils="diverges"))


def test_exemplars_fewer_than_classes_are_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="give at least 6 in all"):
        run(tmp_path / "run", tiny_recipe(memory={"use": "herding", "total": 5}))
    assert not (tmp_path / "run").exists()


def test_cumulative_data_and_a_memory_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="take the memory out"):
        run(tmp_path / "run", {**tiny_recipe(), "data": {"use": "synthetic", "tasks": 3, "cumulative": True}})
