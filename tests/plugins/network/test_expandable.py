"""DER's growth: a new extractor that starts from the last one, the old ones frozen."""

import pytest
import torch
from torch import nn

from incrlearn import RunState, Task
from incrlearn.network import BranchedNetwork
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
