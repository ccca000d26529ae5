"""Pooled outputs distillation against float64 and by hand, and what it refuses."""

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
from incrlearn.engine.plan import make_plan
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe
from incrlearn_plugins.loss.pod import Pod, Pool, adaptive_factor, flat_distance, pooled, pooled_distance

POOLS: list[Pool] = ["spatial", "width", "height", "channels", "gap", "pixel"]


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def sums_of(image: np.ndarray, pool: Pool) -> np.ndarray:
    """The numbers that are compared, of one image (C, H, W), one by one."""
    channels, height, width = image.shape
    if pool == "spatial":
        return np.concatenate([sums_of(image, "width"), sums_of(image, "height")])
    if pool == "width":
        return np.array([sum(image[c, h, w] for w in range(width)) for c in range(channels) for h in range(height)])
    if pool == "height":
        return np.array([sum(image[c, h, w] for h in range(height)) for c in range(channels) for w in range(width)])
    if pool == "channels":
        return np.array([sum(image[c, h, w] for c in range(channels)) for h in range(height) for w in range(width)])
    if pool == "gap":
        return np.array([image[c].sum() for c in range(channels)])
    return image.reshape(-1)


def reference(new: list[Tensor], old: list[Tensor], pool: Pool, square: bool) -> float:
    """1/S sum_s 1/B sum_i || p(h) / ||p(h)|| - p(h') / ||p(h')|| ||, image by image."""
    total = 0.0
    for one, other in zip(new, old, strict=True):
        for pair in zip(one.numpy(), other.numpy(), strict=True):
            a, b = (sums_of(image**2 if square else image, pool) for image in pair)
            total += float(np.sqrt(((a / np.sqrt((a**2).sum()) - b / np.sqrt((b**2).sum())) ** 2).sum())) / len(one)
    return total / len(new)


@pytest.mark.parametrize("square", [True, False])
@pytest.mark.parametrize("pool", POOLS)
def test_equals_float64_reference(pool: Pool, square: bool) -> None:
    new = [draw(3, 2, 4, 5, seed=1), draw(3, 4, 2, 2, seed=2)]
    old = [draw(3, 2, 4, 5, seed=3), draw(3, 4, 2, 2, seed=4)]
    wanted = reference(new, old, pool, square)
    assert pooled_distance(new, old, pool, square).item() == pytest.approx(wanted, rel=1e-9)
    singles = pooled_distance([m.float() for m in new], [m.float() for m in old], pool, square)
    assert singles.item() == pytest.approx(wanted, rel=1e-4)


def test_sums_by_hand() -> None:
    maps = torch.tensor([[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]])  # one channel, height 2, width 3
    assert pooled(maps, "width").tolist() == [[6, 15]]
    assert pooled(maps, "height").tolist() == [[5, 7, 9]]
    assert pooled(maps, "spatial").tolist() == [[6, 15, 5, 7, 9]]
    assert pooled(maps, "gap").tolist() == [[21]]
    assert pooled(maps, "channels").tolist() == pooled(maps, "pixel").tolist() == [[1, 2, 3, 4, 5, 6]]


def test_distance_by_hand() -> None:
    # One channel of height 2 and width 1: the sums over width are 3, 4 and 5, 0; normalised (.6, .8) and (1, 0).
    new, old = torch.tensor([[[[3.0], [4.0]]]]), torch.tensor([[[[5.0], [0.0]]]])
    assert pooled_distance([new], [old], "width", square=False).item() == pytest.approx((0.16 + 0.64) ** 0.5)
    # Over height there is one sum each, 7 and 5, both 1 when normalised.
    assert pooled_distance([new], [old], "height", square=False).item() == pytest.approx(0)
    # Two stages: the mean of both.
    both = pooled_distance([new, new], [old, new], "width", square=False).item()
    assert both == pytest.approx(0.8**0.5 / 2)


def test_flat_by_hand_and_as_half_the_squared_distance() -> None:
    new, old = torch.tensor([[3.0, 4.0], [0.0, 2.0]]), torch.tensor([[1.0, 0.0], [0.0, 5.0]])
    assert flat_distance(new, old).item() == pytest.approx((0.4 + 0) / 2)
    one, other = draw(6, 5, seed=1), draw(6, 5, seed=2)
    lengths = [features / features.norm(dim=1, keepdim=True) for features in (one, other)]
    assert flat_distance(one, other).item() == pytest.approx(
        (lengths[0] - lengths[1]).square().sum(dim=1).mean().item() / 2
    )


