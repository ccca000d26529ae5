"""Which weights a phase trains: told where a plug-in puts others in their place, which no optimizer holds."""

from __future__ import annotations

from torch import nn

from incrlearn.errors import PluginError
from incrlearn.types import Network

_MOST_TOLD = 3


class LearningWeights:
    """The weights of a network as its optimizer was made for them."""

    def __init__(self, network: Network) -> None:
        """Take note of the weights there are."""
        # The weights themselves, so that no other can get the identity of one that is gone.
        self._known: dict[str, nn.Parameter] = dict(network.named_parameters())

    def check(self, network: Network, hook: str) -> None:
        """Refuse weights that are other objects by now.

        Args:
            network: the same network.
            hook: what was answered just before.

        Raises:
            PluginError: naming them.
        """
        now = dict(network.named_parameters())
        others = {name: now[name] for name, weight in self._known.items() if name in now and now[name] is not weight}
        replaced = [name for name, weight in others.items() if weight.requires_grad]
        if replaced:
            more = f" and {len(replaced) - _MOST_TOLD} more" if len(replaced) > _MOST_TOLD else ""
            raise PluginError(
                f"{hook}: {', '.join(replaced[:_MOST_TOLD])}{more} of the network were replaced by new objects, which "
                "the optimizer does not hold: they would never learn. Change weights in place, with torch.no_grad(): "
                "weight.copy_(values); a new head is made in grow_head, other parts in expand and prepare"
            )
