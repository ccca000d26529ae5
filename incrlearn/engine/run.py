"""A run: the tasks of a recipe, one after the other, and the result."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from incrlearn.blame import of_plugin
from incrlearn.calls import Calls
from incrlearn.data import Loader, data_digest, make_loader
from incrlearn.engine.assemble import backbone_maker, backbone_shapes, make_calls
from incrlearn.engine.checkpoint import (
    Checkpoint,
    Progress,
    newest_checkpoint,
    plain_state,
    read_checkpoint,
    restore_network,
    save_checkpoint,
)
from incrlearn.engine.evaluate import logit_accuracy, score_samples
from incrlearn.engine.exemplars import choose_exemplars, lay_out_samples
from incrlearn.engine.passes import RunPasses
from incrlearn.engine.phase import run_phase
from incrlearn.engine.plan import Plan, make_plan
from incrlearn.engine.result import summarise
from incrlearn.engine.rundir import go_on_with, hold_run_dir, open_run_dir, stored_digest, write_recipe, write_result
from incrlearn.engine.runtime import Runtime, resolve_device
from incrlearn.engine.shapes import check_shapes
from incrlearn.engine.teacher import FrozenTeacher
from incrlearn.errors import OutputError, PluginError, TrainingError
from incrlearn.hooks import MakeBackbone
from incrlearn.ledger import exemplar_megabytes, inference_flops, model_megabytes
from incrlearn.memory import ExemplarMemory
from incrlearn.metrics import accuracy_by_task, parameter_count, top_k_accuracy
from incrlearn.observe import Around
from incrlearn.recipe import Recipe
from incrlearn.types import RunState, Task


@dataclass(frozen=True, eq=False)
class Result:
    """A finished run."""

    run_dir: Path
    summary: dict[str, Any]
    """What ``result.json`` holds."""


@dataclass(frozen=True, eq=False)
class Parts:
    """What a run is made of and does not change."""

    plan: Plan
    calls: Calls
    runtime: Runtime
    train: Loader
    test: Loader
    make_backbone: MakeBackbone


def run_recipe(
    recipe: Recipe,
    out: Path | str,
    data: Path | str | None = None,
    device: str | torch.device = "auto",
    resume: bool = False,
    watchers: Sequence[object] = (),
    around: Around | None = None,
) -> Result:
    """Train a recipe's tasks and write its run directory.

    Args:
        recipe: a valid recipe.
        out: the run directory; new or empty, or an interrupted run's to ``resume``.
        data: where the data sets lie; by default INCRLEARN_DATA, then ./data.
        device: auto, cpu, cuda, cuda:N or mps, or torch's own object.
        resume: go on from the last finished task in ``out``, to the same bits on a CPU.
        watchers: objects with ``@hookimpl`` methods that look on, such as a display.
        around: entered around every call of a plug-in's hook, such as a trace; see `incrlearn.observe.Around`.

    Raises:
        RecipeError, DataError, DeviceError, OutputError, PluginError: before anything is trained.
        TrainingError: the run failed.
    """
    resolve_device(device)
    out = Path(out)
    plan = make_plan(recipe, Path(data) if data is not None else None)
    plan = replace(plan, recipe=open_run_dir(out, recipe, resume))
    with hold_run_dir(out):
        if resume:
            stored = go_on_with(out, plan.recipe)
            if newest_checkpoint(out) >= len(plan.scenario.tasks):
                # No task is left that other code could train.
                plan = replace(plan, recipe=stored)
        return _run_plan(plan, out, device, resume, watchers, around)


def _run_plan(
    plan: Plan, out: Path, device: str | torch.device, resume: bool, watchers: Sequence[object], around: Around | None
) -> Result:
    """Train in a directory that is this run's alone."""
    recipe = plan.recipe
    done = newest_checkpoint(out) if resume else 0
    checkpoint = read_checkpoint(out, done) if done else None
    # A run goes on in the precision it was begun in, wherever it is resumed.
    runtime = Runtime(device, checkpoint.progress.precision if checkpoint is not None else recipe.precision)
    parts = Parts(
        plan=plan,
        calls=make_calls(recipe, watchers, around),
        runtime=runtime,
        train=make_loader(plan.source, plan.source.train, runtime.device),
        test=make_loader(plan.source, plan.source.test, runtime.device),
        make_backbone=backbone_maker(recipe, plan.source.channels),
    )
    state = RunState(recipe.seed, runtime.device, plan.scenario.tasks[0], plan.source.image_shape, run_dir=out)
    memory = ExemplarMemory()
    rows, widths = _restore(parts, state, memory, checkpoint) if checkpoint is not None else ([], [])
    with _run_failures(recipe, out, state):
        for task in plan.scenario.tasks[len(rows) :]:
            rows.append(_run_task(parts, state, memory, task, widths))
            parts.calls.record(state, rows[-1])
            save_checkpoint(out, state.network, _progress(parts, task, widths, memory, rows))
            if resume and len(rows) == done + 1:
                # Now it has a task that the code of now trained; a try that failed left no trace of its own.
                write_recipe(out, recipe)
        summary = summarise(plan, runtime, rows) | {"recipe_digest": stored_digest(out)}
        parts.calls.record(state, {"kind": "result", **copy.deepcopy(summary)})
        write_result(out, summary)
    return Result(out, summary)


