"""UCIR's less-forget constraint against float64, over one and several extractors, and UCIR as a whole."""

from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from incrlearn import (
    Batch,
    LossTerm,
    Network,
    Output,
    Phase,
    PluginError,
    RecipeError,
    Registry,
    Result,
    RunState,
    Task,
    hookimpl,
    load_network,
    run_recipe,
)
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe
from incrlearn_plugins.loss.less_forget import LessForget, less_forget_loss


def draw(images: int, width: int, seed: int) -> Tensor:
    return 3 * torch.randn(images, width, generator=torch.Generator().manual_seed(seed))


def reference(features: Tensor, before: Tensor) -> float:
    """1/B sum_i 1 - <f*_i, f_i> / (||f*_i|| ||f_i||), one image after the other."""
    total = 0.0
    for new, old in zip(features.double().tolist(), before.double().tolist(), strict=True):
        product = sum(a * b for a, b in zip(new, old, strict=True))
        total += 1 - product / sqrt(sum(a * a for a in new) * sum(b * b for b in old))
    return total / len(features)


@given(images=st.integers(1, 6), width=st.integers(1, 7), seed=st.integers(0, 999))
def test_equals_float64_reference(images: int, width: int, seed: int) -> None:
    features, before = draw(images, width, seed), draw(images, width, seed + 1)
    np.testing.assert_allclose(less_forget_loss(features, before).item(), reference(features, before), atol=1e-5)


def test_by_hand() -> None:
    # 3-4-5 against the first axis: a cosine of 3/5; the opposite direction: -1.
    features = torch.tensor([[3.0, 4.0], [-2.0, 0.0]])
    before = torch.tensor([[7.0, 0.0], [0.5, 0.0]])
    assert less_forget_loss(features, before).item() == pytest.approx((2 / 5 + 2) / 2)
    assert less_forget_loss(torch.zeros(2, 2), before).item() == 1.0


def test_nothing_is_lost_where_only_lengths_changed() -> None:
    before = draw(5, 4, seed=1)
    features = (before * torch.tensor([[0.1], [1.0], [2.0], [9.0], [3.0]])).requires_grad_()
    value = less_forget_loss(features, before)
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-6)
    assert features.grad is not None
    assert features.grad.abs().max() < 1e-5


class Says:
    """A teacher that gives the parts it was made with."""

    def __init__(self, *parts: Tensor) -> None:
        self.parts = parts

    @property
    def network(self) -> Network:
        raise AssertionError("nobody should need the copy itself")

    def __call__(self, batch: Batch) -> Output:
        return Output(self.parts, torch.cat(self.parts, dim=1), self.parts[0])


def terms_of(
    parts: tuple[Tensor, ...],
    teacher: tuple[Tensor, ...] | None,
    known: int = 4,
    seen: int = 5,
    phase: Phase | None = None,
    **options: Any,
) -> list[LossTerm]:
    state = RunState(1, torch.device("cpu"), Task(2, 3, known if teacher else 0, seen), (3, 32, 32))
    state.phase = phase
    state.teacher = None if teacher is None else Says(*teacher)
    images = len(parts[0])
    batch = Batch(torch.zeros(images, 1, 1, 1), torch.zeros(images, dtype=torch.int64))
    plugin = LessForget("less_forget", LessForget.Config(**options))
    return plugin.loss_terms(state, batch, Output(parts, torch.cat(parts, dim=1), parts[0]))


def test_first_task_has_none() -> None:
    assert terms_of((draw(3, 4, 1),), None) == []


def test_phase_in_which_the_head_alone_learns_has_none() -> None:
    parts = (draw(3, 4, 1),)
    assert terms_of(parts, parts, phase=Phase("finetune", 1, 4, trains="head")) == []
    assert len(terms_of(parts, parts, phase=Phase("train", 1, 4))) == 1


@pytest.mark.parametrize(
    ("known", "seen", "options", "weight"),
    [
        (50, 60, {}, 5 * sqrt(5)),
        (90, 100, {}, 15.0),
        (3, 4, {"weight": 2.0}, 2 * sqrt(3)),
        (50, 60, {"growth": "new/old"}, 5 * sqrt(0.2)),
        (50, 60, {"growth": "none"}, 5.0),
        (50, 60, {"weight": 0.0}, 0.0),
    ],
)
def test_weight_grows_with_the_old_classes(known: int, seen: int, options: dict[str, Any], weight: float) -> None:
    (term,) = terms_of((draw(3, 4, 1),), (draw(3, 4, 2),), known, seen, **options)
    assert term.name == "less_forget"
    assert term.weight == pytest.approx(weight)


def test_of_several_extractors_the_newest_are_compared() -> None:
    old, newest, before = draw(3, 4, 1), draw(3, 4, 2), draw(3, 4, 3)
    (term,) = terms_of((old, newest), (before,))
    assert term.value.item() == pytest.approx(reference(newest, before), abs=1e-5)


def test_features_of_another_width_are_refused() -> None:
    with pytest.raises(PluginError, match="there were 5 of them, now 4; it needs as many"):
        terms_of((draw(3, 4, 1),), (draw(3, 5, 2),))


@pytest.mark.parametrize("options", [{"weight": -1.0}, {"growth": "old"}])
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LessForget.Config(**options)


# -- UCIR as a whole -----------------------------------------------------------------------------------------------

