"""The network of the task before, kept for losses that compare with it."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch

from incrlearn.engine.runtime import Runtime
from incrlearn.errors import PluginError
from incrlearn.network import read_maps
from incrlearn.types import Batch, Network, Output


class FrozenTeacher:
    """The engine's `incrlearn.types.Teacher`."""

    def __init__(self, network: Network, runtime: Runtime, with_maps: bool = False) -> None:
        """Copy ``network`` as it stands; it has nothing attached.

        Args:
            network: at the end of its task.
            runtime: device and precision of the run.
            with_maps: whether its outputs have maps.
        """
        self._network = copy.deepcopy(network).requires_grad_(False).eval()
        self._stages = self._network.stages() if with_maps else ()
        self._runtime = runtime
        self._answered: tuple[Batch, Output] | None = None
        self._versions: list[int] = []

    @property
    def network(self) -> Network:
        """The copy."""
        return self._network

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Output:
        """See `incrlearn.types.Teacher.__call__`.

        Raises:
            PluginError: what it gave before was changed in place since.
        """
        self._check_untouched()
        if self._answered is None or self._answered[0] is not batch:
            with self._runtime.autocast(), read_maps(self._stages) as maps:
                parts = self._network.extract(batch.images)
            output = replace(self._network.classify(parts), maps=tuple(maps))
            self._answered, self._versions = (batch, output), _versions(output)
        return self._answered[1]

    def _check_untouched(self) -> None:
        """All plug-ins get the same tensors in a step: torch counts what is written into each."""
        if self._answered is not None and _versions(self._answered[1]) != self._versions:
            raise PluginError(
                "what state.teacher(batch) gave was changed in place, by this or another plug-in: all plug-ins get the "
                "same tensors in a step; compute new ones from them (logits * 0.5), or clone() them first"
            )


def _versions(output: Output) -> list[int]:
    return [tensor._version for tensor in (output.logits, *output.parts, *output.maps)]
