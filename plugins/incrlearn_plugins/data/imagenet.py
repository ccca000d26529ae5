"""ImageNet (ILSVRC 2012) and its subset of 100 classes, streamed from the usual folders."""

from __future__ import annotations

import json
from abc import abstractmethod
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from incrlearn import DataError, Plugin
from incrlearn.data import Augment, CropScale, DataPlugin, FolderImages, Source, read_image_folder
from incrlearn_plugins.data.places import has_splits, lies_elsewhere, other_root

MEAN = (0.485, 0.456, 0.406)
"""Of ImageNet's training images."""
STD = (0.229, 0.224, 0.225)
"""Of ImageNet's training images."""


class ImageNet(DataPlugin):
    """What the two ImageNet data sets share."""

    title: ClassVar[str]
    folders: ClassVar[tuple[str, ...]]
    """Looked at in this order, below the root."""

    class Config(Plugin.Config):
        """Options."""

        size: int = Field(224, ge=8)
        """Height and width of the images the network gets, in pixels."""
        resized_crop: CropScale = (0.08, 1.0)
        """Augmentation: smallest and largest share of the area that a random-resized crop keeps."""
        flip: bool = True
        """Augmentation: horizontal flip with probability 0.5."""
        brightness: float = Field(0.0, ge=0, le=1)
        """Augmentation: b multiplies pixel values by a factor from U(1 - b, 1 + b)."""
        workers: int = Field(8, ge=0)
        """Processes that read images, as many as there are cores at most; 0: none. No result depends on it."""

    config: Config

    def open(self, root: Path) -> Source:
        """List the images in ``train/<synset>/`` and ``val/<synset>/``.

        Raises:
            DataError: the folders are not there, synsets are missing or too many, or one has no images.
        """
        shipped = json.loads(
            files("incrlearn_plugins.data").joinpath("orders", f"{self.title}.json").read_text("utf-8")
        )
        found = self._read(self._folder(root), shipped)
        config = self.config
        return Source(
            name=self.title,
            classes=found.classes,
            train=found.train,
            test=found.test,
            orders={name: tuple(order) for name, order in shipped["orders"].items()},
            augment=Augment(flip=config.flip, brightness=config.brightness, resized_crop=config.resized_crop),
            channels=3,
            size=config.size,
            mean=MEAN,
            std=STD,
            workers=config.workers,
        )

    @abstractmethod
    def _read(self, folder: Path, shipped: dict[str, Any]) -> FolderImages:
        """The classes of this data set in ``folder``."""

    def _folder(self, root: Path) -> Path:
        candidates = [root / name for name in self.folders]
        for folder in candidates:
            if has_splits(folder, ["val"]):
                return folder
        # A folder that is not called so may hold any images.
        names = [name for name in self.folders if name != "."]
        found = other_root(root, lambda other: any(has_splits(other / name, ["val"]) for name in names))
        if found is not None:
            raise DataError(lies_elsewhere(self.title, root, found))
        looked = [f"  {folder}/train/<synset>/*.JPEG and {folder}/val/<synset>/*.JPEG" for folder in candidates]
        raise DataError(
            "\n".join(
                [
                    f"{self.title} was not found. Looked at:",
                    *looked,
                    "Get the images from image-net.org, sort the validation images into one folder per synset, and put "
                    "them (or a link) there, or say where your data lies with --data DIR or INCRLEARN_DATA",
                ]
            )
        )


class ImageNet100(ImageNet):
    """ImageNet-100: the 100 classes of ImageNet that PODNet and DER use, streamed at 224x224."""

    title = "imagenet100"
    folders = ("imagenet100", "imagenet", "ILSVRC2012", ".")

    def _read(self, folder: Path, shipped: dict[str, Any]) -> FolderImages:
        return read_image_folder(folder, shipped["classes"], test_names=["val"], allow_others=True)


class ImageNet1000(ImageNet):
    """ImageNet-1000: all classes of ILSVRC 2012, streamed at 224x224."""

    title = "imagenet1000"
    folders = ("imagenet", "ILSVRC2012", ".")

    def _read(self, folder: Path, shipped: dict[str, Any]) -> FolderImages:
        found = read_image_folder(folder, test_names=["val"])
        wanted = len(shipped["orders"]["paper"])
        if len(found.classes) != wanted:
            raise DataError(
                f"{folder / 'train'}: {len(found.classes)} class folders, but ImageNet has {wanted} synsets"
            )
        return found