@given(pool=st.sampled_from(POOLS), square=st.booleans(), factor=st.floats(0.1, 10), seed=st.integers(0, 999))
def test_the_scale_of_maps_does_not_matter_and_the_bounds_hold(
    pool: Pool, square: bool, factor: float, seed: int
) -> None:
    new, old = draw(2, 3, 2, 4, seed=seed), draw(2, 3, 2, 4, seed=seed + 1)
    value = pooled_distance([new], [old], pool, square)
    torch.testing.assert_close(pooled_distance([new * factor], [old], pool, square), value)
    assert 0 <= value <= (2**0.5 if square else 2) + 1e-9
    same = (new * factor).requires_grad_()
    least = pooled_distance([same], [new], pool, square)
    assert least < 1e-6
    least.backward()
    assert same.grad is not None
    assert bool(same.grad.isfinite().all())


def test_dead_maps_are_compared_without_a_nan() -> None:
    dead = torch.zeros(2, 3, 4, 4, requires_grad=True)
    value = pooled_distance([dead], [draw(2, 3, 4, 4, seed=1).float()], "spatial", True)
    value.backward()
    assert value.item() == pytest.approx(1)
    assert dead.grad is not None
    assert bool(dead.grad.isfinite().all())


@pytest.mark.parametrize(("known", "seen", "wanted"), [(0, 10, 1.0), (50, 55, 11**0.5), (2, 3, 3**0.5)])
def test_adaptive_factor(known: int, seen: int, wanted: float) -> None:
    assert adaptive_factor(Task(1, 2, known, seen)) == pytest.approx(wanted)


class Says:
    """A teacher that gives the output it was made with."""

    def __init__(self, out: Output) -> None:
        self.out = out

    @property
    def network(self) -> Network:
        raise AssertionError("nobody should need the copy itself")

    def __call__(self, batch: Batch) -> Output:
        assert len(batch) == len(self.out.logits)
        return self.out


def output(maps: list[Tensor], parts: list[Tensor], classes: int) -> Output:
    features = torch.cat(parts, dim=1)
    return Output(tuple(parts), features, torch.zeros(len(features), classes), tuple(maps))


def terms_of(new: Output, old: Output | None, trains: str = "network", **options: Any) -> list[LossTerm]:
    state = RunState(1, torch.device("cpu"), Task(2, 3, 3, 4) if old else Task(1, 3, 0, 3), (3, 32, 32))
    state.teacher = Says(old) if old is not None else None
    state.phase = Phase("train", 1, 2, trains=trains)  # type: ignore[arg-type]
    size = len(new.features)
    batch = Batch(torch.zeros(size, 1, 1, 1), torch.zeros(size, dtype=torch.int64))
    return Pod("distil", Pod.Config(**options)).loss_terms(state, batch, new)


NEW = output([draw(2, 3, 4, 4, seed=1)], [draw(2, 9, seed=2), draw(2, 5, seed=3)], 4)
OLD = output([draw(2, 3, 4, 4, seed=4)], [draw(2, 5, seed=5)], 3)


def test_terms_are_of_the_newest_extractors_with_the_papers_weights() -> None:
    maps, flat = terms_of(NEW, OLD)
    assert (maps.name, maps.weight) == ("distil", pytest.approx(3 * 2.0))
    assert maps.value.item() == pytest.approx(reference(list(NEW.maps), list(OLD.maps), "spatial", True))
    assert (flat.name, flat.weight) == ("distil_flat", pytest.approx(2.0))
    assert flat.value.item() == pytest.approx(flat_distance(NEW.parts[1], OLD.parts[0]).item())


def test_weights_are_options() -> None:
    terms = terms_of(NEW, OLD, weight=8.0, flat=10.0, adaptive=False)
    assert [term.weight for term in terms] == [8.0, 10.0]
    assert [term.name for term in terms_of(NEW, OLD, flat=0.0)] == ["distil"]
    assert [term.name for term in terms_of(NEW, OLD, weight=0.0)] == ["distil_flat"]


def test_first_task_and_phases_of_the_head_have_none() -> None:
    assert terms_of(NEW, None) == []
    assert terms_of(NEW, OLD, trains="head") == []


