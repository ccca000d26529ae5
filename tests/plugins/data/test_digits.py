"""The digits of scikit-learn."""

import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from incrlearn import DataError
from incrlearn.data import ArrayImages, Augment, Source, Split
from incrlearn_plugins.data.digits import Digits, every_nth_of_class


@pytest.fixture
def digits() -> Source:
    return Digits("digits", Digits.Config.model_validate({})).open(Path("nowhere"))


def pixels_of(split: Split) -> np.ndarray:
    assert isinstance(split.images, ArrayImages)
    return split.images.pixels


def test_all_images_are_there_scaled_to_bytes(digits: Source) -> None:
    both = np.concatenate([pixels_of(digits.train), pixels_of(digits.test)])[..., 0]
    original = load_digits().images
    assert both.shape == (1797, 8, 8)
    # Grey 0..16 is recovered from the bytes, so the images are the same ones up to their order.
    recovered = np.rint(both / 255 * 16)
    assert sorted(map(bytes, recovered.astype(np.uint8))) == sorted(map(bytes, original.astype(np.uint8)))
    assert both.max() == 255


def test_every_fifth_image_of_each_class_is_for_the_test(digits: Source) -> None:
    bunch = load_digits()
    for label in range(10):
        of_class = np.rint(bunch.images[bunch.target == label] * 255 / 16).astype(np.uint8)
        assert np.array_equal(pixels_of(digits.test)[digits.test.labels == label][..., 0], of_class[4::5])
        left = np.delete(of_class, np.s_[4::5], axis=0)
        assert np.array_equal(pixels_of(digits.train)[digits.train.labels == label][..., 0], left)
    assert len(digits.train) + len(digits.test) == 1797


def test_every_nth_counts_within_each_class() -> None:
    labels = np.array([0, 1, 0, 0, 1, 1, 0, 1])
    assert np.flatnonzero(every_nth_of_class(labels, 2)).tolist() == [2, 4, 6, 7]


def test_mean_and_deviation_are_those_of_the_training_split(digits: Source) -> None:
    values = pixels_of(digits.train).astype(np.float64) / 255
    assert list(digits.mean) == pytest.approx([values.mean()], abs=5.1e-5)
    assert list(digits.std) == pytest.approx([values.std()], abs=5.1e-5)


def test_defaults_shift_by_one_pixel_and_do_not_mirror(digits: Source) -> None:
    assert digits.augment == Augment(padding=1)
    assert (digits.channels, digits.size, digits.classes) == (1, 8, tuple("0123456789"))


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DataError, match=r"pip install 'incrlearn\[digits\]'"):
        Digits("digits", Digits.Config.model_validate({})).open(Path())
