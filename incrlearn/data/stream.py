"""Streamed images: read, transform and stack, in this process or in workers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from incrlearn.data.files import open_image
from incrlearn.data.sources import Augment
from incrlearn.errors import DataError
from incrlearn.rng import isolated_rng

if TYPE_CHECKING:
    from torchvision.transforms import Compose


@dataclass(frozen=True)
class Wanted:
    """The images of one batch."""

    positions: list[int]
    """In the split."""
    seeds: list[int] | None
    """One for the augmentation of each image; None: not augmented."""


@dataclass(frozen=True)
class Unreadable:
    """In place of a batch: what is wrong with its images.

    A value and not an exception: one that a worker raises arrives with the worker's traceback as its message.
    """

    problems: list[str]


class WantedBatches(Sampler[Wanted]):
    """The batches of the next pass; they change from pass to pass under workers that live on."""

    def __init__(self) -> None:
        self.batches: Sequence[Wanted] = ()

    def __iter__(self) -> Iterator[Wanted]:
        return iter(self.batches)


class ImageReader(Dataset[Tensor | Unreadable]):
    """Gives whole batches by `Wanted`: uint8 (B, size, size, 3), still without normalisation."""

    def __init__(self, paths: Sequence[Path], augment: Augment, size: int) -> None:
        # One block of bytes: workers that count references on a million paths would each end up with a copy of them.
        self._paths = np.array([os.fsencode(path) for path in paths])
        self._training = training_transform(augment, size)
        self._evaluation = evaluation_transform(size)

    def __getitem__(self, wanted: Wanted) -> Tensor | Unreadable:
        images, problems = [], []
        for number, position in enumerate(wanted.positions):
            try:
                image = open_image(Path(os.fsdecode(self._paths[position])))
            except DataError as error:
                problems.append(str(error))
                continue
            seed = None if wanted.seeds is None else wanted.seeds[number]
            images.append(self._transformed(image, seed))
        return Unreadable(problems) if problems else torch.from_numpy(np.stack(images))

    def _transformed(self, image: Image.Image, seed: int | None) -> np.ndarray:
        if seed is None:
            return np.asarray(self._evaluation(image))
        # torchvision draws from the global generator: seeded per image, so that it matters not which worker does it.
        with isolated_rng(seed):
            return np.asarray(self._training(image))


def training_transform(augment: Augment, size: int) -> Compose:
    """From an image of any size to an augmented one of ``size`` x ``size``."""
    from torchvision import transforms  # takes seconds to load

    steps: list[Any] = [*_evaluation_steps(size)]
    if augment.resized_crop is not None:
        steps = [transforms.RandomResizedCrop(size, scale=augment.resized_crop)]
    if augment.padding:
        steps.append(transforms.RandomCrop(size, padding=augment.padding))
    if augment.flip:
        steps.append(transforms.RandomHorizontalFlip())
    if augment.brightness:
        steps.append(transforms.ColorJitter(brightness=augment.brightness))
    return transforms.Compose(steps)


def evaluation_transform(size: int) -> Compose:
    """The shorter side to size * 256 / 224, then the centre."""
    from torchvision import transforms

    return transforms.Compose(_evaluation_steps(size))


def _evaluation_steps(size: int) -> list[Any]:
    from torchvision import transforms

    return [transforms.Resize(size * 256 // 224), transforms.CenterCrop(size)]
