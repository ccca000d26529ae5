"""What a data set is to the engine: two splits of images with labels, and how to augment them."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field

from incrlearn.errors import DataError
from incrlearn.plugin import Plugin

_PROBLEMS_SHOWN = 10
_Share = Annotated[float, Field(gt=0, le=1)]


def _ascending(scale: tuple[float, float]) -> tuple[float, float]:
    if scale[0] > scale[1]:
        raise ValueError(f"the smaller share comes first: write [{scale[1]}, {scale[0]}]")
    return scale


CropScale = Annotated[tuple[_Share, _Share], AfterValidator(_ascending)]
"""An option's type: smallest and largest share of an image's area that a random-resized crop keeps, in (0, 1]."""


def data_error(title: str, problems: Sequence[str]) -> DataError:
    """One error for all ``problems``: the first ten by name, the others as a count."""
    hidden = len(problems) - _PROBLEMS_SHOWN
    shown = [*problems[:_PROBLEMS_SHOWN], *([f"and {hidden} more"] if hidden > 0 else [])]
    return DataError("\n".join([f"{title}:", *(f"  {problem}" for problem in shown)]))


@dataclass(frozen=True, eq=False)
class ArrayImages:
    """Images held in memory, all of one size."""

    pixels: np.ndarray
    """(n, H, W, C) uint8."""

    def __len__(self) -> int:
        return len(self.pixels)


@dataclass(frozen=True, eq=False)
class FileImages:
    """Images that stay in their files; sizes may differ."""

    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)


@dataclass(frozen=True, eq=False)
class Split:
    """The training or the test images of a data set, with their labels."""

    images: ArrayImages | FileImages
    labels: np.ndarray
    """(n,) int64, the data set's own class ids, 0 <= id < number of classes."""

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Augment:
    """What is done to a training image, each with its own draw; the defaults do nothing."""

    padding: int = 0
    """Pixels of zeros put on each side before a crop of the old size, at a random place."""
    flip: bool = False
    """Mirror left and right with probability 0.5."""
    brightness: float = 0.0
    """b: pixel values are multiplied by a factor from U(max(0, 1 - b), 1 + b) and cut off at white."""
    resized_crop: tuple[float, float] | None = None
    """Smallest and largest share of the area, aspect ratio from 3/4 to 4/3; for `FileImages` only."""


@dataclass(frozen=True, eq=False)
class Source:
    """An opened data set."""

    name: str
    classes: tuple[str, ...]
    """Class names, by class id."""
    train: Split
    test: Split
    orders: Mapping[str, tuple[int, ...]]
    """Class orders with a name, such as ``paper-1``: each holds every class id once."""
    augment: Augment
    channels: int
    """C: 1 or 3; files are always read as 3."""
    size: int
    """Height and width of the images in pixels, as the network gets them."""
    mean: tuple[float, ...]
    """C means of the pixel values in [0, 1]."""
    std: tuple[float, ...]
    """C standard deviations of the pixel values in [0, 1]."""
    workers: int = 0
    """Processes that read `FileImages`; 0 reads them in the main process."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the images as the network gets them."""
        return (self.channels, self.size, self.size)

    def __post_init__(self) -> None:
        problems = [*_split_problems("train", self.train, self), *_split_problems("test", self.test, self)]
        for name, order in self.orders.items():
            if sorted(order) != list(range(len(self.classes))):
                problems.append(f"order '{name}' must hold each class id from 0 to {len(self.classes) - 1} once")
        for what, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.channels:
                problems.append(f"{what} has {len(values)} values for {self.channels} channels")
        if min(self.std, default=1.0) <= 0:
            problems.append("std must be above 0")
        if problems:
            raise data_error(f"data set '{self.name}'", problems)


def _split_problems(name: str, split: Split, source: Source) -> list[str]:
    problems = []
    count, labels, images = len(source.classes), split.labels, split.images
    if labels.dtype != np.int64 or labels.shape != (len(images),):
        return [f"{name}: {len(images)} images need int64 labels ({len(images)},), not {labels.dtype} {labels.shape}"]
    if len(labels) and not (labels.min() >= 0 and labels.max() < count):
        problems.append(f"{name}: labels must run from 0 to {count - 1}, not {labels.min()} to {labels.max()}")
    elif empty := np.flatnonzero(np.bincount(labels, minlength=count) == 0).tolist():
        problems.extend(f"{name}: class '{source.classes[label]}' has no images" for label in empty)
    if isinstance(images, ArrayImages):
        wanted = (source.size, source.size, source.channels)
        if images.pixels.dtype != np.uint8 or images.pixels.shape[1:] != wanted:
            problems.append(
                f"{name}: images must be uint8 (n, {', '.join(map(str, wanted))}), "
                f"not {images.pixels.dtype} {images.pixels.shape}"
            )
        if source.augment.resized_crop is not None:
            problems.append(f"{name}: a random-resized crop needs images in files; use padding for images in memory")
    elif source.channels != 3:
        problems.append(f"{name}: images in files are read as 3 channels, not {source.channels}")
    return problems


def data_digest(source: Source) -> str:
    """A digest of what positions in the splits stand for: classes and labels, in order, and the files' names.

    Exemplars are positions; they mean the same images only while this stays the same.
    """
    digest = hashlib.sha256(repr((source.classes, source.size, source.channels)).encode())
    for split in (source.train, source.test):
        digest.update(split.labels.tobytes())
        if isinstance(split.images, ArrayImages):
            # A few images tell apart orders that agree in their labels, as sorted exports may.
            digest.update(split.images.pixels[:: max(1, len(split) // 100)].tobytes())
        else:
            digest.update("\n".join(f"{path.parent.name}/{path.name}" for path in split.images.paths).encode())
    return digest.hexdigest()


def first_per_class(split: Split, count: int, classes: Sequence[str]) -> Split:
    """The first ``count`` images of each class, in the order of the split.

    Args:
        split: images and labels.
        count: images to keep of each class, from 1.
        classes: class names, by class id.

    Raises:
        DataError: a class has fewer images.
    """
    positions = [np.flatnonzero(split.labels == label) for label in range(len(classes))]
    short = [
        f"class '{name}' has {len(found)}" for name, found in zip(classes, positions, strict=True) if len(found) < count
    ]
    if short:
        raise data_error(f"{count} images of each class are asked for, but", short)
    kept = np.sort(np.concatenate([found[:count] for found in positions]))
    images = split.images
    if isinstance(images, ArrayImages):
        return Split(ArrayImages(images.pixels[kept]), split.labels[kept])
    return Split(FileImages(tuple(images.paths[i] for i in kept)), split.labels[kept])


class DataPlugin(Plugin, ABC):
    """Base of plug-ins that bring a data set; they answer no hooks, the engine calls `open` once a run."""

    kind = "data"

    @abstractmethod
    def open(self, root: Path) -> Source:
        """Find and read the data set.

        Args:
            root: the folder of all data sets.

        Raises:
            DataError: it is missing, unreadable or not what it should be; says what was looked at and what to do.
        """


def data_root(option: Path | None) -> Path:
    """The folder of all data sets: ``option``, else the environment's INCRLEARN_DATA, else ``./data``."""
    if option is not None:
        return option.expanduser()
    return Path(os.environ.get("INCRLEARN_DATA") or "data").expanduser()