def test_other_channels_are_told_and_channels_pooling_compares_them() -> None:
    pruned = output([draw(2, 2, 4, 4, seed=4)], [draw(2, 4, seed=5)], 3)
    with pytest.raises(PluginError, match=r"'distil' cannot compare \[\(2, 3, 4, 4\)\].*pool: channels and flat: 0"):
        terms_of(NEW, pruned)
    with pytest.raises(PluginError, match=r"cannot compare \[\(2, 5\)\] with \[\(2, 4\)\]"):
        terms_of(NEW, pruned, pool="channels")
    (term,) = terms_of(NEW, pruned, pool="channels", flat=0.0)
    assert term.value.item() == pytest.approx(reference(list(NEW.maps), list(pruned.maps), "channels", True))


@pytest.mark.parametrize("options", [{"pool": "time"}, {"weight": -1.0}, {"flat": -0.5}])
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Pod.Config(**options)


# -- in runs -------------------------------------------------------------------------------------------------------

REGISTRY = Registry.of({"synthetic": SyntheticData})
SINGLE: dict[str, Any] = {
    "network": "single",
    "head": {"use": "linear", "start": "inherit"},
    "distil": "pod",
    "auxiliary": None,
    "balance": None,
    "train": {"use": "sgd", "lr": 0.05, "batch": 16, "epochs": 3, "milestones": [2], "warmup": 0},
}
MASKED: dict[str, Any] = {
    "train": {"use": "sgd", "lr": 0.05, "batch": 16, "epochs": 4, "milestones": [3], "warmup": 1},
    "pruning": {"use": "channel_mask", "keep": 0.5, "binarise_at": 0.5},
}


class PowerCut:
    """Stops a run in the second epoch of the third task."""

    @hookimpl
    def epoch_end(self, state: RunState) -> None:
        if (state.task.number, state.epoch) == (3, 1):
            raise KeyboardInterrupt


class Rows:
    """Notes the terms by task and phase, and whether anything was trained at all."""

    def __init__(self) -> None:
        self.terms: dict[tuple[int, str], set[str]] = {}

    @hookimpl
    def record(self, row: dict[str, Any]) -> None:
        if row["kind"] == "epoch":
            self.terms[row["task"], row["phase"]] = set(row["terms"])


def run(out: Path, *watchers: object, resume: bool = False, **rows: Any) -> Result:
    recipe = recipe_from_dict(tiny_recipe(**rows), REGISTRY, "tiny")
    return run_recipe(recipe, out, device="cpu", watchers=watchers, resume=resume)


def comparable(result: Result) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k not in {"seconds", "latency_ms"}} for row in result.summary["tasks"]]


def test_three_tasks_train_and_a_resumed_run_equals_one_that_went_through(tmp_path: Path) -> None:
    rows = Rows()
    through = run(tmp_path / "through", rows, **SINGLE)
    assert rows.terms == {
        (1, "train"): {"loss"},
        (2, "train"): {"loss", "distil", "distil_flat"},
        (3, "train"): {"loss", "distil", "distil_flat"},
    }
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", PowerCut(), **SINGLE)
    resumed = run(tmp_path / "cut", resume=True, **SINGLE)
    assert comparable(resumed) == comparable(through)
    first, second = (load_network(path, registry=REGISTRY).state_dict() for path in (through.run_dir, resumed.run_dir))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_over_a_growing_network_that_is_pruned_with_channels_pooling(tmp_path: Path) -> None:
    rows = Rows()
    distil = {"use": "pod", "pool": "channels", "flat": 0}
    result = run(tmp_path / "run", rows, **MASKED, distil=distil)
    assert rows.terms[2, "train"] >= {"loss", "auxiliary", "distil"}
    assert rows.terms[2, "balance"] == {"loss"}
    assert all(row["pruned"][0]["kept"] < 0.7 for row in result.summary["tasks"])


@pytest.mark.parametrize(
    ("options", "instead"),
    [({}, "pool: channels and flat: 0"), ({"pool": "channels"}, "flat: 0"), ({"flat": 0}, "pool: channels")],
    ids=str,
)
def test_recipe_with_a_pruning_is_refused_where_channels_are_compared(options: dict[str, Any], instead: str) -> None:
    with pytest.raises(RecipeError, match=rf"plugins\.distil does not go with 'pruning': .*; write {instead}$"):
        recipe_from_dict(tiny_recipe(**MASKED, distil={"use": "pod", **options}), REGISTRY, "tiny")


def test_plan_tells_which_maps_are_compared() -> None:
    plan = make_plan(recipe_from_dict(tiny_recipe(**SINGLE), REGISTRY, "tiny"))
    assert plan.notes == [
        "maps compared: layer1 (8, 8, 8), layer2 (8, 4, 4), layer3 (8, 2, 2), layer4 (8, 1, 1)",
    ]
