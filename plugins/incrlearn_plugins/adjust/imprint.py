"""Imprinting: the weights of new classes start at their mean features (Hou et al., CVPR 2019; Qi et al., CVPR 2018)."""

from __future__ import annotations

from collections.abc import Mapping

from incrlearn import Plugin, PluginError, RunState, TaskPasses, hookimpl
from incrlearn.network import Imprintable


class Imprint(Plugin):
    """Starts the head's weights of new classes from their images, before each task but the first is trained.

    The features are those of the network as the task finds it. What becomes of them is the head's own: the direction of
    their mean for ``cosine``.
    """

    kind = "adjust"
    needs = frozenset({"imprinting"})

    class Config(Plugin.Config):
        """No options."""

        def refuses(self) -> Mapping[str, str]:
            """A phase that draws the heads anew before it has trained them."""
            return {
                "fresh_heads": "the weights would be drawn anew after the warm-up; write fresh_heads: false there",
            }

    @hookimpl
    def prepare(self, state: RunState, passes: TaskPasses) -> None:
        """Start the weights of the task's own classes."""
        head, task = state.network.head, state.task
        if not isinstance(head, Imprintable):
            raise PluginError(
                f"'{self.name}' cannot start the weights of the head {type(head).__name__}: it has no "
                "imprint(first, features, generator); use the head 'cosine'"
            )
        if task.known == 0:
            return
        samples = state.new.take(state.new.labels >= task.known)
        features = passes.features(samples)
        by_class = [features[samples.labels == label] for label in range(task.known, task.seen)]
        head.imprint(task.known, by_class, state.generator(f"{self.name}/imprint"))
