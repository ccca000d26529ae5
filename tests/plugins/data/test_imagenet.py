"""ImageNet's folders, on empty files: listing opens no image."""

import json
from importlib.resources import files
from pathlib import Path

import pytest
from pydantic import ValidationError

from incrlearn import DataError
from incrlearn.data import Augment, FileImages
from incrlearn_plugins.data.imagenet import ImageNet, ImageNet100, ImageNet1000

ORDERS = files("incrlearn_plugins.data") / "orders"
HUNDRED: list[str] = json.loads((ORDERS / "imagenet100.json").read_text("utf-8"))["classes"]


def plugin(kind: type[ImageNet], **options: object) -> ImageNet:
    return kind(kind.__name__.lower(), kind.Config.model_validate(options))


def lay_out(folder: Path, synsets: list[str]) -> None:
    for split in ("train", "val"):
        for synset in synsets:
            (folder / split / synset).mkdir(parents=True, exist_ok=True)
            (folder / split / synset / f"{synset}_1.JPEG").touch()


def thousand() -> list[str]:
    return sorted([*HUNDRED, *(f"n9{number:07}" for number in range(900))])


@pytest.mark.parametrize("place", ["imagenet", "ILSVRC2012", ".", "imagenet100"])
def test_imagenet100_is_found_in_its_own_folder_and_within_the_whole(place: str, tmp_path: Path) -> None:
    lay_out(tmp_path / place, [*HUNDRED, "n99999999"] if place != "imagenet100" else HUNDRED)
    made = plugin(ImageNet100).open(tmp_path)
    assert list(made.classes) == HUNDRED
    assert made.train.labels.tolist() == list(range(100))
    assert isinstance(made.test.images, FileImages)
    synset = HUNDRED[42]
    assert made.test.images.paths[42] == tmp_path / place / "val" / synset / f"{synset}_1.JPEG"
    assert made.orders["paper"][:4] == (68, 56, 78, 8)
    assert (made.size, made.channels, made.workers) == (224, 3, 8)
    assert made.augment == Augment(flip=True, resized_crop=(0.08, 1.0))


@pytest.mark.parametrize("place", ["imagenet", "ILSVRC2012", "."])
def test_imagenet1000_takes_all_synsets_in_alphabetical_order(place: str, tmp_path: Path) -> None:
    lay_out(tmp_path / place, thousand())
    made = plugin(ImageNet1000, workers=2, size=64, resized_crop=[0.2, 0.9]).open(tmp_path)
    assert list(made.classes) == thousand()
    assert made.orders["paper"][:4] == (54, 7, 894, 512)
    assert sorted(made.orders["paper"]) == list(range(1000))
    assert (made.size, made.workers, made.augment.resized_crop) == (64, 2, (0.2, 0.9))


def test_imagenet1000_refuses_a_part_of_it(tmp_path: Path) -> None:
    lay_out(tmp_path / "imagenet", HUNDRED)
    with pytest.raises(DataError, match="train: 100 class folders, but ImageNet has 1000 synsets"):
        plugin(ImageNet1000).open(tmp_path)


def test_a_missing_synset_is_named(tmp_path: Path) -> None:
    lay_out(tmp_path / "imagenet", HUNDRED[:-1])
    with pytest.raises(DataError, match=f"train/{HUNDRED[-1]}: this class folder is missing"):
        plugin(ImageNet100).open(tmp_path)


@pytest.mark.parametrize(
    ("kind", "places"),
    [(ImageNet100, ["imagenet100", "imagenet", "ILSVRC2012", ""]), (ImageNet1000, ["imagenet", "ILSVRC2012", ""])],
)
def test_where_nothing_is_there_every_place_is_named(kind: type[ImageNet], places: list[str], tmp_path: Path) -> None:
    (tmp_path / "imagenet" / "train").mkdir(parents=True)
    with pytest.raises(DataError) as caught:
        plugin(kind).open(tmp_path)
    for place in places:
        assert f"  {tmp_path / place}/train/<synset>/*.JPEG" in str(caught.value)


@pytest.mark.parametrize("options", [{"size": 4}, {"resized_crop": [0.5, 0.1]}, {"workers": -1}])
def test_options_out_of_range_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        plugin(ImageNet100, **options)
