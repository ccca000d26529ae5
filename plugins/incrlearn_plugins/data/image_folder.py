"""Any data set that lies as one folder of images per class."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from incrlearn import DataError, Plugin
from incrlearn.data import (
    Augment,
    CropScale,
    DataPlugin,
    FileImages,
    Source,
    Split,
    decode_images,
    read_image_folder,
)
from incrlearn_plugins.data.places import has_splits, lies_elsewhere, no_such_folder, other_root

# ImageNet's, as is usual for photographs.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class ImageFolder(DataPlugin):
    """Your own images: ``train/<class>/*`` and ``test/<class>/*`` (or ``val``) in a folder below the data root."""

    class Config(Plugin.Config):
        """Options."""

        folder: str = Field(min_length=1)
        """The folder with train/ and test/ or val/, below the data root; "." is the root itself."""
        size: int = Field(224, ge=8)
        """Height and width of the images the network gets, in pixels."""
        memory: bool = False
        """Hold all images in memory, resized to size x size and cached; else they are streamed from their files."""
        padding: int = Field(0, ge=0)
        """Augmentation: pixels of zeros on each side before a random crop of the old size."""
        flip: bool = True
        """Augmentation: horizontal flip with probability 0.5."""
        brightness: float = Field(0.0, ge=0, le=1)
        """Augmentation: b multiplies pixel values by a factor from U(1 - b, 1 + b)."""
        resized_crop: CropScale | None = (0.08, 1.0)
        """Augmentation of streamed images: smallest and largest share of the area that is kept; null: no such crop."""
        workers: int = Field(8, ge=0)
        """Processes that read streamed images, as many as there are cores at most; 0: none. No result depends on it."""

        @model_validator(mode="after")
        def _resized_crop_is_for_streams(self) -> ImageFolder.Config:
            if self.memory and self.resized_crop is not None and "resized_crop" in self.model_fields_set:
                raise ValueError("resized_crop is for streamed images; with memory: true use padding, or take it out")
            return self

    config: Config

    def open(self, root: Path) -> Source:
        """List the images and, with ``memory``, decode them once.

        Raises:
            DataError: folders are missing or do not agree, a class has no images, an image cannot be read.
        """
        config = self.config
        if not (root / config.folder).is_dir():
            raise DataError(self._help(root))
        found = read_image_folder(root / config.folder)
        return Source(
            name=config.folder if config.folder != "." else root.resolve().name,
            classes=found.classes,
            train=self._images(found.train, root, "train"),
            test=self._images(found.test, root, "test"),
            orders={},
            augment=Augment(
                config.padding, config.flip, config.brightness, None if config.memory else config.resized_crop
            ),
            channels=3,
            size=config.size,
            mean=MEAN,
            std=STD,
            workers=config.workers,
        )

    def _help(self, root: Path) -> str:
        """What to write where the folder is not there."""
        folder = self.config.folder
        if (found := other_root(root, lambda other: has_splits(other / folder))) is not None:
            return lies_elsewhere(f"'{folder}'", root, found)
        if not root.is_dir():
            return f"{root}: no such folder; say where your data lies with --data DIR or INCRLEARN_DATA"
        if has_splits(root):
            return f"{root / folder}: no such folder; {root} holds train/ and test/ itself: write folder: ."
        return no_such_folder(folder, root)

    def _images(self, split: Split, root: Path, name: str) -> Split:
        if not self.config.memory or not isinstance(split.images, FileImages):
            return split
        cached = f"image-folder-{name}-{self.config.size}"
        return Split(decode_images(split.images, root, cached, self.config.size, resize=True), split.labels)
