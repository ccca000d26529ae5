"""Batches of a split: from the device's memory for small images, streamed from files for large ones."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from incrlearn.data.augment import Draws, crop_and_flip, draw, finish
from incrlearn.data.sources import ArrayImages, FileImages, Source, Split, data_error
from incrlearn.data.stream import ImageReader, Unreadable, Wanted, WantedBatches
from incrlearn.types import Batch, Samples


class Loader(Protocol):
    """Gives the images of one split as batches on the device."""

    def train(
        self, samples: Samples, batch: int, order: torch.Generator, augment: torch.Generator | None
    ) -> Iterator[Batch]:
        """One epoch: shuffled by ``order`` alone, augmented by ``augment`` alone.

        Args:
            samples: what to go through, each image once.
            batch: images a batch at most; sizes are as even as can be, see `batches_in_epoch`.
            order: CPU generator for the order.
            augment: CPU generator for the augmentation; None: images are not augmented.

        Raises:
            DataError: an image cannot be read.
        """
        ...

    def plain(self, samples: Samples, batch: int) -> Iterator[Batch]:
        """All of ``samples`` in their order, not augmented.

        Raises:
            DataError: an image cannot be read.
        """
        ...


def batches_in_epoch(samples: int, batch: int) -> int:
    """How many batches an epoch of training over ``samples`` images has: samples / batch, rounded up.

    They differ by at most one image. Where batches of two would leave one image alone, one of them has three.
    """
    return len(_training_bounds(samples, batch)) - 1


def make_loader(source: Source, split: Split, device: torch.device) -> Loader:
    """The loader for one split of ``source``: images in memory go to the device once, files are streamed."""
    if isinstance(split.images, ArrayImages):
        return DeviceLoader(source, split.images, device)
    return StreamLoader(source, split.images, device)


def _bounds(samples: int, batch: int) -> list[int]:
    """0, batch, 2 * batch, ..., samples."""
    return [*range(0, samples, batch), samples]


def _training_bounds(samples: int, batch: int) -> list[int]:
    """Ends of the batches, from 0 to ``samples``.

    Even sizes, because a rest of a few images would take as large a step as a whole batch on statistics that mean
    nothing: batch norm over two images gave gradients a hundred times the usual and undid epochs of training.
    """
    count = math.ceil(samples / batch)
    if batch > 1:
        # Batch norm has no variance over one image of 1x1 features and raises.
        count = max(1, min(count, samples // 2))
    return [samples * number // count for number in range(count + 1)] if samples else [0]


def _column(values: tuple[float, ...], device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device)[:, None, None]


class DeviceLoader:
    """A split that lies on the device as uint8; nothing in a batch waits for the device."""

    def __init__(self, source: Source, images: ArrayImages, device: torch.device) -> None:
        # PyTorch takes no read-only memory, such as an array mapped from a file.
        self._pixels = torch.from_numpy(np.require(images.pixels, requirements=["C", "W"])).to(device)
        self._augment = source.augment
        self._mean, self._std = _column(source.mean, device), _column(source.std, device)
        self._device = device

    def train(
        self, samples: Samples, batch: int, order: torch.Generator, augment: torch.Generator | None
    ) -> Iterator[Batch]:
        """See `Loader.train`."""
        shuffled = samples.take(torch.randperm(len(samples), generator=order))
        draws = draw(self._augment, len(samples), augment).to(self._device) if augment is not None else None
        return self._batches(shuffled, _training_bounds(len(samples), batch), draws)

    def plain(self, samples: Samples, batch: int) -> Iterator[Batch]:
        """See `Loader.plain`."""
        return self._batches(samples, _bounds(len(samples), batch), None)

    def _batches(self, samples: Samples, bounds: list[int], draws: Draws | None) -> Iterator[Batch]:
        indices, labels = samples.indices.to(self._device), samples.labels.to(self._device)
        for start, stop in pairwise(bounds):
            pixels = self._pixels.index_select(0, indices[start:stop])
            if draws is None:
                images = finish(pixels, self._mean, self._std)
            else:
                images = self._augmented(pixels, draws.part(start, stop))
            yield Batch(images, labels[start:stop])

    def _augmented(self, pixels: Tensor, draws: Draws) -> Tensor:
        wanted = self._augment
        if wanted.padding or wanted.flip:
            pixels = crop_and_flip(pixels, draws, wanted.padding)
        return finish(pixels, self._mean, self._std, draws.brightness if wanted.brightness else None)


class StreamLoader:
    """A split that stays in files; its workers live as long as the loader. One pass at a time."""

    def __init__(self, source: Source, images: FileImages, device: torch.device) -> None:
        self._reader = ImageReader(images.paths, source.augment, source.size)
        self._workers = min(source.workers, _usable_cores())
        self._mean, self._std = _column(source.mean, device), _column(source.std, device)
        self._device = device
        self._name = source.name
        self._wanted = WantedBatches()
        self._loader = self._open()
        self._newest_pass = object()

    def _open(self) -> DataLoader[Tensor | Unreadable]:
        return DataLoader(
            self._reader,
            batch_size=None,  # the reader gives whole batches
            sampler=self._wanted,
            collate_fn=_as_it_is,
            num_workers=self._workers,
            persistent_workers=self._workers > 0,
            pin_memory=self._device.type == "cuda",
            generator=torch.Generator(),  # else each pass would draw from the global one
        )

    def train(
        self, samples: Samples, batch: int, order: torch.Generator, augment: torch.Generator | None
    ) -> Iterator[Batch]:
        """See `Loader.train`."""
        shuffled = samples.take(torch.randperm(len(samples), generator=order))
        seeds: list[int] | None = None
        if augment is not None:
            seeds = torch.randint(2**63 - 1, (len(samples),), generator=augment).tolist()
        return self._batches(shuffled, _training_bounds(len(samples), batch), seeds)

    def plain(self, samples: Samples, batch: int) -> Iterator[Batch]:
        """See `Loader.plain`."""
        return self._batches(samples, _bounds(len(samples), batch), None)

    def _batches(self, samples: Samples, bounds: list[int], seeds: list[int] | None) -> Iterator[Batch]:
        spans = list(pairwise(bounds))
        positions: list[int] = samples.indices.tolist()
        labels = samples.labels.to(self._device)
        self._wanted.batches = [
            Wanted(positions[start:stop], seeds[start:stop] if seeds is not None else None) for start, stop in spans
        ]
        self._newest_pass = this_pass = object()
        for (start, stop), pixels in zip(spans, self._loader, strict=True):
            if self._newest_pass is not this_pass:
                raise RuntimeError("another pass over this split began before this one was over")
            if isinstance(pixels, Unreadable):
                # Let the old workers go at once: found in the traceback by the garbage collector, they take 5 s each.
                self._loader = self._open()
                raise data_error(f"data set '{self._name}'", pixels.problems)
            on_device = pixels.to(self._device, non_blocking=True)
            yield Batch(finish(on_device, self._mean, self._std), labels[start:stop])


def _as_it_is(batch: object) -> object:
    return batch


def _usable_cores() -> int:
    """More workers than cores only get in each other's way, and PyTorch warns of them; results do not depend on it."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