@contextmanager
def _run_failures(recipe: Recipe, out: Path, state: RunState) -> Iterator[None]:
    """Failures of a run that is under way, in words that say how to go on."""
    try:
        yield
    except PluginError as error:
        # Before anything was trained it is wrong input.
        if state.phase is not None or state.task.number > 1:
            error.exit_code = TrainingError.exit_code
        raise
    except torch.OutOfMemoryError as error:
        batches = ", ".join(f"plugins.{c.key}.batch" for c in recipe.plugins if "batch" in type(c.config).model_fields)
        raise TrainingError(
            f"the device is out of memory; lower {batches or 'the batch sizes'} "
            f"or eval_batch ({recipe.eval_batch}): {error}"
        ) from error
    except OSError as error:
        raise TrainingError(
            f"{error.filename or out}: {error.strerror or error}; what is finished is kept: "
            "mend that and go on with --resume"
        ) from error


def _run_task(parts: Parts, state: RunState, memory: ExemplarMemory, task: Task, widths: list[int]) -> dict[str, Any]:
    """Train and evaluate one task; the row about it."""
    started = time.monotonic()
    passes = RunPasses(state, parts.runtime, parts.train, parts.plan.recipe.eval_batch, partial(_top1, parts))
    share = _start_task(parts, passes, memory, task)
    pruned = []
    for phase in parts.calls.phases(state):
        pruned += run_phase(phase, parts.calls, passes)
    widths.append(state.network.width)
    choose_exemplars(state, parts.calls, memory, passes.features, _quota(parts, task), share)
    parts.calls.task_end(state, passes)
    state.network.attachments.clear()
    state.teacher = None
    row = _evaluate(parts, state, memory) | ({"pruned": pruned} if pruned else {})
    return row | {"hardware": parts.runtime.hardware()["name"], "seconds": time.monotonic() - started}


def _start_task(parts: Parts, passes: RunPasses, memory: ExemplarMemory, task: Task) -> float:
    """Lay out the data of the task, grow network and head; the share of its exemplars that is to be held out."""
    state = passes.state
    state.task = task
    before = parts.plan.scenario.tasks[max(0, task.number - 2)]
    new = parts.plan.scenario.training_samples(task)
    share = lay_out_samples(state, parts.calls, memory, new, _quota(parts, before))
    old = state.current
    wants_maps = parts.calls.wants("maps")
    # Before the task: a network that goes on learning would take its own past along.
    if parts.calls.wants("teacher") and old is not None:
        state.teacher = FrozenTeacher(old, parts.runtime, wants_maps)
    old_head = old.head if old is not None else None
    network = parts.calls.expand(state, old, parts.make_backbone)
    if wants_maps and not network.stages():
        raise PluginError(f"a plug-in needs maps, and {type(network).__name__} tells no stages(): it must name some")
    state.current = network
    network.head = parts.calls.grow_head(state, old_head, network.width)
    parts.runtime.place(network)
    check_shapes(state, parts.calls)
    parts.calls.prepare(state, passes)
    return share


def _quota(parts: Parts, task: Task) -> tuple[int, ...] | None:
    """How many exemplars each class seen has after ``task``; None without a memory."""
    return parts.calls.memory_quota(task, parts.plan.scenario.arrived(task), parts.plan.recipe.seed)


