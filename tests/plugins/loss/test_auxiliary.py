"""The auxiliary loss against DER's definition, in float64."""

import numpy as np
import torch

from incrlearn import Batch, Output, RunState, Task
from incrlearn.network import BranchedNetwork
from incrlearn.types import Backbone
from incrlearn_plugins.loss.auxiliary import Auxiliary, auxiliary_targets


def state_of(task: Task) -> RunState:
    network = BranchedNetwork([Backbone(torch.nn.Identity(), 3), Backbone(torch.nn.Identity(), 2)], frozen=1)
    return RunState(1, torch.device("cpu"), task, (3, 32, 32), current=network)


def test_targets_by_hand() -> None:
    # 10 old classes, 5 new: every old class is 0, the new ones are 1 to 5
    labels = torch.tensor([0, 9, 10, 11, 14])
    assert auxiliary_targets(labels, known=10).tolist() == [0, 0, 1, 2, 5]


def test_head_has_one_output_more_than_new_classes_and_reads_the_newest_part() -> None:
    state = state_of(Task(2, 3, 4, 7))
    Auxiliary("auxiliary", Auxiliary.Config()).prepare(state)
    head = state.network.attached("auxiliary")
    assert head.weight.shape == (3 + 1, 2)


def test_loss_equals_float64_cross_entropy() -> None:
    state = state_of(Task(2, 3, 4, 7))
    plugin = Auxiliary("auxiliary", Auxiliary.Config(weight=0.7))
    plugin.prepare(state)
    generator = torch.Generator().manual_seed(4)
    parts = (torch.randn(5, 3, generator=generator), torch.randn(5, 2, generator=generator))
    labels = torch.tensor([0, 3, 4, 6, 5])
    (term,) = plugin.loss_terms(
        state, Batch(torch.zeros(5, 1, 1, 1), labels), Output(parts, torch.cat(parts, 1), torch.zeros(5, 7))
    )
    weights = state.network.attached("auxiliary").weight.detach().double().numpy()
    logits = parts[1].double().numpy() @ weights.T
    targets = [0, 0, 1, 3, 2]
    reference = np.mean([np.log(np.exp(row).sum()) - row[target] for row, target in zip(logits, targets, strict=True)])
    np.testing.assert_allclose(term.value.item(), reference, rtol=1e-5)
    assert (term.name, term.weight) == ("auxiliary", 0.7)


def test_first_task_has_none() -> None:
    state = state_of(Task(1, 3, 0, 4))
    plugin = Auxiliary("auxiliary", Auxiliary.Config())
    plugin.prepare(state)
    empty = torch.zeros(1, 2)
    assert len(state.network.attachments) == 0
    assert (
        plugin.loss_terms(state, Batch(empty, torch.zeros(1, dtype=torch.int64)), Output((empty,), empty, empty)) == []
    )
