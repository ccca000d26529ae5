"""DER's growth: a new extractor that starts from the last one, the old ones frozen."""

import pytest
import torch
from torch import nn

from incrlearn import RunState, Task
from incrlearn.network import BranchedNetwork, LinearHead, build_backbone, kept_features, map_channels, remove_channels
from incrlearn.recipe import BackboneOptions
from incrlearn.types import Backbone
from incrlearn_plugins.network.expandable import Expandable
from incrlearn_plugins.network.single import Single

STATE = RunState(1, torch.device("cpu"), Task(2, 3, 2, 4), (3, 32, 32))


def make_backbone(purpose: str) -> Backbone:
    generator = torch.Generator().manual_seed(len(purpose))
    layer = nn.Linear(3, 4)
    with torch.no_grad():
        layer.weight.normal_(generator=generator)
    return Backbone(layer, 4)


@pytest.mark.parametrize(("start", "equal"), [("previous", True), ("fresh", False)])
def test_new_extractor_starts_where_the_recipe_says(start: str, equal: bool) -> None:
    plugin = Expandable("network", Expandable.Config.model_validate({"start": start}))
    first = BranchedNetwork([make_backbone("a much longer purpose")])
    grown = plugin.expand(STATE, first, make_backbone)
    assert isinstance(grown, BranchedNetwork)
    old, new = grown.backbones
    assert torch.equal(old.model.weight, new.model.weight) is equal
    assert new.model.weight is not old.model.weight
    assert [p.requires_grad for p in (old.model.weight, new.model.weight)] == [False, True]


def make_resnet(purpose: str) -> Backbone:
    options = {"layers": [1, 1, 1, 1], "channels": [4, 6, 8, 10]}
    return build_backbone(BackboneOptions(name="resnet18", stem="cifar", options=options), 3, seed=len(purpose))


def pruned_network() -> BranchedNetwork:
    """An extractor that learned (all its weights are 100) and lost every third channel."""
    network = BranchedNetwork([make_resnet("a much longer purpose")])
    network.head = LinearHead(10, 2, bias=False, generator=torch.Generator())
    (backbone,) = network.backbones
    with torch.no_grad():
        for value in backbone.state_dict().values():
            value.fill_(100)
    channels = map_channels(backbone, STATE.image_shape)
    open_gates = torch.arange(channels.gates) % 3 != 0
    network.narrow_newest(kept_features(channels, open_gates))
    remove_channels(backbone, channels, open_gates)
    return network


def test_new_extractor_behind_a_pruned_one_is_full_size_and_has_its_weights() -> None:
    old = pruned_network()
    grown = Expandable("network", Expandable.Config(start="previous")).expand(STATE, old, make_resnet)
    assert isinstance(grown, BranchedNetwork)
    pruned, new = grown.backbones
    assert pruned is old.backbones[0]
    assert grown.widths == (pruned.width, 10)
    assert pruned.width < 10
    assert new.removed == ()
    drawn, sizes = make_resnet(f"backbone of {STATE.task}").state_dict(), pruned.state_dict()
    for name, value in new.state_dict().items():
        inherited = value == 100
        assert int(inherited.sum()) == sizes[name].numel()
        assert torch.equal(value[~inherited], drawn[name][~inherited])
    assert all(parameter.requires_grad for parameter in new.parameters())
    assert not any(parameter.requires_grad for parameter in pruned.parameters())


def test_fresh_extractor_behind_a_pruned_one_has_none_of_its_weights() -> None:
    grown = Expandable("network", Expandable.Config(start="fresh")).expand(STATE, pruned_network(), make_resnet)
    assert isinstance(grown, BranchedNetwork)
    drawn = make_resnet(f"backbone of {STATE.task}").state_dict()
    assert all(torch.equal(value, drawn[name]) for name, value in grown.backbones[1].state_dict().items())


def test_old_extractors_are_the_same_objects() -> None:
    plugin = Expandable("network", Expandable.Config())
    first = plugin.expand(STATE, None, make_backbone)
    second = plugin.expand(STATE, first, make_backbone)
    third = plugin.expand(STATE, second, make_backbone)
    assert isinstance(third, BranchedNetwork)
    assert len(third.backbones) == 3
    assert third.frozen == 2
    assert third.backbones[0] is first.backbones[0]


def test_single_goes_on_with_the_same_network() -> None:
    plugin = Single("network", Single.Config())
    first = plugin.expand(STATE, None, make_backbone)
    assert plugin.expand(STATE, first, make_backbone) is first


def test_single_with_restart_draws_another_network_each_task() -> None:
    plugin = Single("network", Single.Config(restart=True))
    first = plugin.expand(STATE, None, make_backbone)
    assert plugin.expand(STATE, first, make_backbone) is not first
