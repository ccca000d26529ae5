"""Data sets, tasks and batches: what a data plug-in gives, and how the engine reads it."""

from __future__ import annotations

from incrlearn.data.files import FolderImages, decode_images, open_image, read_image_folder
from incrlearn.data.loader import Loader, batches_in_epoch, make_loader
from incrlearn.data.scenario import Scenario, make_scenario
from incrlearn.data.sources import (
    ArrayImages,
    Augment,
    CropScale,
    DataPlugin,
    FileImages,
    Source,
    Split,
    data_digest,
    data_error,
    data_root,
    first_per_class,
)

__all__ = [
    "ArrayImages",
    "Augment",
    "CropScale",
    "DataPlugin",
    "FileImages",
    "FolderImages",
    "Loader",
    "Scenario",
    "Source",
    "Split",
    "batches_in_epoch",
    "data_digest",
    "data_error",
    "data_root",
    "decode_images",
    "first_per_class",
    "make_loader",
    "make_scenario",
    "open_image",
    "read_image_folder",
]
