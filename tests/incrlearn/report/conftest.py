"""What the tests of reports share: finished runs that nobody trained, with settings and numbers of one's choice."""

import hashlib
import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from incrlearn import Plugin, Registry
from incrlearn.engine.plan import make_plan
from incrlearn.engine.record import RunRecord, read_record
from incrlearn.engine.result import result_metrics, summarise
from incrlearn.engine.rundir import RESULT_FORMAT, open_run_dir, write_result
from incrlearn.engine.runtime import Runtime
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe

MakeRun = Callable[..., RunRecord]
RecordOf = Callable[..., RunRecord]

MATRIX = [[90.0], [80.0, 95.0], [70.0, 85.0, 92.0]]
RECIPE: dict[str, Any] = {
    "seed": 1,
    "data": {"use": "digits", "tasks": 3, "order": "natural", "cumulative": False},
    "backbone": {"name": "resnet18", "stem": "cifar", "pretrained": False, "options": {"layers": [1, 1, 1, 1]}},
    "plugins": {
        "network": {"use": "expandable", "start": "previous"},
        "head": {"use": "linear", "bias": False},
        "memory": {"use": "herding", "total": 40, "per_class": None},
        "train": {"use": "sgd", "lr": 0.05, "epochs": 20, "first": None},
        "log": {"use": "jsonl", "file": "metrics.jsonl"},
    },
    "precision": "auto",
    "eval_batch": 256,
}
KINDS = {"network": "network", "head": "head", "memory": "memory", "train": "phase", "log": "log", "pruning": "prune"}


def build_run(
    name: str = "der_tiny",
    seed: int = 1,
    matrix: Sequence[Sequence[float]] = MATRIX,
    plugins: dict[str, Any] | None = None,
    parameters: float = 1e6,
    channels: dict[str, list[int]] | None = None,
    expected: dict[str, Any] | None = None,
    run_dir: str | None = None,
    **summary: Any,
) -> RunRecord:
    """A record such as `incrlearn.engine.record.read_record` gives.

    Args:
        name: of the recipe.
        seed: of the run.
        matrix: percent, lower triangle, nan for a task without test images; each task brings two classes.
        plugins: rows over those of the recipe; None takes one out.
        parameters: of each task's extractor.
        channels: what pruning is to report of every task.
        expected: what the recipe expects.
        run_dir: where it lies.
        summary: anything else of the result.
    """
    rows = [_row(number, list(row), parameters, channels) for number, row in enumerate(matrix, start=1)]
    recipe = deepcopy(RECIPE) | {"seed": seed}
    merged = recipe["plugins"] | (plugins or {})
    recipe["plugins"] = {key: row for key, row in merged.items() if row is not None}
    fingerprint = hashlib.sha256(repr((name, seed, plugins)).encode()).hexdigest()[:12]
    full = {
        "format": RESULT_FORMAT, "recipe": name, "fingerprint": fingerprint, "seed": seed,
        "date": f"2026-01-0{seed % 9 + 1}T10:00:00+00:00", "metrics": result_metrics(rows),
        "accuracy_matrix": [row["accuracies"] for row in rows], "tasks": rows, "expected": expected,
        "classes": [f"class {number}" for number in range(2 * len(rows))],
        "kinds": {key: KINDS.get(key, "other") for key in recipe["plugins"]}, "data": "d" * 64, "precision": "float32",
        "hardware": {"device": "cpu", "name": "a processor", "threads": 1, "system": "Linux"},
        "versions": {"python": "3.11.0", "torch": "2.11.0"},
    }  # fmt: skip
    return RunRecord(Path(run_dir or f"runs/{name}/{seed}"), full | summary, recipe)


def _row(
    number: int, accuracies: list[float], parameters: float, channels: dict[str, list[int]] | None
) -> dict[str, Any]:
    known = [value for value in accuracies if not math.isnan(value)]
    top1 = sum(known) / len(known) if known else float("nan")
    row = {
        "task": number, "classes": 2 * number, "top1": top1, "top5": 100.0, "top1_old": None, "top1_new": top1,
        "accuracies": accuracies, "parameters": int(parameters * number), "flops": 2_000_000 * number,
        "latency_ms": 3.0, "latency_batch": 10, "model_mb": 1.0, "exemplars": 10, "exemplar_mb": 0.1,
        "hardware": "a processor", "seconds": 12.0,
    }  # fmt: skip
    return row | ({"pruned": [{"plugin": "pruning", "channels": channels}]} if channels else {})


@pytest.fixture(scope="session")
def make_run() -> MakeRun:
    """Builds a finished run; see :func:`build_run` for what can be chosen."""
    return build_run


@pytest.fixture
def record_of(tmp_path: Path) -> RecordOf:
    """Writes a run of a changed tiny recipe to disk, with every top-1 the same, and reads it back."""

    def make(
        changes: dict[str, Any] | None = None,
        name: str = "tiny",
        top1: float = 60.0,
        parameters: int = 1_000_000,
        plugins: dict[str, type[Plugin]] | None = None,
    ) -> RunRecord:
        """A record.

        Args:
            changes: values by dotted path of the recipe; None takes the key out.
            name: of the recipe.
            top1: percent, after every task on every class.
            parameters: after every task.
            plugins: classes by the names that the recipe uses beside those there are.
        """
        registry = Registry.of({"synthetic": SyntheticData, **(plugins or {})})
        recipe = recipe_from_dict(changed(tiny_recipe(), changes or {}), registry, name)
        plan = make_plan(recipe)
        rows = [_even_row(row.task, len(plan.rows), row.seen, top1, parameters) for row in plan.rows]
        run_dir = tmp_path / f"run{len(list(tmp_path.glob('run*')))}"
        open_run_dir(run_dir, recipe, resume=False)
        write_result(run_dir, summarise(plan, Runtime("cpu", recipe.precision), rows))
        return read_record(run_dir)

    return make


def changed(plain: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A recipe with values set by dotted path; None takes the key out."""
    plain = deepcopy(plain)
    for path, value in changes.items():
        *parents, key = path.split(".")
        place = plain
        for parent in parents:
            place = place[parent]
        if value is None:
            del place[key]
        else:
            place[key] = value
    return plain


def _even_row(task: int, tasks: int, seen: int, top1: float, parameters: int) -> dict[str, Any]:
    return {
        "kind": "task", "task": task, "tasks": tasks, "classes": seen, "top1": top1, "top5": 100.0,
        "accuracies": [top1] * task, "parameters": parameters, "seconds": 1.0,
    }  # fmt: skip
