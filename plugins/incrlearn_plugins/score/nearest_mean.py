"""iCaRL's classifier: the class whose exemplars' mean is nearest (Rebuffi et al., CVPR 2017, Algorithm 1)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from incrlearn import Output, Plugin, PluginError, RunState, TaskPasses, hookimpl


class NearestMean(Plugin):
    """Scores by nearness to each class's mean exemplar, in place of the head's logits (iCaRL, Algorithm 1).

    It asks nothing of network, head and losses, so it goes with any method that keeps exemplars. What is asked in the
    middle of training, such as the accuracies around a pruning, is still answered by the head.
    """

    kind = "score"
    needs = frozenset({"exemplars"})

    def __init__(self, name: str, config: Plugin.Config) -> None:
        super().__init__(name, config)
        self._means: Tensor | None = None

    @hookimpl
    def task_end(self, state: RunState, passes: TaskPasses) -> None:
        """Take the means anew, of old classes too: the features may have moved under them."""
        memory, classes = state.memory, state.task.seen
        missing = sorted(set(range(classes)) - set(memory.labels.tolist()))
        if missing:
            raise PluginError(
                f"'{self.name}' has no exemplar of the classes {missing} (labels in class order), so no mean; "
                "give the memory enough for one a class"
            )
        self._means = class_means(passes.features(memory), memory.labels, classes).float().to(state.device)

    @hookimpl
    def scores(self, state: RunState, out: Output) -> Tensor:
        """(B, K): minus the squared distance to each mean."""
        if self._means is None or len(self._means) != state.task.seen:
            raise PluginError(f"'{self.name}' has no means of {state.task} yet: they are taken when it has ended")
        return nearness(out.features, self._means.to(out.features.device))

    def state_dict(self) -> dict[str, Any]:
        """``means``: (K, D) float32, L2-normalised; nothing before the first task has ended."""
        return {} if self._means is None else {"means": self._means.cpu()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self._means = state.get("means")


def class_means(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Mean exemplar of each class: iCaRL, Algorithm 1, features and means L2-normalised.

    mu_y = m / ||m||, m = 1/|P_y| sum over p in P_y of phi(p) / ||phi(p)||.

    Args:
        features: (n, D).
        labels: (n,) int64, each of the classes at least once.
        classes: K.

    Returns:
        (K, D) float64; a class whose features cancel out has a mean of zeros.
    """
    means = [normalize(features[labels == label].double(), dim=1).mean(dim=0) for label in range(classes)]
    return normalize(torch.stack(means), dim=1)


def nearness(features: Tensor, means: Tensor) -> Tensor:
    """Minus the squared distance of each L2-normalised feature to each mean: iCaRL, Algorithm 1, takes the largest.

    -||phi/||phi|| - mu_y||^2, written out so that no (B, K, D) is made.

    Args:
        features: (B, D).
        means: (K, D).

    Returns:
        (B, K), in [-4, 0] for normalised means.
    """
    unit = normalize(features, dim=1)
    return 2 * unit @ means.T - unit.square().sum(dim=1, keepdim=True) - means.square().sum(dim=1)
