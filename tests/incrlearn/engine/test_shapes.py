"""A network and a head that are tried before training stay as they were, and what does not fit is told."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from incrlearn import Output, Plugin, PluginError, RunState, Task, TaskPasses, hookimpl
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


class Head(nn.Module):
    """Does something with features first, and counts how often."""

    def __init__(self, first: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.first = first
        self.linear = nn.Linear(8, 4)
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, features: Tensor) -> Tensor:
        self.seen += 1
        self.first(features)
        logits: Tensor = self.linear(features)
        return logits


def try_head(first: Callable[[Tensor], object]) -> Head:
    network = BranchedNetwork([build_backbone(OPTIONS, channels=1, seed=1)])
    network.head = Head(first)
    check_shapes(RunState(1, torch.device("cpu"), Task(1, 2, 0, 4), (1, 8, 8), current=network), Calls([]))
    return network.head


def test_head_is_tried_on_real_features_and_does_not_notice() -> None:
    norms: list[Tensor] = []
    head = try_head(lambda features: norms.append(features.norm(dim=1)))
    assert int(head.seen) == 0
    assert norms[0].min() > 0  # features of 0 would be refused by a head that divides by their norm


def test_too_little_memory_is_no_fault_of_the_head() -> None:
    def fill(_: Tensor) -> None:
        raise torch.OutOfMemoryError("no room")

    with pytest.raises(torch.OutOfMemoryError):
        try_head(fill)


def test_mistake_in_a_head_is_told_with_its_line() -> None:
    def stack(features: Tensor) -> None:
        torch.stack([features, features[:, :1]])

    with pytest.raises(PluginError, match=r"RuntimeError at .*test_shapes\.py, line \d+: stack expects"):
        try_head(stack)


class Scores(Plugin):
    """Answers ``scores`` with what it is told to make of the logits, and counts how often."""

    kind = "score"
    asked = 0
    make: Callable[[Tensor], Tensor]

    @hookimpl
    def scores(self, out: Output) -> Tensor:
        self.asked += 1
        return self.make(out.logits)


class LearnsFirst(Scores):
    """Has nothing to say before the task has ended."""

    @hookimpl
    def task_end(self, state: RunState, passes: TaskPasses) -> None:
        pass


def try_scores(plugin: type[Scores], make: Callable[[Tensor], Tensor]) -> Scores:
    network = BranchedNetwork([build_backbone(OPTIONS, channels=1, seed=1)])
    network.head = nn.Linear(8, 4)
    scores = plugin("mine", plugin.Config())
    scores.make = make
    check_shapes(RunState(1, torch.device("cpu"), Task(1, 2, 0, 4), (1, 8, 8), current=network), Calls([scores]))
    return scores


def test_scores_of_a_wrong_shape_are_told_before_training() -> None:
    words = r"^plugins.mine: scores must give a floating tensor \(B, K\) of \(2, 4\); got a tensor \(2,\) of int64"
    with pytest.raises(PluginError, match=words) as caught:
        try_scores(Scores, lambda logits: logits.argmax(dim=1))
    assert caught.value.__notes__ == ["while 'mine' answered scores, task 1"]
    assert try_scores(Scores, lambda logits: logits.softmax(dim=1)).asked == 1


def test_scores_that_wait_for_the_end_of_a_task_are_not_tried() -> None:
    assert try_scores(LearnsFirst, lambda logits: logits[:, :0]).asked == 0


def test_scores_that_raise_before_training_are_not_held_against_them() -> None:
    def give_up(_: Tensor) -> Tensor:
        raise PluginError("not yet")

    assert try_scores(Scores, give_up).asked == 1
