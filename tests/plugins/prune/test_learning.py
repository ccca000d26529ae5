"""One extractor's masks from their draw to the removal, on a network in float64 and without an engine."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils import parametrize

from incrlearn import Phase, RunState, Task
from incrlearn.network import BranchedNetwork, LinearHead, build_backbone, kept_features, map_channels
from incrlearn.recipe import BackboneOptions
from incrlearn.types import Backbone
from incrlearn_plugins.prune.learning import MaskLearning
from incrlearn_plugins.prune.options import MaskOptions

PHASE = Phase("train", epochs=10, batch=4)
IMAGES = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


class Watched:
    """Takes note of what the newest extractor and the logits are whenever the accuracy is asked for."""

    def __init__(self, network: BranchedNetwork) -> None:
        self.network = network
        self.parts: list[Tensor] = []
        self.logits: list[Tensor] = []
        self.settled: list[torch.nn.Module] = []

    def accuracy(self) -> float:
        with torch.no_grad():
            out = self.network.eval()(IMAGES)
        self.parts.append(out.parts[-1])
        self.logits.append(out.logits)
        return float(len(self.parts))

    def settle_norms(self, module: torch.nn.Module) -> None:
        self.settled.append(module)


def backbone(seed: int) -> Backbone:
    options = BackboneOptions(name="resnet18", stem="cifar", options={"layers": [1] * 4, "channels": [4, 6, 8, 10]})
    made = build_backbone(options, 3, seed)
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in made.state_dict().items():
        if "running" in name or name.endswith((".weight", ".bias")):
            noise = torch.randn(tensor.shape, generator=generator)
            tensor.add_(noise.abs() if "running_var" in name else 0.1 * noise)
    return made.double()


def learning(task: int = 2, **options: Any) -> tuple[MaskLearning, RunState, BranchedNetwork]:
    network = BranchedNetwork([backbone(seed) for seed in range(task)], frozen=task - 1)
    network.head = LinearHead(network.width, 2 * task, bias=False, generator=torch.Generator().manual_seed(0))
    images = (3, 8, 8)
    state = RunState(1, torch.device("cpu"), Task(task, 3, 2 * task - 2, 2 * task), images, current=network)
    state.phase = PHASE
    channels = map_channels(network.backbones[-1], images)
    made = MaskLearning("pruning", MaskOptions.model_validate(options), network, channels, state)
    return made, state, network


def with_logits(made: MaskLearning, seed: int = 2) -> Tensor:
    """Give it logits as learned ones are, far from 0."""
    draws = torch.randn(made.gates.logits.shape, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        made.gates.logits.copy_(draws.sign() * (1 + draws.abs()))
    return made.gates.logits.detach().clone()


def test_logits_are_drawn_between_the_ends_of_start_from_a_generator_of_their_own() -> None:
    first = learning(sparsity=1.0, start=[0.5, 1.5])[0].gates.logits.detach()
    assert 0.5 <= float(first.min()) < 0.6
    assert 1.4 < float(first.max()) <= 1.5
    torch.manual_seed(99)
    before = torch.get_rng_state()
    again = learning(sparsity=1.0, start=[0.5, 1.5])[0].gates.logits
    assert torch.equal(again, first)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(learning(3, sparsity=1.0, start=[0.5, 1.5])[0].gates.logits, first)


def test_binary_and_removed_network_give_the_same_features() -> None:
    made, state, network = learning(sparsity=1.0)
    kept = kept_features(map_channels(backbone(seed=1), (3, 8, 8)), with_logits(made) > 0)
    passes = Watched(network)
    made.finish(state, passes)
    _, binary, removed, settled = passes.parts
    assert removed.shape[1] == network.widths[-1] == len(kept) < binary.shape[1]
    torch.testing.assert_close(binary[:, kept], removed, rtol=1e-12, atol=1e-12)
    assert torch.equal(removed, settled)
    # The head is in float32.
    torch.testing.assert_close(passes.logits[1], passes.logits[2], rtol=1e-4, atol=1e-5)


def test_soft_accuracy_is_taken_with_the_largest_scale() -> None:
    made, state, network = learning(sparsity=1.0, s_max=3.0)
    with_logits(made)
    made.anneal(0.0)
    passes = Watched(network)
    made.finish(state, passes)
    made, state, network = learning(sparsity=1.0, s_max=3.0)
    with_logits(made)
    made.anneal(1.0)
    with torch.no_grad():
        at_largest = network.eval()(IMAGES).parts[-1]
    assert torch.equal(passes.parts[0], at_largest)
    assert not torch.equal(passes.parts[0], passes.parts[1])


def test_report_tells_what_was_removed() -> None:
    made, state, network = learning(sparsity=0.7, s_max=15.0)
    logits = with_logits(made)
    with torch.no_grad():
        made.gates.logits[:6] = torch.tensor([0.19, 0.21, -0.19, -0.21, 0.0, 0.1])
    before = sum(parameter.numel() for parameter in network.backbones[-1].parameters()) - len(logits)
    old = {name: value.clone() for name, value in network.backbones[0].state_dict().items()}
    state.epoch = 6
    report = made.finish(state, Watched(network))
    newest = network.backbones[-1]
    after = sum(parameter.numel() for parameter in newest.parameters())
    assert (report["epoch"], report["parameters_after"]) == (7, after)
    assert report["parameters_before"] == before + len(logits)
    assert report["kept"] == report["kept_above_zero"] == after / report["parameters_before"]
    assert [report[f"top1_{stage}"] for stage in ("soft", "binary", "removed", "settled")] == [1, 2, 3, 4]
    assert report["sparsity_weight"] == 0.7
    # |e| < 3 / 15 for four of them
    assert report["undecided"] == pytest.approx(4 / len(logits))
    convs = {name: module for name, module in newest.named_modules() if isinstance(module, torch.nn.Conv2d)}
    assert {name: kept for name, (kept, _) in report["channels"].items()} == {
        name: conv.out_channels for name, conv in convs.items()
    }
    assert report["channels"]["model.conv1"][1] == 64
    assert report["channels"]["model.layer2.0.conv1"][1] == 6
    assert all(torch.equal(value, old[name]) for name, value in network.backbones[0].state_dict().items())


def test_norms_are_settled_once_for_the_newest_extractor_alone() -> None:
    made, state, network = learning(sparsity=1.0)
    with_logits(made)
    passes = Watched(network)
    made.finish(state, passes)
    assert passes.settled == [network.backbones[-1]]


def test_norms_can_be_left_alone_and_the_report_then_tells_of_no_accuracy_behind_them() -> None:
    made, state, network = learning(sparsity=1.0, settle=False)
    with_logits(made)
    passes = Watched(network)
    report = made.finish(state, passes)
    assert passes.settled == []
    assert len(passes.parts) == 3
    assert [name for name in report if name.startswith("top1")] == ["top1_soft", "top1_binary", "top1_removed"]


def test_all_closed_leaves_one_gate_a_group() -> None:
    made, state, network = learning(sparsity=1.0)
    with torch.no_grad():
        made.gates.logits.copy_(-with_logits(made).abs())
    report = made.finish(state, Watched(network))
    assert {kept for kept, _ in report["channels"].values()} == {1}
    assert network.widths[-1] == 1
    assert network(IMAGES).logits.shape == (6, 4)


def test_budget_decides_by_the_order_of_the_logits_not_by_their_sign() -> None:
    made, state, network = learning(keep=0.5)
    with torch.no_grad():
        made.gates.logits.copy_(with_logits(made).abs())
    report = made.finish(state, Watched(network))
    assert report["kept_above_zero"] == 1
    assert 0.45 < report["kept"] <= 0.5


def test_budget_is_used_up_where_many_logits_are_equal() -> None:
    # As where the sparsity loss has driven them all to the clamp.
    made, state, network = learning(keep=0.5)
    with torch.no_grad():
        made.gates.logits.fill_(-6.0)
    assert 0.45 < made.finish(state, Watched(network))["kept"] <= 0.5


def test_after_a_step_the_logits_are_within_the_clamp() -> None:
    made, state, _ = learning(sparsity=1.0, clamp=2.5)
    with torch.no_grad():
        made.gates.logits[:3] = torch.tensor([9.0, -9.0, 1.25])
    made.after_step(state)
    assert made.gates.logits[:3].tolist() == [2.5, -2.5, 1.25]


@pytest.mark.parametrize(("binarise_at", "epoch"), [(0.7, 7), (0.5, 5), (1.0, 10), (0.01, 1), (0.99, 10)])
def test_channels_go_after_the_share_of_the_phase_asked_for(binarise_at: float, epoch: int) -> None:
    made, _, _ = learning(sparsity=1.0, binarise_at=binarise_at)
    assert made.last_epoch(PHASE) == epoch


def test_sparsity_weight_of_a_recipe_is_used_as_it_is() -> None:
    made, state, network = learning(sparsity=0.3)
    network.extract(IMAGES)
    made.after_step(state)
    assert made.sparsity()[1] == 0.3


def test_sparsity_follows_the_mask_of_the_batch_with_a_gradient() -> None:
    made, _, network = learning(sparsity=1.0, s_max=100.0)
    made.anneal(0.0)
    network.extract(IMAGES)
    half_open, _ = made.sparsity()
    # At s = 1/100 every gate is about 1/2: the first layer keeps half of its weights, the others a quarter.
    weights = [m.weight.numel() for m in backbone(seed=1).modules() if isinstance(m, torch.nn.Conv2d)]
    assert half_open.item() == pytest.approx((weights[0] / 2 + sum(weights[1:]) / 4) / sum(weights), rel=0.02)
    made.anneal(1.0)
    network.extract(IMAGES)
    value, _ = made.sparsity()
    assert 0.9 < value.item() <= 1
    value.backward()
    assert made.gates.logits.grad is not None
    assert (made.gates.logits.grad > 0).all()


def test_only_the_newest_extractor_is_masked_and_nothing_stays_on_it() -> None:
    made, state, network = learning(sparsity=1.0)
    old, new = network.backbones
    assert not any(map(parametrize.is_parametrized, old.modules()))
    assert any(map(parametrize.is_parametrized, new.modules()))
    with_logits(made)
    made.finish(state, Watched(network))
    for module in network.modules():
        assert not parametrize.is_parametrized(module)
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    assert all(parameter.requires_grad for parameter in new.parameters())
