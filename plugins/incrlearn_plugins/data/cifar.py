"""CIFAR-10 and CIFAR-100 (Krizhevsky, 2009): 32x32 colour images, 50,000 to train on and 10,000 to test."""

from __future__ import annotations

import json
import tempfile
import warnings
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar
from urllib.request import Request, urlopen

import numpy as np
from pydantic import Field

from incrlearn import DataError, Plugin
from incrlearn.data import (
    ArrayImages,
    Augment,
    DataPlugin,
    FileImages,
    Source,
    Split,
    decode_images,
    first_per_class,
    read_image_folder,
)
from incrlearn_plugins.data.places import has_splits, lies_elsewhere, other_root

SIZE = 32
"""Pixels on a side."""
_TIMEOUT = 20.0
"""Seconds that the server may take to answer before it counts as out of reach."""


class Cifar(DataPlugin):
    """What the two CIFAR data sets share."""

    official: ClassVar[str]
    """Name of torchvision's class, which knows names and checksums of the official files."""
    export: ClassVar[str]
    """Folder of an image-folder export, and name of the data set."""
    mean: ClassVar[tuple[float, float, float]]
    std: ClassVar[tuple[float, float, float]]

    class Config(Plugin.Config):
        """Options; the augmentation is the paper's."""

        padding: int = Field(4, ge=0, le=SIZE)
        """Augmentation: pixels of zeros on each side before a random crop of 32x32."""
        flip: bool = True
        """Augmentation: horizontal flip with probability 0.5."""
        brightness: float = Field(63 / 255, ge=0, le=1)
        """Augmentation: b multiplies pixel values by a factor from U(1 - b, 1 + b)."""
        train_per_class: int | None = Field(None, ge=1)
        """Train on the first n images of each class only, in the data set's order; all if left out."""

    config: Config

    @property
    def archive(self) -> Any:  # noqa: ANN401 (torchvision has no types)
        """Torchvision's class; the library takes seconds to load, and who only reads a recipe need not wait."""
        from torchvision import datasets

        return getattr(datasets, self.official)

    def open(self, root: Path) -> Source:
        """Read the official files, an image-folder export, or the official archive from its site.

        Raises:
            DataError: none of them is there, or what is there is not the data set.
        """
        shipped = json.loads(
            files("incrlearn_plugins.data").joinpath("orders", f"{self.export}.json").read_text("utf-8")
        )
        classes = tuple(shipped["classes"])
        train, test = self._find(root, classes)
        if self.config.train_per_class is not None:
            train = first_per_class(train, self.config.train_per_class, classes)
        config = self.config
        return Source(
            name=self.export,
            classes=classes,
            train=train,
            test=test,
            orders={name: tuple(order) for name, order in shipped["orders"].items()},
            augment=Augment(padding=config.padding, flip=config.flip, brightness=config.brightness),
            channels=3,
            size=SIZE,
            mean=self.mean,
            std=self.std,
        )

    def _find(self, root: Path, classes: tuple[str, ...]) -> tuple[Split, Split]:
        if (root / self.archive.base_folder).is_dir() or (root / self.archive.filename).is_file():
            return read_official(root, self.archive)
        if (root / self.export).is_dir():
            return read_export(root, self.export, classes)
        if (found := other_root(root, self._is_in)) is not None:
            raise DataError(lies_elsewhere(self.export, root, found))
        if has_splits(root):
            raise DataError(
                f"{root} holds train/ and test/ itself: name that folder {self.export} (or make a link of that name), "
                "and give the folder it lies in with --data"
            )
        try:
            download(root, self.archive)
        except (OSError, RuntimeError) as error:
            raise DataError(self._help(root, error)) from error
        return read_official(root, self.archive)

    def _is_in(self, folder: Path) -> bool:
        archive = (folder / self.archive.base_folder).is_dir() or (folder / self.archive.filename).is_file()
        return archive or has_splits(folder / self.export)

    def _help(self, root: Path, error: Exception) -> str:
        return "\n".join(
            [
                f"{self.export} was not found and cannot be downloaded ({error}). Looked at:",
                f"  {root / self.archive.base_folder}/ (the official archive, extracted)",
                f"  {root / self.archive.filename} (the official archive)",
                f"  {root / self.export}/train/<class>/*.png and {root / self.export}/test/<class>/*.png (an export)",
                f"Put one of these there ({self.archive.url}), or say where your data lies with --data DIR or "
                "INCRLEARN_DATA",
            ]
        )


