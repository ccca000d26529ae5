"""The training loop: the only one there is."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from incrlearn.calls import Calls
from incrlearn.data import Loader, batches_in_epoch
from incrlearn.engine.learning import LearningWeights
from incrlearn.engine.passes import PhasePasses, RunPasses
from incrlearn.engine.runtime import Runtime
from incrlearn.errors import PluginError, TrainingError
from incrlearn.network import read_maps
from incrlearn.types import Batch, LossTerm, Output, Phase, RunState, Samples


def run_phase(phase: Phase, calls: Calls, about: RunPasses) -> list[dict[str, Any]]:
    """Train the network of a run for the epochs of ``phase``.

    Args:
        phase: what to do.
        calls: the plug-ins.
        about: the run, its device and precision, and its data; its state's ``phase`` and ``epoch`` are set as it goes.

    Returns:
        What the plug-ins pruned.

    Raises:
        TrainingError: the loss is no longer finite.
        PluginError: no loss takes part in the phase, or nobody makes its optimizer.
    """
    state, runtime, train = about.state, about.runtime, about.train
    state.phase, state.epoch = phase, 0
    # Dropout and its like draw from torch's global generators: give each phase its own.
    torch.manual_seed(state.seed_for(f"{phase.name}/global"))
    samples = calls.select_data(state, phase, state.new, state.memory)
    groups = calls.param_groups(state, phase)
    optimizer, schedule = calls.make_optimizer(state, phase, groups)
    passes = PhasePasses(about, phase, samples)
    pruned = []
    weights = LearningWeights(state.network)
    calls.phase_start(state)
    weights.check(state.network, "phase_start")
    for epoch in range(phase.epochs):
        state.epoch = epoch
        totals = EpochTotals()
        row = _run_epoch(state, phase, calls, runtime, train, samples, optimizer, weights, totals)
        schedule.step()
        calls.epoch_end(state)
        reports = calls.prune(state, passes) if phase.trains == "network" else []
        if reports:
            replace_parameters(optimizer, calls.param_groups(state, phase))
            weights = LearningWeights(state.network)
            pruned += reports
            row["pruned"] = reports
        calls.record(state, row)
        if not math.isfinite(row["loss"]):
            where = f"the loss is {row['loss']} in {state.task}, phase '{phase.name}', epoch {epoch + 1}"
            raise TrainingError(f"{where} (terms: {row['terms']}); {totals.why_not_finite()}")
    calls.phase_end(state)
    state.phase = None
    return pruned


def _run_epoch(
    state: RunState,
    phase: Phase,
    calls: Calls,
    runtime: Runtime,
    loader: Loader,
    samples: Samples,
    optimizer: torch.optim.Optimizer,
    weights: LearningWeights,
    totals: EpochTotals,
) -> dict[str, Any]:
    started = time.monotonic()
    state.network.train(phase.trains == "network")
    calls.epoch_start(state)
    weights.check(state.network, "epoch_start, or a hook of the epoch before")
    batches = batches_in_epoch(len(samples), phase.batch)
    purpose = f"{phase.name}/epoch {state.epoch}"
    augment = state.generator(f"augment/{purpose}") if phase.augment else None
    epoch = loader.train(samples, phase.batch, order=state.generator(f"order/{purpose}"), augment=augment)
    rate = float(optimizer.param_groups[0]["lr"])
    for number, batch in enumerate(epoch):
        position = number / (batches - 1) if batches > 1 else 1.0
        totals.add(*train_step(state, phase, batch, position, calls, runtime, optimizer, number == 0), batch)
    row = {"kind": "epoch", "task": state.task.number, "tasks": state.task.total, "phase": phase.name}
    row |= {"epoch": state.epoch + 1, "epochs": phase.epochs, "lr": rate, **totals.read()}
    return row | {"seconds": time.monotonic() - started}


def train_step(
    state: RunState,
    phase: Phase,
    batch: Batch,
    position: float,
    calls: Calls,
    runtime: Runtime,
    optimizer: torch.optim.Optimizer,
    opens_epoch: bool = False,
) -> tuple[list[LossTerm], Output]:
    """One step of the optimizer; waits for nothing on the device. Head and losses compute in float32.

    Where it ``opens_epoch``, terms are looked at more closely: what changes nothing in the first epoch may be a penalty
    that was 0 in its first step.
    """
    calls.batch_start(state, position)
    stages = state.network.stages() if calls.wants("maps", phase) else ()
    with torch.set_grad_enabled(phase.trains == "network"), runtime.autocast(), read_maps(stages) as maps:
        parts = state.network.extract(batch.images)
    out = replace(state.network.classify(parts, phase.temperature), maps=tuple(maps))
    terms = calls.loss_terms(state, batch, out, closely=opens_epoch)
    optimizer.zero_grad(set_to_none=True)
    loss = total_loss(terms, phase)
    if not loss.requires_grad:
        raise PluginError(
            f"no gradient comes from the loss of phase '{phase.name}' ({', '.join(term.name for term in terms)}); "
            "compute it from what the network gives, without detach() or no_grad(), and let the phase train something"
        )
    try:
        runtime.backward(loss)
    except RuntimeError as error:
        if "modified by an inplace operation" not in str(error):
            raise
        raise calls.written_in_place(state, batch, out) from error
    calls.after_backward(state)
    optimizer.step()
    calls.after_step(state)
    return terms, out


def replace_parameters(optimizer: torch.optim.Optimizer, groups: list[dict[str, Any]]) -> None:
    """Let an optimizer go on with other parameters, group by group; only known ones keep their momentum.

    Learning rates and the schedule stay as they are. Groups that are no longer there go on empty.

    Raises:
        PluginError: there are more groups than before.
    """
    if len(groups) > len(optimizer.param_groups):
        raise PluginError(
            f"param_groups gave {len(optimizer.param_groups)} groups before the pruning and {len(groups)} after it; "
            "give as many or fewer"
        )
    for place, group in enumerate(optimizer.param_groups):
        group["params"] = list(groups[place]["params"]) if place < len(groups) else []
    kept = {parameter for group in optimizer.param_groups for parameter in group["params"]}
    for parameter in [known for known in optimizer.state if known not in kept]:
        del optimizer.state[parameter]


def total_loss(terms: list[LossTerm], phase: Phase) -> Tensor:
    """The sum of ``weight * value`` over all terms.

    Raises:
        PluginError: there is no term.
    """
    if not terms:
        wanted = f" that provides one of {sorted(phase.terms)}" if phase.terms is not None else ""
        raise PluginError(f"no loss plug-in{wanted} answered in phase '{phase.name}'")
    loss = terms[0].weight * terms[0].value
    for term in terms[1:]:
        loss = loss + term.weight * term.value
    return loss


class EpochTotals:
    """Running sums of an epoch that stay on the device until it is over."""

    def __init__(self) -> None:
        self._terms: dict[str, Tensor] = {}
        self._first_failures: dict[str, Tensor] = {}
        self._steps = 0
        self._loss: Tensor | float = 0.0
        self._hits: Tensor | int = 0
        self._images = 0

    @torch.no_grad()
    def add(self, terms: list[LossTerm], out: Output, batch: Batch) -> None:
        """Take note of one step; waits for nothing."""
        size = len(batch)
        for term in terms:
            value = term.value.detach().float() * size
            total = self._terms.get(term.name, 0.0) + value
            # Where a term came to be not finite is not asked for now, which would wait for the device.
            failed = torch.where(torch.isfinite(total), math.inf, float(self._steps))
            before = self._first_failures.get(term.name)
            self._first_failures[term.name] = failed if before is None else torch.minimum(before, failed)
            self._terms[term.name] = total
            self._loss = self._loss + term.weight * value
        self._hits = self._hits + (out.logits.argmax(dim=1) == batch.labels).sum()
        self._images += size
        self._steps += 1

    def why_not_finite(self) -> str:
        """What to do about a loss that is not finite: the term to look at, where one was not finite before others."""
        steps = {name: float(step) for name, step in self._first_failures.items()}
        first = [name for name, step in steps.items() if step == min(steps.values()) < math.inf]
        if len(steps) > len(first) == 1:
            step = int(steps[first[0]]) + 1
            return f"the term '{first[0]}' was the first that was not finite, in step {step} of the epoch: mend that"
        return "lower its lr, lengthen its warmup, or write precision: float32"

    def read(self) -> dict[str, Any]:
        """Means over the images of the epoch: loss, its terms before weighting, accuracy in percent."""
        images = max(1, self._images)
        means = {name: float(value) / images for name, value in self._terms.items()}
        return {"loss": float(self._loss) / images, "terms": means, "accuracy": 100.0 * int(self._hits) / images}
