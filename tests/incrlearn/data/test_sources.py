"""Sources that cannot be, subsets, and where data lies."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from incrlearn.data import (
    ArrayImages,
    Augment,
    CropScale,
    FileImages,
    Source,
    Split,
    data_error,
    data_root,
    first_per_class,
)
from incrlearn.errors import DataError


def split(labels: list[int], size: int = 4) -> Split:
    pixels = np.zeros((len(labels), size, size, 3), dtype=np.uint8)
    pixels[:, 0, 0, 0] = np.arange(len(labels))
    return Split(ArrayImages(pixels), np.array(labels, dtype=np.int64))


def source(train: Split, test: Split, **changes: object) -> Source:
    values: dict[str, object] = {
        "orders": {}, "augment": Augment(), "channels": 3, "size": 4, "mean": (0.5,) * 3, "std": (0.5,) * 3,
    }  # fmt: skip
    return Source("mine", ("a", "b"), train, test, **{**values, **changes})  # type: ignore[arg-type]


def test_a_sound_source_is_accepted() -> None:
    assert len(source(split([0, 1, 1]), split([0, 1]), orders={"back": (1, 0)}).train) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": split([0, 2, 1])}, "train: labels must run from 0 to 1, not 0 to 2"),
        ({"test": split([0, 0])}, "test: class 'b' has no images"),
        ({"test": split([])}, "test: class 'a' has no images"),
        ({"train": split([0, 1], size=5)}, r"train: images must be uint8 \(n, 4, 4, 3\), not uint8 \(2, 5, 5, 3\)"),
        ({"train": Split(split([0, 1]).images, np.zeros(2, dtype=np.int32))}, "need int64 labels"),
        ({"train": Split(split([0, 1]).images, np.zeros(3, dtype=np.int64))}, "2 images need int64 labels"),
        ({"orders": {"mine": (0, 0)}}, "order 'mine' must hold each class id from 0 to 1 once"),
        ({"mean": (0.5,)}, "mean has 1 values for 3 channels"),
        ({"std": (0.5, 0.0, 0.5)}, "std must be above 0"),
        ({"augment": Augment(resized_crop=(0.1, 1.0))}, "a random-resized crop needs images in files"),
        (
            {"channels": 1, "train": Split(FileImages((Path("x"), Path("y"))), np.array([0, 1]))},
            "train: images in files are read as 3 channels, not 1",
        ),
    ],
)
def test_a_source_that_cannot_be_says_why(changes: dict[str, object], message: str) -> None:
    values: dict[str, object] = {"train": split([0, 1]), "test": split([0, 1]), **changes}
    with pytest.raises(DataError, match=message):
        source(**values)  # type: ignore[arg-type]


def test_first_per_class_keeps_the_order_of_the_split() -> None:
    chosen = first_per_class(split([1, 0, 1, 1, 0, 0]), 2, ("a", "b"))
    assert chosen.labels.tolist() == [1, 0, 1, 0]
    assert isinstance(chosen.images, ArrayImages)
    assert chosen.images.pixels[:, 0, 0, 0].tolist() == [0, 1, 2, 4]
    files = Split(FileImages(tuple(Path(name) for name in "uvwxyz")), np.array([1, 0, 1, 1, 0, 0]))
    chosen = first_per_class(files, 1, ("a", "b"))
    assert isinstance(chosen.images, FileImages)
    assert chosen.images.paths == (Path("u"), Path("v"))


def test_first_per_class_names_classes_that_have_fewer() -> None:
    with pytest.raises(DataError, match="3 images of each class are asked for, but:\n  class 'b' has 2"):
        first_per_class(split([0, 0, 1, 1, 0]), 3, ("a", "b"))


def test_ten_problems_are_all_shown_and_eleven_are_counted() -> None:
    assert len(str(data_error("t", ["p"] * 10)).splitlines()) == 11
    assert str(data_error("t", ["p"] * 11)).splitlines()[-1] == "  and 1 more"


def test_data_root_is_the_option_then_the_environment_then_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INCRLEARN_DATA", "/elsewhere")
    assert data_root(Path("/here")) == Path("/here")
    assert data_root(None) == Path("/elsewhere")
    monkeypatch.setenv("INCRLEARN_DATA", "")
    assert data_root(None) == Path("data")
    monkeypatch.delenv("INCRLEARN_DATA")
    assert data_root(None) == Path("data")
    assert data_root(Path("~/x")) == Path.home() / "x"


@pytest.mark.parametrize("value", [[0.0, 1.0], [0.5, 1.1], [0.9, 0.1], [0.5], "x"])
def test_crop_scales_out_of_range_are_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(CropScale).validate_python(value)


def test_crop_scale_takes_a_list_as_yaml_gives_it() -> None:
    assert TypeAdapter(CropScale).validate_python([0.25, 1]) == (0.25, 1.0)
