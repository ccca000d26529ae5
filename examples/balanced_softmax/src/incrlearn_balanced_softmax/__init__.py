"""Balanced softmax cross-entropy for incremental learning (Jodelet, Liu, Murata, ICANN 2021, arXiv 2103.12532)."""

from __future__ import annotations

from collections.abc import Generator

import torch
from incrlearn import Batch, LossTerm, Output, Phase, Plugin, PluginError, RunState, Samples, hookimpl
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy


class BalancedSoftmax(Plugin):
    """Cross-entropy that knows how many images of each class there are: few exemplars do not lose to many new images.

    Training asks for the probabilities in its unbalanced data, n_k exp(z_k) / sum_j n_j exp(z_j), so the logits z
    alone, which are evaluated, are those of balanced data. In a phase on balanced data it is cross-entropy.
    """

    kind = "loss"
    provides = frozenset({"classification"})

    class Config(Plugin.Config):
        """Options; the default is the paper's."""

        strength: float = Field(1.0, ge=0)
        """Power of the counts: n_k ** strength. 0 is cross-entropy."""

    config: Config

    def __init__(self, name: str, config: Config) -> None:
        """Bind to a recipe."""
        super().__init__(name, config)
        self._log_prior: dict[str, Tensor] = {}

    @hookimpl(wrapper=True)
    def select_data(self, state: RunState, phase: Phase) -> Generator[None, Samples, Samples]:
        """Count the images of each class in what the phase trains on, whoever chose it."""
        samples = yield
        counts = torch.bincount(samples.labels, minlength=state.task.seen)
        absent = (counts == 0).nonzero().flatten().tolist()
        if absent:
            raise PluginError(
                f"plugins.{self.name}: phase '{phase.name}' has no image of the classes {absent[:5]}, whose "
                "probability would be 0; give the recipe a memory"
            )
        self._log_prior[phase.name] = (self.config.strength * counts.double().log()).float().to(state.device)
        return samples

    @hookimpl
    def loss_terms(self, state: RunState, batch: Batch, out: Output) -> list[LossTerm]:
        """The loss in every phase that takes it, with the counts of that phase."""
        if state.phase is None:
            return []
        return [LossTerm(self.name, balanced_softmax(out.logits, batch.labels, self._log_prior[state.phase.name]))]


def balanced_softmax(logits: Tensor, labels: Tensor, log_prior: Tensor) -> Tensor:
    """-1/B sum_i log( n_y exp(z_iy) / sum_k n_k exp(z_ik) ), y the label of image i (Jodelet et al.).

    Args:
        logits: z, (B, K).
        labels: (B,) int64.
        log_prior: log n_k, (K,); what is added to all of them changes nothing.

    Returns:
        A scalar.
    """
    return cross_entropy(logits + log_prior, labels)
