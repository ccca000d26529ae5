"""The linear head, fresh or inherited."""

import pytest
import torch

from incrlearn import RunState, Task
from incrlearn_plugins.head.linear import Linear


@pytest.mark.parametrize("start", ["fresh", "inherit"])
def test_old_weights_stay_only_where_they_are_inherited(start: str) -> None:
    plugin = Linear("head", Linear.Config.model_validate({"start": start}))
    device = torch.device("cpu")
    old = plugin.grow_head(RunState(1, device, Task(1, 2, 0, 2), (3, 32, 32)), None, 3)
    new = plugin.grow_head(RunState(1, device, Task(2, 2, 2, 5), (3, 32, 32)), old, 6)
    assert new.weight.shape == (5, 6)
    assert torch.equal(new.weight[:2, :3], old.weight) is (start == "inherit")
