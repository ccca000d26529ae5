"""DER's auxiliary loss: the new extractor alone must tell the new classes apart, and from the old ones."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from incrlearn import Batch, LossTerm, Output, Plugin, RunState, hookimpl
from incrlearn.network import LinearHead


class Auxiliary(Plugin):
    """A second head on the newest extractor, over the new classes and one for all old ones (DER, Eq. 4)."""

    kind = "loss"
    needs = frozenset({"parts"})
    provides = frozenset({"auxiliary"})

    class Config(Plugin.Config):
        """Options."""

        weight: float = Field(1.0, ge=0)
        """lambda_a, the weight of the loss; there is none in the first task."""
        bias: bool = False
        """Whether the auxiliary head has biases; the authors' has none."""

    config: Config

    @hookimpl
    def prepare(self, state: RunState) -> None:
        """Attach the auxiliary head, (B, d_t) -> (B, new classes + 1)."""
        if state.task.known == 0:
            return
        network = state.network
        head = LinearHead(
            network.widths[-1], state.task.new + 1, self.config.bias, state.generator(f"{self.name}/draw")
        )
        network.attach(self.name, head.to(state.device))

    @hookimpl
    def loss_terms(self, state: RunState, batch: Batch, out: Output) -> list[LossTerm]:
        """L_{H^a}: cross-entropy of the auxiliary head on F_t(x)."""
        if state.task.known == 0:
            return []
        logits = state.network.attached(self.name)(out.parts[-1])
        targets = auxiliary_targets(batch.labels, state.task.known)
        return [LossTerm(self.name, cross_entropy(logits, targets), self.config.weight)]


def auxiliary_targets(labels: Tensor, known: int) -> Tensor:
    """Targets of the auxiliary head: 0 for any old class, ``k - known + 1`` for new class k.

    Args:
        labels: (B,) int64 in class order.
        known: classes seen before the task.
    """
    return (labels - known + 1).clamp(min=0)
