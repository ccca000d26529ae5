"""Maps in outputs: for whom, in which phases, of which network, and nothing left on it."""

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from incrlearn import (
    Batch,
    LossTerm,
    MakeBackbone,
    Network,
    Output,
    Plugin,
    PluginError,
    RecipeError,
    Registry,
    RunState,
    hookimpl,
    run_recipe,
)
from incrlearn.engine.plan import make_plan
from incrlearn.network import BranchedNetwork, read_maps
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe

CHANNELS = {"layers": [1] * 4, "channels": [4, 5, 6, 7]}


def hooks_on(network: Network) -> int:
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in network.modules())


class WithMaps(Plugin):
    """Needs maps, and takes no part in phases that want classification losses alone."""

    kind = "loss"
    needs: ClassVar[frozenset[str]] = frozenset({"teacher", "maps"})

    @hookimpl
    def loss_terms(self, state: RunState, batch: Batch, out: Output) -> list[LossTerm]:
        assert state.phase is not None
        assert state.phase.name == "train"
        size = out.maps[0].shape[-1]
        wanted = [(len(batch), channels, max(1, size >> place)) for place, channels in enumerate([4, 5, 6, 7])]
        assert [tuple(found.shape[:3]) for found in out.maps] == wanted
        assert all(found.requires_grad for found in out.maps)
        assert hooks_on(state.network) == 0
        if state.teacher is None:
            return []
        old = state.teacher(batch).maps
        assert [found.shape for found in old] == [found.shape for found in out.maps]
        assert not any(found.requires_grad for found in old)
        assert all(torch.equal(one, other) for one, other in zip(old, again(state, batch), strict=True))
        pairs = zip(out.maps, old, strict=True)
        return [LossTerm(self.name, torch.stack([(one - other).square().mean() for one, other in pairs]).sum(), 0.1)]


@torch.no_grad()
def again(state: RunState, batch: Batch) -> list[Tensor]:
    """The maps of the teacher's newest extractor, by another pass."""
    assert state.teacher is not None
    with read_maps(state.teacher.network.stages()) as maps:
        state.teacher.network.extract(batch.images)
    return maps


class Watches(Plugin):
    """Counts the outputs with maps by phase."""

    kind = "log"
    found: ClassVar[list[tuple[str, bool]]] = []

    @hookimpl
    def loss_terms(self, state: RunState, batch: Batch, out: Output) -> list[LossTerm]:
        assert state.phase is not None
        assert len(batch) == len(out.logits)
        self.found.append((state.phase.name, bool(out.maps)))
        return []

    @hookimpl
    def scores(self, out: Output) -> None:
        self.found.append(("test", bool(out.maps)))


def run(out: Path, registry: dict[str, type[Plugin]], **rows: Any) -> None:
    values = tiny_recipe(auxiliary=None, **rows)
    values["backbone"]["options"] = CHANNELS
    run_recipe(
        recipe_from_dict(values, Registry.of({"synthetic": SyntheticData, **registry}), "tiny"), out, device="cpu"
    )


@pytest.mark.parametrize("network", ["single", "expandable"])
def test_maps_of_network_and_teacher_in_the_phases_of_who_needs_them(tmp_path: Path, network: str) -> None:
    class Seen(Watches):
        found: ClassVar[list[tuple[str, bool]]] = []

    plugins = {"maps": WithMaps, "watches": Seen}
    run(tmp_path / "run", plugins, network=network, distil="maps", watch="watches")
    assert set(Seen.found) == {("train", True), ("test", False)}


def test_nobody_needs_nobody_gets(tmp_path: Path) -> None:
    class Seen(Watches):
        found: ClassVar[list[tuple[str, bool]]] = []

    run(tmp_path / "run", {"watches": Seen}, watch="watches")
    assert set(Seen.found) == {("train", False), ("test", False)}


class Deaf(BranchedNetwork):
    """A network that does not tell its stages."""

    def stages(self) -> tuple[()]:
        return ()


class DeafPlugin(Plugin):
    kind = "network"

    @hookimpl
    def expand(self, state: RunState, old: Network | None, make_backbone: MakeBackbone) -> Network:
        return Deaf([make_backbone(f"backbone of {state.task}")]) if old is None else old


def test_network_without_stages_is_refused_before_it_is_trained(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"a plug-in needs maps, and Deaf tells no stages\(\)"):
        run(tmp_path / "run", {"maps": WithMaps, "deaf": DeafPlugin}, network="deaf", distil="maps")


def test_backbone_without_maps_is_refused_by_the_plan_where_maps_are_needed() -> None:
    values = tiny_recipe(auxiliary=None, distil="maps")
    values["backbone"] = {"name": "vit_tiny_patch16_224", "options": {"img_size": 8, "patch_size": 4, "depth": 2}}
    registry = Registry.of({"synthetic": SyntheticData, "maps": WithMaps})
    with pytest.raises(RecipeError, match=r"backbone\.name: there are no maps"):
        make_plan(recipe_from_dict(values, registry, "tiny"))
    del values["plugins"]["distil"]
    make_plan(recipe_from_dict(values, registry, "tiny"))
