"""A user's own folder of images, streamed and in memory."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from incrlearn import DataError, Samples
from incrlearn.data import ArrayImages, Augment, FileImages, Source, make_loader
from incrlearn_plugins.data.image_folder import ImageFolder


def open_folder(root: Path, **options: object) -> Source:
    return ImageFolder("data", ImageFolder.Config.model_validate(options)).open(root)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Images of several sizes and modes below ``pets``."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 3), ("val", 2)):
        for name in ("cat", "dog"):
            (tmp_path / "pets" / split / name).mkdir(parents=True)
            for number in range(count):
                image = Image.fromarray(rng.integers(0, 256, (12 + number, 9, 3), dtype=np.uint8))
                image.convert(("RGB", "L", "P")[number]).save(tmp_path / "pets" / split / name / f"{number}.png")
    return tmp_path


def test_images_are_streamed_by_default_with_a_resized_crop(root: Path) -> None:
    made = open_folder(root, folder="pets")
    assert made.classes == ("cat", "dog")
    assert isinstance(made.train.images, FileImages)
    assert (len(made.train), len(made.test)) == (6, 4)
    assert made.augment == Augment(flip=True, resized_crop=(0.08, 1.0))
    assert (made.name, made.size) == ("pets", 224)


def test_in_memory_every_image_is_resized_and_converted(root: Path) -> None:
    made = open_folder(root, folder="pets", memory=True, size=8, padding=2)
    assert isinstance(made.train.images, ArrayImages)
    assert made.train.images.pixels.shape == (6, 8, 8, 3)
    with Image.open(root / "pets" / "train" / "dog" / "1.png") as gray:
        wanted = np.asarray(gray.convert("RGB").resize((8, 8), Image.Resampling.BILINEAR))
    assert np.array_equal(made.train.images.pixels[4], wanted)
    assert made.augment == Augment(padding=2, flip=True)


@pytest.mark.parametrize("memory", [False, True])
def test_both_ways_give_batches_of_one_size(root: Path, memory: bool) -> None:
    made = open_folder(root, folder="pets", memory=memory, size=8, workers=0)
    loader = make_loader(made, made.train, torch.device("cpu"))
    samples = Samples(torch.arange(6), torch.from_numpy(made.train.labels))
    shapes = [tuple(batch.images.shape) for batch in loader.train(samples, 3, torch.Generator(), torch.Generator())]
    assert shapes == [(3, 3, 8, 8), (3, 3, 8, 8)]


def test_the_root_itself_can_be_the_folder(root: Path) -> None:
    made = open_folder(root / "pets", folder=".")
    assert (made.name, made.classes) == ("pets", ("cat", "dog"))


def test_an_empty_class_folder_is_named(root: Path) -> None:
    for split in ("train", "val"):
        (root / "pets" / split / "cow").mkdir()
    with pytest.raises(DataError, match="pets/val/cow: no images in this class folder"):
        open_folder(root, folder="pets")


def test_an_unreadable_image_is_named_when_it_is_read(root: Path) -> None:
    broken = root / "pets" / "val" / "dog" / "1.png"
    broken.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"val/dog/1\.png: not a readable image"):
        open_folder(root, folder="pets", memory=True)
    made = open_folder(root, folder="pets", workers=0)
    loader = make_loader(made, made.test, torch.device("cpu"))
    with pytest.raises(DataError, match=r"val/dog/1\.png: not a readable image"):
        list(loader.plain(Samples(torch.arange(4), torch.arange(4)), 2))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing: no such folder; there is no folder"):
        open_folder(tmp_path, folder="nothing")


def test_resized_crop_and_memory_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="with memory: true use padding"):
        ImageFolder.Config.model_validate({"folder": "x", "memory": True, "resized_crop": (0.2, 1.0)})
    for harmless in ({"folder": "x", "memory": True}, {"folder": "x", "memory": True, "resized_crop": None}):
        assert ImageFolder.Config.model_validate(harmless).memory


@pytest.mark.parametrize("options", [{}, {"folder": ""}, {"folder": "x", "size": 0}, {"folder": "x", "scale": 1}])
def test_options_that_cannot_be_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ImageFolder.Config.model_validate(options)
