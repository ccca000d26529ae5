"""What is shared, what is frozen, what is added, and that a checkpoint brings all of it back."""

from pathlib import Path

import pytest
import torch
from incrlearn import PluginError, Registry, load_network, load_recipe, run_recipe
from incrlearn.network import Backbone
from timm import create_model
from torch import nn

from incrlearn_memo import SharedNetwork
from incrlearn_memo.network import first_network, grow_block, rebuild_network, split

RECIPE = Path(__file__).parents[1] / "recipes" / "memo_digits.yaml"


def make_backbone(purpose: str = "test") -> Backbone:
    torch.manual_seed(len(purpose))
    model = create_model("resnet18", num_classes=0, in_chans=1, layers=[1] * 4, channels=[8] * 4)
    return Backbone(model, 8)


def images() -> torch.Tensor:
    return torch.randn(4, 1, 32, 32, generator=torch.Generator().manual_seed(1))


def grown(share: str) -> SharedNetwork:
    first = first_network(make_backbone(), share)
    return first.with_block(grow_block(first.blocks[0], split(make_backbone("another"))[1]))


def test_uncut_and_cut_backbone_say_the_same() -> None:
    backbone = make_backbone().eval()
    wanted = backbone(images())
    torch.testing.assert_close(first_network(backbone, "learned").eval().extract(images()), (wanted,))


def test_new_block_starts_as_the_one_before() -> None:
    old, new = grown("learned").eval().extract(images())
    assert torch.equal(old, new)


def test_old_block_is_frozen_and_lets_gradients_through() -> None:
    network = grown("learned").train()
    sum(part.square().mean() for part in network.extract(images())).backward()
    assert all(p.grad is None for p in network.blocks[0].parameters())
    assert all(p.grad is not None for p in network.blocks[1].parameters())
    before = network.shared[0].weight.grad.clone()
    network.zero_grad()
    network.extract(images())[1].square().mean().backward()
    assert not torch.equal(before, network.shared[0].weight.grad)


def test_statistics_of_frozen_blocks_stand_still() -> None:
    network = grown("learned").train()
    before = {name: value.clone() for name, value in network.blocks[0].state_dict().items()}
    network.extract(images())
    assert all(torch.equal(before[name], value) for name, value in network.blocks[0].state_dict().items())


@pytest.mark.parametrize(("share", "learns"), [("learned", True), ("first task", False)])
def test_shared_part_learns_as_the_option_says(share: str, learns: bool) -> None:
    network = grown(share).train()
    assert all(p.requires_grad == learns for p in network.shared.parameters())
    assert network.shared.training == learns
    first = first_network(make_backbone(), share).train()
    assert all(p.requires_grad for p in first.shared.parameters()) and first.shared.training


def test_layout_gives_the_shapes_again() -> None:
    network = grown("first task")
    again = rebuild_network(network.layout(), make_backbone)
    again.load_state_dict(network.state_dict())
    assert again.layout() == network.layout()
    for before, after in zip(network.eval().extract(images()), again.eval().extract(images()), strict=True):
        assert torch.equal(before, after)


def test_backbone_that_cannot_be_cut_is_refused() -> None:
    with pytest.raises(PluginError, match="has no conv1.*write backbone"):
        split(Backbone(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), 2))


def test_run_keeps_old_blocks_and_grows_by_one_a_task(tmp_path: Path) -> None:
    short = ["data.classes=6", "data.tasks=3", "plugins.train.epochs=1", "plugins.train.milestones=[]"]
    short += [
        "plugins.train.warmup=0",
        "plugins.balance.epochs=1",
        "plugins.balance.milestones=[]",
        "precision=float32",
    ]
    run_recipe(load_recipe(RECIPE, Registry.discover(), short), tmp_path / "run", device="cpu")
    networks = [load_network(tmp_path / "run", task=task) for task in (1, 2, 3)]
    states = [network.state_dict() for network in networks]
    assert [len(network.widths) for network in networks] == [1, 2, 3]
    first_block = [name for name in states[0] if name.startswith("blocks.0.")]
    assert first_block
    assert all(torch.equal(states[0][name], states[later][name]) for name in first_block for later in (1, 2))
    assert not torch.equal(states[0]["shared.0.weight"], states[2]["shared.0.weight"])
