"""The map of a backbone's gates is made once and used for every extractor of the same shapes."""

import gc
import weakref
from pathlib import Path

import pytest
import torch

from incrlearn import PluginError, Registry, RunState, hookimpl, run_recipe
from incrlearn.network import Backbone, ChannelMap, build_backbone, map_channels
from incrlearn.recipe import BackboneOptions, recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe
from incrlearn_plugins.prune import channel_mask
from incrlearn_plugins.prune.channel_mask import ChannelMask

IMAGES = (3, 8, 8)


def backbone(last: int = 10, seed: int = 1) -> Backbone:
    options = {"layers": [1] * 4, "channels": [4, 6, 8, last]}
    return build_backbone(BackboneOptions(name="resnet18", stem="cifar", options=options), 3, seed)


@pytest.fixture
def mapped(monkeypatch: pytest.MonkeyPatch) -> list[ChannelMap]:
    """Every map made by the plug-in."""
    made: list[ChannelMap] = []

    def noted(extractor: Backbone, images: tuple[int, int, int]) -> ChannelMap:
        made.append(map_channels(extractor, images))
        return made[-1]

    monkeypatch.setattr(channel_mask, "map_channels", noted)
    return made


class PowerCut:
    """Stops a run in a task."""

    def __init__(self, task: int) -> None:
        self.task = task

    @hookimpl
    def phase_start(self, state: RunState) -> None:
        if state.task.number == self.task:
            raise KeyboardInterrupt


def run(out: Path, *watchers: object, resume: bool = False) -> None:
    values = tiny_recipe(pruning={"use": "channel_mask", "keep": 0.5})
    recipe = recipe_from_dict(values, Registry.of({"synthetic": SyntheticData}), "tiny")
    run_recipe(recipe, out, device="cpu", watchers=watchers, resume=resume)


def test_run_of_three_tasks_maps_once_for_its_plan_and_once_for_its_tasks(
    tmp_path: Path, mapped: list[ChannelMap]
) -> None:
    run(tmp_path / "run")
    assert len(mapped) == 2


def test_resumed_run_maps_the_same_gates_from_a_later_extractor(tmp_path: Path, mapped: list[ChannelMap]) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", PowerCut(3))
    run(tmp_path / "run", resume=True)
    first, later = mapped[1], mapped[-1]
    assert len(mapped) == 4
    assert (later.groups, later.ungated, later.parameters) == (first.groups, first.ungated, first.parameters)
    for one, other in zip(first.layers, later.layers, strict=True):
        assert one.name == other.name
        assert torch.equal(one.outputs, other.outputs)
        assert (one.inputs is None) == (other.inputs is None)
        assert one.inputs is None or torch.equal(one.inputs, other.inputs)
    assert torch.equal(first.features, later.features)


def test_backbone_or_images_of_other_shapes_are_mapped_anew(mapped: list[ChannelMap]) -> None:
    plugin = ChannelMask("pruning", ChannelMask.Config(keep=0.5))
    lines = plugin.explain(backbone(), IMAGES)
    assert plugin.explain(backbone(seed=2), IMAGES) == lines
    assert len(mapped) == 1
    assert plugin.explain(backbone(last=12), IMAGES) != lines
    assert len(mapped) == 2
    plugin.explain(backbone(last=12), (3, 16, 16))
    assert [channels.images for channels in mapped] == [IMAGES, IMAGES, (3, 16, 16)]


def test_backbone_without_gates_is_refused_each_time() -> None:
    group_norms = BackboneOptions(name="resnet50_gn", options={"layers": [1] * 4, "channels": [32] * 4})
    extractor = build_backbone(group_norms, 3, seed=1)
    plugin = ChannelMask("pruning", ChannelMask.Config(keep=0.5))
    for _ in range(2):
        with pytest.raises(PluginError, match="no channel of this backbone can be removed exactly"):
            plugin.explain(extractor, (3, 32, 32))


def test_kept_map_keeps_no_backbone_alive() -> None:
    extractor = backbone()
    plugin = ChannelMask("pruning", ChannelMask.Config(keep=0.5))
    plugin.explain(extractor, IMAGES)
    gone = weakref.ref(extractor.model)
    del extractor
    gc.collect()
    assert gone() is None
