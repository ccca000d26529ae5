"""Numbers of class-incremental learning, from accuracies in percent; pure functions.

R is the accuracy matrix: ``R[t][i]`` is the accuracy after task t + 1 on the test images of the classes that task
i + 1 brought, ``i <= t``, predicting among all classes seen. It is a list of T rows, row t of length t + 1.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from incrlearn.types import Network, Task

Matrix = Sequence[Sequence[float]]


def top_k_accuracy(scores: Tensor, labels: Tensor, k: int) -> float:
    """Percent of rows whose label is among the ``k`` largest scores (all of them where there are fewer classes).

    Args:
        scores: (N, K).
        labels: (N,) int64.
        k: at least 1.

    Returns:
        A percentage; nan where N is 0.
    """
    if len(labels) == 0:
        return float("nan")
    best = scores.topk(min(k, scores.shape[1]), dim=1).indices
    hits = (best == labels[:, None]).any(dim=1).sum()
    return 100.0 * int(hits) / len(labels)


def accuracy_by_task(scores: Tensor, labels: Tensor, tasks: Sequence[Task]) -> list[float]:
    """Top-1 in percent on the classes of each task: one row of R."""
    row = []
    for task in tasks:
        own = (labels >= task.known) & (labels < task.seen)
        row.append(top_k_accuracy(scores[own], labels[own], 1))
    return row


def average(values: Sequence[float]) -> float:
    """Mean over tasks, the first included: the papers' "average incremental accuracy" of per-task values."""
    return sum(values) / len(values)


def forgetting(matrix: Matrix) -> float | None:
    """Mean over old tasks i < T of max_{i <= t < T} R[t][i] - R[T][i] (Chaudhry et al., ECCV 2018, Eq. 3).

    Returns:
        Percentage points, larger is worse; None with a single task.
    """
    last = len(matrix) - 1
    if last == 0:
        return None
    drops = [max(matrix[t][i] for t in range(i, last)) - matrix[last][i] for i in range(last)]
    return sum(drops) / last


def backward_transfer(matrix: Matrix) -> float | None:
    """Mean over old tasks i < T of R[T][i] - R[i][i] (Lopez-Paz and Ranzato, NeurIPS 2017, Eq. 3).

    Returns:
        Percentage points, below zero where tasks are forgotten; None with a single task.
    """
    last = len(matrix) - 1
    if last == 0:
        return None
    return sum(matrix[last][i] - matrix[i][i] for i in range(last)) / last


def parameter_count(network: nn.Module) -> int:
    """Parameters of the model at inference: attachments of training do not count."""
    skipped = {id(p) for p in network.attachments.parameters()} if isinstance(network, Network) else set()
    return sum(p.numel() for p in network.parameters() if id(p) not in skipped)
