"""How the next extractor starts behind a pruned one, in a run of two tasks."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils import parametrize

from incrlearn import Registry, RunState, hookimpl, run_recipe
from incrlearn.engine.checkpoint import read_checkpoint
from incrlearn.network import Backbone, BranchedNetwork, build_backbone, grow_back
from incrlearn.recipe import recipe_from_dict
from incrlearn.rng import derive_seed
from incrlearn.testing import SyntheticData, tiny_recipe

REGISTRY = Registry.of({"synthetic": SyntheticData})


class Starts:
    """Takes note of the newest extractor's weights at the start of each task, and of the network at the end."""

    def __init__(self) -> None:
        self.weights: dict[int, dict[str, Tensor]] = {}
        self.network: BranchedNetwork | None = None

    @hookimpl
    def prepare(self, state: RunState) -> None:
        assert isinstance(state.network, BranchedNetwork)
        self.network = state.network
        backbone = state.network.backbones[-1]
        plain = {
            name: (module.parametrizations.weight.original if parametrize.is_parametrized(module) else module.weight)
            for name, module in backbone.named_modules()
            if isinstance(getattr(module, "weight", None), Tensor)
        }
        self.weights[state.task.number] = {f"{name}.weight": value.detach().clone() for name, value in plain.items()}


def run(out: Path, **options: Any) -> tuple[Starts, Backbone, Backbone, dict[str, Tensor] | None]:
    """What was seen, the pruned extractor of task 1, a fresh one for task 2, and what the checkpoint kept."""
    values = tiny_recipe(pruning={"use": "channel_mask", "keep": 0.5, **options})
    values["data"]["tasks"] = 2
    recipe = recipe_from_dict(values, REGISTRY, "tiny")
    seen = Starts()
    run_recipe(recipe, out, device="cpu", watchers=[seen])
    assert seen.network is not None
    drawn = build_backbone(recipe.backbone, 1, derive_seed(recipe.seed, 0, "backbone of task 2"))
    kept = read_checkpoint(out, 1).progress.plugins["pruning"]["dormant"]
    return seen, seen.network.backbones[0], drawn, kept


def test_kept_channels_come_back_with_their_weights_of_before_the_removal(tmp_path: Path) -> None:
    seen, pruned, full, kept = run(tmp_path / "run", regrow="kept")
    assert kept is not None
    assert pruned.removed
    full.load_state_dict(kept)
    before = {name: value.clone() for name, value in full.state_dict().items()}
    grow_back(pruned, full)
    for name, value in seen.weights[2].items():
        assert torch.equal(value, full.state_dict()[name])
    # The small network trained on after the removal, so what it kept is newer than what was put aside.
    assert any(not torch.equal(before[name], value) for name, value in seen.weights[2].items())


def test_fresh_channels_come_back_from_a_new_draw_and_nothing_is_put_aside(tmp_path: Path) -> None:
    seen, pruned, full, kept = run(tmp_path / "run")
    assert kept is None
    grow_back(pruned, full)
    for name, value in seen.weights[2].items():
        assert torch.equal(value, full.state_dict()[name])


@pytest.mark.parametrize("regrow", ["kept", "fresh"])
def test_nothing_dormant_stays_on_the_network(tmp_path: Path, regrow: str) -> None:
    seen, pruned, _, _ = run(tmp_path / "run", regrow=regrow)
    assert seen.network is not None
    assert all(backbone.dormant is None for backbone in seen.network.backbones)
    assert "dormant" not in " ".join(pruned.state_dict())
