"""A network that is tried on blank images stays as it was."""

import torch
from torch import nn

from incrlearn import RunState, Task
from incrlearn.calls import Calls
from incrlearn.engine.shapes import check_shapes
from incrlearn.network import BranchedNetwork, LinearHead, build_backbone
from incrlearn.recipe import BackboneOptions

OPTIONS = BackboneOptions(name="resnet18", stem="cifar", options={"layers": [1] * 4, "channels": [8] * 4})


def test_trying_changes_neither_modes_nor_statistics_and_draws_nothing() -> None:
    network = BranchedNetwork([build_backbone(OPTIONS, channels=1, seed=1)])
    network.head = nn.Sequential(nn.Dropout(0.5), LinearHead(8, 4, False, torch.Generator()))
    network.train()
    network.backbones[0].model.layer1.eval()  # type: ignore[operator,union-attr]
    modes = [module.training for module in network.modules()]
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    drawn = torch.get_rng_state()
    check_shapes(RunState(1, torch.device("cpu"), Task(2, 2, 2, 4), (1, 8, 8), current=network), Calls([]))
    assert [module.training for module in network.modules()] == modes
    assert len(set(modes)) == 2
    assert all(torch.equal(tensor, weights[name]) for name, tensor in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), drawn)
