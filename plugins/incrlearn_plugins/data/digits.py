"""The handwritten digits that come with scikit-learn (1,797 images of 8x8): for tests and first runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import Field

from incrlearn import DataError, Plugin
from incrlearn.data import ArrayImages, Augment, DataPlugin, Source, Split

SIZE = 8
"""Pixels on a side."""
MEAN = 0.3052
"""Of the training split, pixel values in [0, 1]."""
STD = 0.3760
"""Of the training split, pixel values in [0, 1]."""
_TEST_EVERY = 5
_DARKEST = 16


class Digits(DataPlugin):
    """Handwritten digits of scikit-learn: 10 classes, 1,442 training and 355 test images, 8x8, gray; no download."""

    class Config(Plugin.Config):
        """Options."""

        padding: int = Field(1, ge=0, le=SIZE)
        """Augmentation: pixels of zeros on each side before a random crop of 8x8."""
        flip: bool = False
        """Augmentation: horizontal flip with probability 0.5; a mirrored digit is rarely one."""
        brightness: float = Field(0.0, ge=0, le=1)
        """Augmentation: b multiplies pixel values by a factor from U(1 - b, 1 + b)."""

    config: Config

    def open(self, root: Path) -> Source:  # noqa: ARG002 (the images come with scikit-learn)
        """Read the images; within each class every fifth one is for the test.

        Raises:
            DataError: scikit-learn is not installed.
        """
        try:
            from sklearn.datasets import load_digits
        except ImportError as error:
            raise DataError("digits come with scikit-learn; install it: pip install 'incrlearn[digits]'") from error
        bunch = load_digits()
        labels = np.asarray(bunch.target, dtype=np.int64)
        pixels = np.rint(np.asarray(bunch.images) * (255 / _DARKEST)).astype(np.uint8)[..., None]
        test = every_nth_of_class(labels, _TEST_EVERY)
        config = self.config
        return Source(
            name="digits",
            classes=tuple(str(name) for name in bunch.target_names),
            train=Split(ArrayImages(pixels[~test]), labels[~test]),
            test=Split(ArrayImages(pixels[test]), labels[test]),
            orders={},
            augment=Augment(padding=config.padding, flip=config.flip, brightness=config.brightness),
            channels=1,
            size=SIZE,
            mean=(MEAN,),
            std=(STD,),
        )


def every_nth_of_class(labels: np.ndarray, n: int) -> np.ndarray:
    """A mask (len(labels),) of the n-th, 2n-th, ... sample of each class, in their order."""
    mask = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        mask[np.flatnonzero(labels == label)[n - 1 :: n]] = True
    return mask