REGISTRY = Registry.of({"synthetic": SyntheticData})
UCIR: dict[str, Any] = {
    "network": "single",
    "head": {"use": "cosine", "old": "fixed"},
    "imprint": "imprint",
    "less_forget": "less_forget",
    "margin": "margin",
    "auxiliary": None,
    "balance": None,
    "train": {"use": "sgd", "lr": 0.05, "batch": 16, "epochs": 3, "milestones": [2], "warmup": 1, "fresh_heads": False},
}
# DER's growing network and its classifier stage, with UCIR's head, separation and start of the weights.
CROSSED: dict[str, Any] = {
    "head": {"use": "cosine"},
    "imprint": "imprint",
    "margin": "margin",
    "pruning": {"use": "channel_mask", "keep": 0.5, "binarise_at": 0.5},
    "train": UCIR["train"] | {"epochs": 4},
}


class PowerCut:
    """Stops a run in the second epoch of a task."""

    def __init__(self, task: int) -> None:
        self.task = task

    @hookimpl
    def epoch_end(self, state: RunState) -> None:
        if (state.task.number, state.epoch) == (self.task, 1):
            raise KeyboardInterrupt


class Terms:
    """Notes the loss terms of the first epoch of each task and phase."""

    def __init__(self) -> None:
        self.of: dict[tuple[int, str], list[str]] = {}

    @hookimpl
    def record(self, row: dict[str, Any]) -> None:
        if row["kind"] == "epoch":
            self.of.setdefault((row["task"], row["phase"]), sorted(row["terms"]))


def run(out: Path, rows: dict[str, Any], *watchers: object, resume: bool = False) -> Result:
    values = tiny_recipe(**rows)
    values["backbone"]["signed"] = True
    recipe = recipe_from_dict(values, REGISTRY, "tiny")
    return run_recipe(recipe, out, device="cpu", watchers=watchers, resume=resume)


def comparable(result: Result) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k not in {"seconds", "latency_ms"}} for row in result.summary["tasks"]]


def equal_when_resumed(tmp_path: Path, rows: dict[str, Any]) -> Terms:
    terms = Terms()
    through = run(tmp_path / "through", rows, terms)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", rows, PowerCut(task=3))
    resumed = run(tmp_path / "cut", rows, resume=True)
    assert comparable(resumed) == comparable(through)
    first, second = (load_network(path, registry=REGISTRY).state_dict() for path in (through.run_dir, resumed.run_dir))
    assert all(torch.equal(first[name], second[name]) for name in first)
    return terms


def test_three_tasks_keep_old_weights_and_a_resumed_run_equals_one_that_went_through(tmp_path: Path) -> None:
    terms = equal_when_resumed(tmp_path, UCIR)
    assert terms.of == {
        (1, "train"): ["loss"],
        (2, "train"): ["less_forget", "loss", "margin"],
        (3, "train"): ["less_forget", "loss", "margin"],
    }
    heads = [load_network(tmp_path / "through", task, registry=REGISTRY).head for task in (1, 2, 3)]
    weights = [head.weights() for head in heads]
    assert [len(found) for found in weights] == [2, 4, 6]
    # What a class ended its own task with is what it has for good.
    assert torch.equal(weights[2][:4], weights[1])
    assert torch.equal(weights[1][:2], weights[0])


def test_crossed_with_der_it_trains_grows_prunes_and_resumes(tmp_path: Path) -> None:
    terms = equal_when_resumed(tmp_path, CROSSED)
    assert terms.of[3, "train"] == ["auxiliary", "loss", "margin", "pruning"]
    assert terms.of[3, "balance"] == ["loss"]
    network = load_network(tmp_path / "through", registry=REGISTRY)
    assert len(network.widths) == 3
    assert network.head.in_features == network.width < 3 * 8


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            UCIR | {"train": {"use": "sgd", "epochs": 3, "milestones": [], "warmup": 1}},
            [
                "plugins.head does not go with 'train': .* write fresh_heads: false there",
                "plugins.imprint does not go with 'train': .* write fresh_heads: false there",
            ],
        ),
        (UCIR | {"network": "expandable"}, ["plugins.head does not go with 'network': .* write old: learned"]),
        (
            UCIR | {"balance": {"use": "balanced_head", "epochs": 2, "milestones": [1]}},
            ["plugins.head does not go with 'balance': .* write old: learned"],
        ),
        (
            CROSSED | {"less_forget": "less_forget"},
            ["plugins.less_forget does not go with 'pruning': .* take one of the two out"],
        ),
        (
            UCIR | {"head": "linear"},
            ["plugins.imprint needs 'imprinting', .*'cosine'", "plugins.margin needs 'cosines', .*'cosine'"],
        ),
        (UCIR | {"memory": None}, ["plugins.margin needs 'exemplars'"]),
        (UCIR | {"head": {"use": "cosine", "old": "fixed", "start": "fresh"}}, ["plugins.head: old: fixed goes with"]),
    ],
)
def test_what_does_not_fit_is_refused_when_the_recipe_is_read(rows: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe_from_dict(tiny_recipe(**rows), REGISTRY, "tiny")
    assert len(caught.value.problems) == len(words)
    for pattern in words:
        caught.match(pattern)


def test_heads_may_be_drawn_anew_without_a_warm_up_or_in_the_first_task_alone() -> None:
    train = {"use": "sgd", "epochs": 3, "milestones": [], "warmup": 0}
    recipe_from_dict(tiny_recipe(**UCIR | {"train": train}), REGISTRY, "tiny")
    first = {"epochs": 4, "warmup": 2, "fresh_heads": True}
    recipe_from_dict(tiny_recipe(**UCIR | {"train": train | {"fresh_heads": False, "first": first}}), REGISTRY, "tiny")
