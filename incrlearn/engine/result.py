"""The result of a run: every number with its unit and meaning, and all that is needed to make it again."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from platform import python_version
from typing import Any

from incrlearn.data import data_digest
from incrlearn.engine.plan import Plan
from incrlearn.engine.rundir import RESULT_FORMAT
from incrlearn.engine.runtime import Runtime
from incrlearn.metrics import average, backward_transfer, forgetting


def summarise(plan: Plan, runtime: Runtime, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What ``result.json`` holds, from the rows of kind "task"."""
    recipe = plan.recipe
    return {
        "format": RESULT_FORMAT,
        "recipe": recipe.name,
        "fingerprint": recipe.fingerprint,
        "seed": recipe.seed,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "metrics": result_metrics(rows),
        "accuracy_matrix": [row["accuracies"] for row in rows],
        "tasks": rows,
        "expected": recipe.expected.model_dump() if recipe.expected is not None else None,
        "classes": list(plan.class_names),
        "kinds": {choice.key: choice.plugin.kind for choice in recipe.plugins},
        "data": data_digest(plan.source),
        "precision": runtime.precision,
        "hardware": runtime.hardware(),
        "versions": {"python": python_version(), **_versions("incrlearn", "torch", "torchvision", "timm", "numpy")},
    }


def result_metrics(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The numbers of a run by name, each ``{value, unit, meaning}``; value None where it is not defined."""
    matrix = [row["accuracies"] for row in rows]
    top1 = [row["top1"] for row in rows]
    top5 = [row["top5"] for row in rows]
    parameters = [float(row["parameters"]) for row in rows]
    final = rows[-1]
    table: list[tuple[str, float | None, str, str]] = [
        ("average", average(top1), "%", "top-1 on all classes seen, mean over all tasks, the first included"),
        ("last", top1[-1], "%", "top-1 on all classes after the last task"),
        (
            "average_top5",
            average(top5),
            "%",
            "top-5 on all classes seen (100 % while there are five or fewer), mean over all tasks",
        ),
        ("last_top5", top5[-1], "%", "top-5 on all classes after the last task"),
        ("forgetting", forgetting(matrix), "points", "best earlier minus last top-1 of each old task, mean over them"),
        ("backward_transfer", backward_transfer(matrix), "points", "last minus first top-1 of each old task, mean"),
        ("parameters_average", average(parameters), "parameters", "model at inference, mean over tasks (papers' #P)"),
        ("parameters_last", parameters[-1], "parameters", "model at inference after the last task"),
        # Rows that an earlier version wrote, before the run was resumed, do not tell what follows.
        (
            "flops_last",
            final.get("flops"),
            "FLOPs",
            "one image through the model after the last task, 2 per multiply-add; norms and activations not counted",
        ),
        (
            "latency_last",
            final.get("latency_ms"),
            "ms",
            f"one test batch of {final.get('latency_batch')} images through the model after the last task, median",
        ),
        ("model_mb_last", final.get("model_mb"), "MB", "weights and buffers after the last task; 1 MB is 1e6 bytes"),
        (
            "exemplar_mb_last",
            final.get("exemplar_mb"),
            "MB",
            "exemplars after the last task as training images, one byte for each channel of a pixel",
        ),
        ("seconds", sum(row["seconds"] for row in rows), "s", "training and evaluation of all tasks"),
    ]
    return {name: {"value": value, "unit": unit, "meaning": meaning} for name, value, unit, meaning in table}


def _versions(*packages: str) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed as a package"
    return found