class Cifar100(Cifar):
    """CIFAR-100: 100 classes of 500 training and 100 test images, 32x32."""

    official = "CIFAR100"
    export = "cifar100"
    mean = (0.5071, 0.4867, 0.4408)
    std = (0.2675, 0.2565, 0.2761)


class Cifar10(Cifar):
    """CIFAR-10: 10 classes of 5,000 training and 1,000 test images, 32x32."""

    official = "CIFAR10"
    export = "cifar10"
    mean = (0.4914, 0.4822, 0.4465)
    std = (0.2023, 0.1994, 0.2010)


def read_export(root: Path, name: str, classes: tuple[str, ...]) -> tuple[Split, Split]:
    """Training and test split from ``root/name/{train,test}/<class>/``, through the cache.

    Raises:
        DataError: classes are missing or too many, a class is empty, images are unreadable or not 32x32.
    """
    found = read_image_folder(root / name, classes, test_names=["test"])
    return _decoded(found.train, root, f"{name}-train"), _decoded(found.test, root, f"{name}-test")


def _decoded(split: Split, root: Path, name: str) -> Split:
    if not isinstance(split.images, FileImages):
        return split
    return Split(decode_images(split.images, root, name, SIZE), split.labels)


def read_official(root: Path, dataset: Any) -> tuple[Split, Split]:  # noqa: ANN401 (torchvision has no types)
    """Training and test split from the official files below ``root``; the archive is extracted where need be.

    Args:
        root: holds the archive or the folder it extracts to.
        dataset: torchvision's class for it.

    Raises:
        DataError: files are missing or their MD5 is not the official one.
    """
    from torchvision.datasets.utils import check_integrity

    folder, archive = root / dataset.base_folder, root / dataset.filename
    intact = all(check_integrity(folder / name, md5) for name, md5 in [*dataset.train_list, *dataset.test_list])
    if not intact and not archive.is_file():
        raise DataError(f"{folder}: files are missing or damaged (MD5); extract {dataset.filename} again")
    if not intact and not check_integrity(archive, dataset.tgz_md5):
        raise DataError(f"{archive}: not the official archive or damaged (MD5); delete it and get {dataset.url} again")
    try:
        return _load(root, dataset, train=True, extract=not intact), _load(root, dataset, train=False, extract=False)
    except (OSError, RuntimeError) as error:
        raise DataError(f"{folder}: {error}") from error


def _load(root: Path, dataset: Any, train: bool, extract: bool) -> Split:  # noqa: ANN401
    with warnings.catch_warnings():
        # The official pickles were written by an old numpy; what the new one says of that helps nobody.
        warnings.filterwarnings("ignore", message=r"dtype\(\): align should be passed")
        read = dataset(root, train=train, download=extract)
    return Split(ArrayImages(np.ascontiguousarray(read.data)), np.array(read.targets, dtype=np.int64))


def download(root: Path, dataset: Any) -> None:  # noqa: ANN401
    """Get the official archive and lay it out below ``root``; torchvision compares its MD5.

    Raises:
        OSError: the server cannot be reached, or ``root`` cannot be written.
        RuntimeError: what came is not the official archive.
    """
    # torchvision would wait without end for a server that does not answer.
    with urlopen(Request(dataset.url, method="HEAD"), timeout=_TIMEOUT):
        pass
    root.mkdir(parents=True, exist_ok=True)
    # Moved into place when complete: a download that breaks off must leave nothing that looks like the data set.
    with tempfile.TemporaryDirectory(dir=root, prefix=".download-") as partial:
        dataset(partial, download=True)
        (Path(partial) / dataset.base_folder).replace(root / dataset.base_folder)
