"""DER's pruning: learned channel masks, a sparsity loss, and channels taken out of the weights."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor, nn

from incrlearn import LossTerm, Network, Passes, Phase, Plugin, PluginError, RunState, hookimpl
from incrlearn.network import Backbone, BranchedNetwork, ChannelMap, ImageShape, map_channels
from incrlearn_plugins.prune.learning import Gates, MaskLearning
from incrlearn_plugins.prune.options import MaskOptions

Groups = list[dict[str, Any]]


class ChannelMask(Plugin):
    """Learns which channels of each new extractor to keep and removes the others (DER, 3.3; Yan, Xie, He, CVPR 2021).

    Every group of coupled channels that can be removed exactly gets gates m = sigmoid(s e). They are learned in the
    first phase of a task that trains the network.
    """

    kind = "prune"
    needs = frozenset({"parts", "training"})
    provides = frozenset({"sparsity", "pruning"})

    class Config(MaskOptions):
        """Options."""

    config: Config

    def __init__(self, name: str, config: Config) -> None:
        """Bind to a recipe."""
        super().__init__(name, config)
        self._learning: MaskLearning | None = None
        self._dormant: dict[str, Tensor] | None = None
        self._phase: str | None = None
        self._mapped: tuple[object, ChannelMap] | None = None

    @hookimpl
    def explain(self, backbone: Backbone, image_shape: ImageShape) -> list[str]:
        """Which channels get gates, and which do not and why."""
        return describe(self._gates_of(backbone, image_shape))

    @hookimpl(wrapper=True)
    def expand(self, old: Network | None) -> Generator[None, Network, Network]:
        """Lend the dormant weights to whoever lets the new extractor start from the old one."""
        if isinstance(old, BranchedNetwork):
            old.backbones[-1].dormant = self._dormant
        network = yield
        if isinstance(old, BranchedNetwork):
            old.backbones[-1].dormant = None
        self._dormant = None
        return network

    @hookimpl
    def prepare(self, state: RunState) -> None:
        """Put gates on the newest extractor."""
        network = state.network
        if not isinstance(network, BranchedNetwork):
            raise PluginError(f"'{self.name}' prunes the extractors of a BranchedNetwork, not {type(network).__name__}")
        others = [key.removeprefix("for ") for key, module in network.attachments.items() if isinstance(module, Gates)]
        if others:
            raise PluginError(
                f"'{others[0]}' and '{self.name}' both put masks on the newest extractor: take one of these rows out"
            )
        if network.backbones[-1].removed:
            raise PluginError(f"'{self.name}' prunes a new extractor each task, but this one was pruned before")
        channels = self._gates_of(network.backbones[-1], state.image_shape)
        self._learning = MaskLearning(self.name, self.config, network, channels, state)

    @hookimpl(wrapper=True)
    def phases(self, state: RunState) -> Generator[None, list[Phase], list[Phase]]:
        """Before anything is trained: make sure that the masks will be learned, and that their removal can be followed.

        Everybody's phases are known here, and everybody's attachments are there.
        """
        phases = yield
        if self._learning is not None:
            problems = self._phase_problems(phases, state)
            problems += [f"it removes features, and {obstacle}" for obstacle in self._learning.obstacles()]
            if problems:
                raise PluginError("\n".join(f"'{self.name}': {problem}" for problem in problems))
        return phases

    @hookimpl(wrapper=True)
    def param_groups(self, phase: Phase) -> Generator[None, Groups, Groups]:
        """The logits in a group of their own: with their own learning rate, without weight decay."""
        groups = yield
        if self._learning is None:
            # The optimizer's groups keep their places: that of the logits goes on empty until its phase is over.
            return [*groups, self._group([])] if phase.name == self._phase else groups
        if phase.trains != "network":
            return groups
        self._phase = phase.name
        logits = self._learning.gates.logits
        others = [group | {"params": [p for p in group["params"] if p is not logits]} for group in groups]
        return [*others, self._group([logits])]

    @hookimpl
    def phase_end(self) -> None:
        """Forget the phase in which the logits had a group."""
        self._phase = None

    @hookimpl
    def batch_start(self, state: RunState, position: float) -> None:
        """Anneal s within the epoch (Eq. 8)."""
        if (learning := self._learning_in(state)) is not None:
            learning.anneal(position)

    @hookimpl
    def loss_terms(self, state: RunState) -> list[LossTerm]:
        """lambda_s L_S (Eq. 10, 11)."""
        if (learning := self._learning_in(state)) is None:
            return []
        value, weight = learning.sparsity()
        return [LossTerm(self.name, value, weight)]

    @hookimpl
    def after_step(self, state: RunState) -> None:
        """Clamp the logits; steer towards the budget."""
        if (learning := self._learning_in(state)) is not None:
            learning.after_step(state)

    @hookimpl
    def prune(self, state: RunState, passes: Passes) -> dict[str, Any] | None:
        """After ``binarise_at`` of the phase: remove the closed channels; what went, and accuracy on the way."""
        learning, phase = self._learning, state.phase
        if learning is None or phase is None or state.epoch + 1 < learning.last_epoch(phase):
            return None
        self._learning = None
        report = learning.finish(state, passes)
        # After the last task nobody starts from this extractor.
        self._dormant = learning.dormant if state.task.number < state.task.total else None
        return {"plugin": self.name, **report}

    @hookimpl
    def task_end(self, state: RunState) -> None:
        """Make sure that the masks were used, whatever has become of the phases since `phases` saw them."""
        if self._learning is not None:
            raise PluginError(f"'{self.name}': no phase trained the network in {state.task}, so nothing was pruned")

    def state_dict(self) -> dict[str, Any]:
        """The dormant weights of the newest extractor."""
        return {"dormant": self._dormant}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self._dormant = state["dormant"]

    def _group(self, logits: list[nn.Parameter]) -> dict[str, Any]:
        return {"params": logits, "lr": self.config.lr, "weight_decay": 0.0}

    def _learning_in(self, state: RunState) -> MaskLearning | None:
        """The masks, where the phase trains the network they are on."""
        return self._learning if state.phase is not None and state.phase.trains == "network" else None

    def _phase_problems(self, phases: list[Phase], state: RunState) -> list[str]:
        """Why the masks would not be learned as they should in these phases."""
        phase = next((phase for phase in phases if phase.trains == "network" and phase.epochs > 0), None)
        if phase is None:
            return [f"no phase trains the network in {state.task}, so nothing would be pruned"]
        if phase.terms is not None and not (phase.terms & self.provides):
            return [
                f"phase '{phase.name}' takes only the terms {sorted(phase.terms)}; add 'sparsity', or the masks learn "
                "without their loss"
            ]
        return []

    def _gates_of(self, backbone: Backbone, image_shape: ImageShape) -> ChannelMap:
        """The gates of a new extractor; mapping takes up to minutes, and those of a recipe all have the same."""
        shapes = (image_shape, [(name, parameter.shape) for name, parameter in backbone.named_parameters()])
        if self._mapped is None or self._mapped[0] != shapes:
            self._mapped = (shapes, self._map(backbone, image_shape))
        return self._mapped[1]

    def _map(self, backbone: Backbone, image_shape: ImageShape) -> ChannelMap:
        try:
            channels = map_channels(backbone, image_shape)
        except PluginError as error:
            raise PluginError(f"plugins.{self.name}: {error}") from error
        if channels.gates == 0:
            first = channels.ungated[0].reason if channels.ungated else "it has no convolution or linear layer"
            raise PluginError(
                f"plugins.{self.name}: no channel of this backbone can be removed exactly (the first ones: {first}); "
                "take another backbone or leave the pruning out"
            )
        return channels


def describe(channels: ChannelMap) -> list[str]:
    """Lines on what has gates and what has none, for ``incrlearn explain``."""
    lines = []
    for group in channels.groups:
        over = f" over {group.channels} channels" if group.channels != group.gates else ""
        lines.append(f"{group.gates} gates{over}: {', '.join(group.makers)}")
    left = [f"no gates, {other.channels} channels: {other.name}: {other.reason}" for other in channels.ungated]
    return lines + left