def _top1(parts: Parts, state: RunState) -> float:
    """Top-1 in percent on the test images of the classes seen."""
    samples = parts.plan.scenario.test_samples(state.task)
    return logit_accuracy(state, parts.runtime, parts.test, samples, parts.plan.recipe.eval_batch)


def _evaluate(parts: Parts, state: RunState, memory: ExemplarMemory) -> dict[str, Any]:
    """The row of a finished task; accuracies in percent, top-1 where no k is named."""
    task = state.task
    tasks = parts.plan.scenario.tasks[: task.number]
    source, samples = parts.plan.source, parts.plan.scenario.test_samples(task)
    scored = score_samples(state, parts.calls, parts.runtime, parts.test, samples, parts.plan.recipe.eval_batch)
    old = scored.labels < task.known
    blank = torch.zeros(1, source.channels, source.size, source.size, device=state.device)
    row = {
        "kind": "task",
        "task": task.number,
        "tasks": task.total,
        "classes": task.seen,
        "top1": top_k_accuracy(scored.scores, scored.labels, 1),
        "top5": top_k_accuracy(scored.scores, scored.labels, 5),
        "top1_old": top_k_accuracy(scored.scores[old], scored.labels[old], 1) if task.known else None,
        "top1_new": top_k_accuracy(scored.scores[~old], scored.labels[~old], 1),
        "accuracies": accuracy_by_task(scored.scores, scored.labels, tasks),
        "parameters": parameter_count(state.network),
        "flops": inference_flops(state.network, blank),
        "latency_ms": scored.latency.milliseconds if scored.latency is not None else None,
        "latency_batch": scored.latency.images if scored.latency is not None else None,
        "model_mb": model_megabytes(state.network),
        "exemplars": len(memory),
        "exemplar_mb": exemplar_megabytes(len(memory), source.channels, source.size),
    }
    return row | parts.calls.metrics(state, scored.scores, scored.labels, taken=row.keys())


def _progress(
    parts: Parts, task: Task, widths: list[int], memory: ExemplarMemory, rows: list[dict[str, Any]]
) -> Progress:
    return Progress(
        task=task.number,
        classes=[t.seen for t in parts.plan.scenario.tasks[: task.number]],
        widths=list(widths),
        image_shape=list(parts.plan.source.image_shape),
        precision=parts.runtime.precision,
        data=data_digest(parts.plan.source),
        memory=memory.state_dict(),
        plugins={
            plugin.name: plain_state(plugin.name, of_plugin(plugin.name, "state_dict", plugin.state_dict, task))
            for plugin in parts.calls.plugins
        },
        rows=rows,
    )


def _restore(
    parts: Parts, state: RunState, memory: ExemplarMemory, checkpoint: Checkpoint
) -> tuple[list[dict[str, Any]], list[int]]:
    """Take up the last finished task of the run directory.

    Raises:
        OutputError: the data is not what it was, or the checkpoint is damaged.
    """
    run_dir, progress = state.run_dir, checkpoint.progress
    if run_dir is None:
        raise ValueError("a run without a directory has nothing to restore")
    if progress.data != data_digest(parts.plan.source):
        raise OutputError(
            f"{run_dir}: the data set '{parts.plan.source.name}' is not what this run was begun with (other images, "
            "classes or order of files), so its exemplars would be other images; resume it with the same data"
        )
    shapes = backbone_shapes(parts.plan.recipe, progress.image_shape[0])
    restore_network(run_dir, checkpoint, parts.calls, shapes, state)
    # The teacher is a copy of it, made before the task's network is placed.
    parts.runtime.place(state.network)
    memory.load_state_dict(progress.memory)
    lacking = [plugin.name for plugin in parts.calls.plugins if plugin.name not in progress.plugins]
    if lacking:
        raise OutputError(f"{run_dir}: the checkpoint of task {progress.task} is damaged, it has no state of {lacking}")
    for plugin in parts.calls.plugins:
        load = partial(plugin.load_state_dict, progress.plugins[plugin.name])
        of_plugin(plugin.name, "load_state_dict", load, parts.plan.scenario.tasks[progress.task - 1])
    return list(progress.rows), list(progress.widths)
