"""The base class of every plug-in: a name, options, what it needs and provides, and its private state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Plugin:
    """A part of a method. Subclass it, nest a ``Config``, and answer hooks with ``@hookimpl`` methods.

    Example:
        ```python
        class Label(Plugin):
            '''Cross-entropy with smoothed labels.'''

            kind = "loss"
            provides = frozenset({"classification"})

            class Config(Plugin.Config):
                smoothing: float = Field(0.1, ge=0, lt=1)
                '''Share of the probability given to the other classes.'''

            config: Config

            @hookimpl
            def loss_terms(self, batch, out):
                loss = cross_entropy(out.logits, batch.labels, self.config.smoothing)
                return [LossTerm(self.name, loss)]
        ```
    """

    kind: ClassVar[str] = "other"
    """What it is: network, head, loss, prune, memory, phase, adjust, score, data or log."""
    needs: ClassVar[frozenset[str]] = frozenset()
    """Words that some plug-in of the recipe must provide; for ``teacher`` and ``maps`` the engine does, see
    `RunState.teacher` and `Output.maps`."""
    provides: ClassVar[frozenset[str]] = frozenset()
    """Words that describe what it offers to others, such as ``parts``."""
    affects_result: ClassVar[bool] = True
    """False for loggers: they do not count in a recipe's fingerprint."""

    class Config(BaseModel):
        """Options of the plug-in, each with a type, a range and a docstring; unknown ones are errors."""

        model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

        def also_provides(self) -> frozenset[str]:
            """Words that the plug-in provides with these options, beside those of its class."""
            return frozenset()

        @classmethod
        def formerly(cls) -> Mapping[str, str]:
            """Earlier names of options, each with its name of today: recipes may use them still, and are told."""
            return {}

        def refuses(self) -> Mapping[str, str]:
            """Words that no other plug-in may provide beside these options; for each why, and what to write instead."""
            return {}

        def refuses_below(self) -> Mapping[str, str]:
            """Words that no row below may provide; for each why. Above, where it is asked earlier, it may stand."""
            return {}

    config: Config

    def __init__(self, name: str, config: Config) -> None:
        """Bind the plug-in to a recipe.

        Args:
            name: its key in the recipe, such as ``memory``.
            config: its validated options.
        """
        self.name = name
        self.config = config

    def state_dict(self) -> dict[str, Any]:
        """Private state to keep in a checkpoint: tensors and plain values."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        if state:
            raise ValueError(f"{type(self).__name__} keeps no state but was given {sorted(state)}")
