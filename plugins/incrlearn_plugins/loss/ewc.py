"""Elastic weight consolidation: weights that old tasks need are held in place (Kirkpatrick et al., PNAS 2017)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from incrlearn import Batch, LossTerm, Network, Plugin, PluginError, RunState, TaskPasses, hookimpl

Weights = dict[str, Tensor]
"""Tensors by the name of the parameter in the network."""

_FISHER_BATCH = 64
"""Images loaded at once; their gradients are taken one by one."""


@dataclass(frozen=True, eq=False)
class Anchor:
    """Where weights are held, and how firmly."""

    fisher: Weights
    """The diagonal of the Fisher information."""
    weights: Weights
    """theta*, the weights at the end of the task."""

    def to(self, device: torch.device) -> Anchor:
        """The same on another device."""
        return Anchor(_moved(self.fisher, device), _moved(self.weights, device))


class Ewc(Plugin):
    """Penalises each weight's way from where the tasks before ended by its Fisher information (EWC; online EWC).

    The network is in eval mode while the Fisher information is taken, in float32. A head that grows is held in the rows
    and columns it had. Frozen parameters are left alone, and so are batch norm's statistics, which are none.
    """

    kind = "loss"
    needs = frozenset({"training"})
    provides = frozenset({"consolidation"})

    class Config(Plugin.Config):
        """Options."""

        weight: float = Field(10.0, ge=0)
        """lambda. It goes with the scale of the Fisher information, and so with data, labels and network; search it."""
        labels: Literal["sampled", "true"] = "sampled"
        """Whose log-probability is differentiated: a label drawn from the network's own softmax, which gives the Fisher
        information, or the image's label, which gives what is called the empirical one."""
        samples: int | None = Field(500, ge=1)
        """How many of the task's images it is taken over, drawn at random; null: all. Each costs a gradient."""
        online: bool = True
        """Whether one penalty stands for all tasks so far, as in online EWC (Schwarz et al., ICML 2018), or each task
        keeps one of its own, which takes memory and time for each."""
        fisher_max: float | None = Field(None, gt=0)
        """Fisher information above it counts as this much (online: the accumulated one); null: as it is.
        SGD with rate r and momentum m swings ever wider around theta* where r lambda F > 2 (1 + m)."""
        gamma: float = Field(1.0, gt=0, le=1)
        """Online: what is left of the Fisher information of the tasks before when a task's own is added."""

        def refuses(self) -> Mapping[str, str]:
            """A head that fixes old weights: under one name it then learns those of other classes in each task."""
            return {
                "fixed_weights": "the weights of new classes would be pulled to those of the task before; "
                "write old: learned there"
            }

    config: Config

    def __init__(self, name: str, config: Config) -> None:
        """Bind to a recipe."""
        super().__init__(name, config)
        self._anchors: list[Anchor] = []

    @hookimpl
    def prepare(self, state: RunState) -> None:
        """Take the anchors to the device and refuse a network in which they have no place."""
        self._anchors = [anchor.to(state.device) for anchor in self._anchors]
        self._penalty(state.network)

    @hookimpl
    def loss_terms(self, state: RunState) -> list[LossTerm]:
        """The sum of `quadratic_penalty` over the anchors; none in the first task."""
        if not self._anchors:
            return []
        return [LossTerm(self.name, self._penalty(state.network), self.config.weight)]

    @hookimpl
    def task_end(self, state: RunState, passes: TaskPasses) -> None:
        """Take the Fisher information and the weights, where another task comes."""
        if state.task.number == state.task.total:
            return
        config = self.config
        order = torch.randperm(len(state.new), generator=state.generator(f"{self.name}/images"))
        images = passes.batches(state.new.take(order[: config.samples]), _FISHER_BATCH)
        labels = state.generator(f"{self.name}/labels") if config.labels == "sampled" else None
        fisher = fisher_diagonal(state.network.eval(), images, labels)
        weights = {name: value.detach().clone() for name, value in trainable(state.network).items()}
        if config.online and self._anchors:
            fisher = accumulated(self._anchors[0].fisher, fisher, config.gamma)
        if config.fisher_max is not None:
            fisher = {name: value.clamp(max=config.fisher_max) for name, value in fisher.items()}
        self._anchors = [*([] if config.online else self._anchors), Anchor(fisher, weights)]

    def state_dict(self) -> dict[str, Any]:
        """``anchors``: for each its ``fisher`` and ``weights`` by the name of the parameter."""
        on_cpu = [anchor.to(torch.device("cpu")) for anchor in self._anchors]
        return {"anchors": [{"fisher": anchor.fisher, "weights": anchor.weights} for anchor in on_cpu]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self._anchors = [Anchor(entry["fisher"], entry["weights"]) for entry in state.get("anchors", [])]

    def _penalty(self, network: Network) -> Tensor:
        parameters = trainable(network)
        try:
            penalties = [quadratic_penalty(parameters, anchor.fisher, anchor.weights) for anchor in self._anchors]
        except ValueError as error:
            raise PluginError(
                f"'{self.name}' cannot hold weights where they were: {error}; nothing may be removed from a network "
                "that goes on learning"
            ) from error
        return _added(penalties)


def trainable(network: Network) -> Weights:
    """The network's parameters that learn, by name, without what is attached for training alone."""
    return {
        name: parameter
        for name, parameter in network.named_parameters()
        if parameter.requires_grad and not name.startswith("attachments.")
    }


@torch.enable_grad()
def fisher_diagonal(network: Network, batches: Iterable[Batch], sampler: torch.Generator | None) -> Weights:
    """F_i = 1/N sum_x (d log p(y | x) / d theta_i)^2 over the parameters that learn.

    One gradient an image: the square of a batch's mean gradient is another number, and for independent images one
    about as many times smaller as the batch has images.

    Args:
        network: in eval mode, so that an image's gradient does not depend on the others.
        batches: the images, and their labels.
        sampler: a CPU generator that draws each y from p(. | x); None: y is the image's label.

    Returns:
        F by name, each in the shape of its parameter; zeros where there are no images.
    """
    parameters = trainable(network)
    total = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
    images = 0
    for batch in batches:
        for position in range(len(batch)):
            log_p = network(batch.images[position : position + 1]).logits.log_softmax(dim=1)[0]
            label = batch.labels[position]
            if sampler is not None:
                label = torch.multinomial(log_p.detach().exp().cpu(), 1, generator=sampler)[0]
            gradients = torch.autograd.grad(log_p[label], list(parameters.values()), materialize_grads=True)
            for sum_of_squares, gradient in zip(total.values(), gradients, strict=True):
                sum_of_squares += gradient.square()
        images += len(batch)
    return {name: value / max(1, images) for name, value in total.items()}


def quadratic_penalty(parameters: Mapping[str, Tensor], fisher: Weights, weights: Weights) -> Tensor:
    """1/2 sum_i F_i (theta_i - theta*_i)^2: EWC, Eq. 3, without lambda.

    Args:
        parameters: theta, by name; those that are not anchored, and anchored ones that are not there, take no part.
            Where a parameter has grown, its first rows and columns are the ones anchored.
        fisher: F by name.
        weights: theta* by name, in the shapes of ``fisher``.

    Returns:
        A scalar; nothing here waits for the device.

    Raises:
        ValueError: a parameter has become smaller than its anchor.
    """
    terms = [
        (fisher[name] * (first_block(parameter, fisher[name], name) - weights[name]).square()).sum()
        for name, parameter in parameters.items()
        if name in fisher
    ]
    return 0.5 * _added(terms)


def accumulated(before: Weights, own: Weights, gamma: float) -> Weights:
    """Online EWC: F <- gamma F + F_t, by name and, where a parameter has grown, on the part it had.

    Args:
        before: F after the tasks before; what is no longer in ``own``, such as a frozen extractor's, is dropped.
        own: F_t; is left as it was.
        gamma: in (0, 1].
    """
    total = {name: value.clone() for name, value in own.items()}
    for name in before.keys() & own.keys():
        first_block(total[name], before[name], name).add_(before[name], alpha=gamma)
    return total


def first_block(tensor: Tensor, like: Tensor, name: str) -> Tensor:
    """The first rows, columns and so on of ``tensor``, as many as ``like`` has: a view.

    Raises:
        ValueError: it has fewer.
    """
    if tensor.ndim != like.ndim or any(now < then for now, then in zip(tensor.shape, like.shape, strict=True)):
        raise ValueError(f"{name} is {tuple(tensor.shape)} now and was {tuple(like.shape)} when a task ended")
    return tensor[tuple(slice(size) for size in like.shape)]


def _added(scalars: list[Tensor]) -> Tensor:
    """Their sum, 0 of none."""
    return sum(scalars, torch.zeros(()))


def _moved(tensors: Weights, device: torch.device) -> Weights:
    return {name: value.to(device) for name, value in tensors.items()}
