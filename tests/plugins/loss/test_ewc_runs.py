"""EWC as a whole: it holds weights, it goes on after an interruption, and it goes with other methods."""

from pathlib import Path
from typing import Any

import pytest
import torch

from incrlearn import Registry, Result, RunState, hookimpl, load_network, run_recipe
from incrlearn.errors import RecipeError
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe

REGISTRY = Registry.of({"synthetic": SyntheticData})


def ewc(**rows: Any) -> dict[str, Any]:
    train = {"use": "sgd", "lr": 0.05, "batch": 16, "epochs": 3, "milestones": [2], "warmup": 1, "fresh_heads": False}
    method: dict[str, Any] = {
        "network": {"use": "single"},
        "head": {"use": "linear", "bias": True, "start": "inherit"},
        "loss": {"use": "cross_entropy", "over": "new"},
        "auxiliary": None,
        "memory": None,
        "balance": None,
        "train": train,
        "ewc": {"use": "ewc", "weight": 10.0, "samples": 20},
    }
    return tiny_recipe(**(method | rows))


def run(out: Path, *watchers: object, resume: bool = False, **rows: Any) -> Result:
    recipe = recipe_from_dict(ewc(**rows), REGISTRY, "tiny")
    return run_recipe(recipe, out, device="cpu", watchers=watchers, resume=resume)


class PowerCut:
    @hookimpl
    def epoch_end(self, state: RunState) -> None:
        if state.task.number == 3:
            raise KeyboardInterrupt


@pytest.mark.parametrize("online", [True, False])
def test_resumed_run_equals_one_that_went_through(tmp_path: Path, online: bool) -> None:
    row = {"use": "ewc", "weight": 10.0, "samples": 20, "online": online}
    through = run(tmp_path / "through", ewc=row)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", PowerCut(), ewc=row)
    resumed = run(tmp_path / "cut", resume=True, ewc=row)
    first, second = (load_network(made.run_dir, registry=REGISTRY).state_dict() for made in (through, resumed))
    assert all(torch.equal(first[name], second[name]) for name in first)


def moved(run_dir: Path) -> float:
    """How far the convolutions went in the second task."""
    first, second = (load_network(run_dir, task, registry=REGISTRY).state_dict() for task in (1, 2))
    names = [name for name in first if name.endswith("conv1.weight")]
    return sum(float((first[name] - second[name]).norm()) for name in names)


def test_the_more_weight_the_less_the_network_moves(tmp_path: Path) -> None:
    distances = []
    for weight in (0.0, 100.0, 1000.0):
        row = {"use": "ewc", "weight": weight, "samples": 40, "fisher_max": 0.05}
        result = run(tmp_path / f"{weight}", ewc=row)
        distances.append(moved(result.run_dir))
    assert distances[0] > distances[1] > distances[2]


class Terms:
    """Notes the penalty at the end of each epoch."""

    def __init__(self) -> None:
        self.penalties: list[tuple[int, str, float | None]] = []

    @hookimpl
    def record(self, row: dict[str, Any]) -> None:
        if row["kind"] == "epoch":
            self.penalties.append((row["task"], row["phase"], row["terms"].get("ewc")))


def test_it_goes_with_der_pruning_and_exemplars(tmp_path: Path) -> None:
    """Old extractors are frozen there; the head is held in the rows and columns it had."""
    terms = Terms()
    rows = tiny_recipe(
        head={"use": "linear", "bias": True, "start": "inherit"},
        train=ewc()["plugins"]["train"],
        pruning={"use": "channel_mask", "keep": 0.5, "binarise_at": 0.5},
        ewc={"use": "ewc", "samples": 10},
    )
    recipe = recipe_from_dict(rows, REGISTRY, "tiny")
    run_recipe(recipe, tmp_path / "run", device="cpu", watchers=[terms])
    found = {(task, phase): value for task, phase, value in terms.penalties}
    assert found[1, "train"] is None
    # The classifier stage asks for classification losses alone.
    assert found[2, "balance"] is None
    for task in (2, 3):
        value = found[task, "train"]
        assert value is not None
        assert value > 0


def test_head_that_fixes_old_weights_is_refused() -> None:
    head = {"use": "cosine", "old": "fixed"}
    with pytest.raises(RecipeError, match=r"plugins\.ewc does not go with 'head': .*; write old: learned there"):
        recipe_from_dict(ewc(head=head), REGISTRY, "tiny")
    recipe_from_dict(ewc(head=head | {"old": "learned"}), REGISTRY, "tiny")
