"""CIFAR: the official archive, the image-folder export, and what is said where neither is there."""

import hashlib
import json
import os
import pickle
import tarfile
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from torchvision.datasets import CIFAR100

from incrlearn import DataError
from incrlearn.data import ArrayImages, Augment, Split
from incrlearn_plugins.data.cifar import Cifar, Cifar10, Cifar100, download, read_official

CLASSES_10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
REAL = Path(os.environ.get("INCRLEARN_DATA") or "data")
needs_real_images = pytest.mark.skipif(
    not (REAL / "cifar100" / "test").is_dir(),
    reason="set INCRLEARN_DATA to a folder that holds an image-folder export cifar100/{train,test}/<class>/*.png",
)


def plugin(kind: type[Cifar], **options: object) -> Cifar:
    return kind(kind.__name__.lower(), kind.Config.model_validate(options))


def pixels_of(split: Split) -> np.ndarray:
    assert isinstance(split.images, ArrayImages)
    return split.images.pixels


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """No way out of this machine: every request goes to a proxy that is not there."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    # Python asks for proxies once, when the first request is made.
    monkeypatch.setattr("urllib.request._opener", None)


# -- the official archive, read by torchvision; here a tiny one with checksums of its own ---------------------------


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


@pytest.fixture
def tiny(tmp_path: Path) -> type[CIFAR100]:
    """CIFAR-100 with six training and three test images, laid out as ``cifar-100-python.tar.gz`` in ``tmp_path``."""
    folder = tmp_path / "packing" / "cifar-100-python"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, count in (("train", 6), ("test", 3)):
        flat = rng.integers(0, 256, (count, 3 * 32 * 32), dtype=np.uint8)
        (folder / name).write_bytes(pickle.dumps({"data": flat, "fine_labels": list(range(count))}))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": [f"class {i}" for i in range(6)]}))
    archive = tmp_path / "cifar-100-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname="cifar-100-python")

    class Tiny(CIFAR100):  # type: ignore[misc]
        url = "https://localhost/cifar-100-python.tar.gz"
        tgz_md5 = md5(archive)
        train_list = [["train", md5(folder / "train")]]  # noqa: RUF012
        test_list = [["test", md5(folder / "test")]]  # noqa: RUF012
        meta = {"filename": "meta", "key": "fine_label_names", "md5": md5(folder / "meta")}  # noqa: RUF012

    return Tiny


# tarfile of Python 3.12 announces a new default for what torchvision calls.
@pytest.mark.filterwarnings("ignore:Python 3.14 will, by default, filter:DeprecationWarning")
@pytest.mark.usefixtures("unreachable")
class TestOfficial:
    def test_archive_is_extracted_and_read(self, tiny: type[CIFAR100], tmp_path: Path) -> None:
        train, test = read_official(tmp_path, tiny)
        raw = pickle.loads((tmp_path / "packing" / "cifar-100-python" / "train").read_bytes())["data"]
        assert np.array_equal(pixels_of(train), raw.reshape(6, 3, 32, 32).transpose(0, 2, 3, 1))
        assert train.labels.tolist() == [0, 1, 2, 3, 4, 5]
        assert test.labels.tolist() == [0, 1, 2]
        assert test.labels.dtype == np.int64
        assert (tmp_path / "cifar-100-python" / "meta").is_file()

    def test_extracted_folder_is_enough(self, tiny: type[CIFAR100], tmp_path: Path) -> None:
        (tmp_path / "cifar-100-python.tar.gz").unlink()
        (tmp_path / "packing" / "cifar-100-python").rename(tmp_path / "cifar-100-python")
        assert len(read_official(tmp_path, tiny)[0]) == 6

    def test_a_damaged_file_is_extracted_anew_from_the_archive(self, tiny: type[CIFAR100], tmp_path: Path) -> None:
        first, _ = read_official(tmp_path, tiny)
        (tmp_path / "cifar-100-python" / "train").write_bytes(b"short")
        assert np.array_equal(pixels_of(read_official(tmp_path, tiny)[0]), pixels_of(first))

    def test_a_damaged_file_without_an_archive_is_refused(self, tiny: type[CIFAR100], tmp_path: Path) -> None:
        read_official(tmp_path, tiny)
        (tmp_path / "cifar-100-python.tar.gz").unlink()
        (tmp_path / "cifar-100-python" / "train").write_bytes(b"short")
        with pytest.raises(DataError, match=r"cifar-100-python: files are missing or damaged \(MD5\)"):
            read_official(tmp_path, tiny)

    def test_a_damaged_label_file_is_refused(self, tiny: type[CIFAR100], tmp_path: Path) -> None:
        read_official(tmp_path, tiny)
        (tmp_path / "cifar-100-python" / "meta").write_bytes(b"short")
        with pytest.raises(DataError, match="metadata file not found or corrupted"):
            read_official(tmp_path, tiny)

    def test_another_archive_of_that_name_is_refused_and_kept(self, tmp_path: Path) -> None:
        (tmp_path / "cifar-100-python.tar.gz").write_bytes(b"not it")
        with pytest.raises(DataError, match=r"cifar-100-python\.tar\.gz: not the official archive or damaged \(MD5\)"):
            plugin(Cifar100).open(tmp_path)
        assert (tmp_path / "cifar-100-python.tar.gz").read_bytes() == b"not it"

    def test_official_files_come_before_an_export(self, tmp_path: Path) -> None:
        (tmp_path / "cifar-100-python").mkdir()
        (tmp_path / "cifar100" / "train").mkdir(parents=True)
        with pytest.raises(DataError, match=r"cifar-100-python: files are missing"):
            plugin(Cifar100).open(tmp_path)

    @pytest.mark.parametrize(("kind", "archive"), [(Cifar100, "cifar-100-python"), (Cifar10, "cifar-10-batches-py")])
    def test_where_nothing_is_there_every_place_is_named(self, kind: type[Cifar], archive: str, tmp_path: Path) -> None:
        root = tmp_path / "data"
        with pytest.raises(DataError) as caught:
            plugin(kind).open(root)
        text = str(caught.value)
        name = kind.__name__.lower()
        assert f"{root / archive}/ (the official archive, extracted)" in text
        assert f"{root}/{archive.split('-py')[0].replace('-batches', '')}-python.tar.gz (the official archive)" in text
        assert f"{root / name}/train/<class>/*.png" in text
        assert "https://www.cs.toronto.edu" in text
        assert "--data DIR or INCRLEARN_DATA" in text
        assert "Connection refused" in text
        assert not root.exists()

    def test_a_download_that_fails_leaves_nothing(self, tiny: type[CIFAR100], tmp_path: Path) -> None:
        with pytest.raises(OSError, match="refused"):
            download(tmp_path / "new", tiny)
        assert not (tmp_path / "new").exists()


# -- the export ------------------------------------------------------------------------------------------------------


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """A root with a CIFAR-10 export: three training and two test images a class; image i of class c is gray 10c + i."""
    for split, count in (("train", 3), ("test", 2)):
        for label, name in enumerate(CLASSES_10):
            folder = tmp_path / "cifar10" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (32, 32), (10 * label + number,) * 3).save(folder / f"{number}.png")
    return tmp_path


def test_an_export_is_read_with_class_ids_in_alphabetical_order(export: Path) -> None:
    made = plugin(Cifar10).open(export)
    assert list(made.classes) == CLASSES_10
    assert pixels_of(made.train).shape == (30, 32, 32, 3)
    assert pixels_of(made.train)[:, 5, 5, 0].tolist() == [10 * c + i for c in range(10) for i in range(3)]
    assert made.test.labels.tolist() == [c for c in range(10) for _ in range(2)]
    assert made.orders == {}


def test_train_per_class_takes_the_first_images_and_leaves_the_test(export: Path) -> None:
    made = plugin(Cifar10, train_per_class=2).open(export)
    assert pixels_of(made.train)[:, 0, 0, 0].tolist() == [10 * c + i for c in range(10) for i in range(2)]
    assert len(made.test) == 20
    with pytest.raises(DataError, match="class 'airplane' has 3"):
        plugin(Cifar10, train_per_class=4).open(export)


def test_missing_and_extra_classes_are_named(export: Path) -> None:
    (export / "cifar10" / "train" / "cat").rename(export / "cifar10" / "train" / "zebra")
    with pytest.raises(DataError) as caught:
        plugin(Cifar10).open(export)
    assert "train/cat: this class folder is missing" in str(caught.value)
    assert "train/zebra: not a class of this data set" in str(caught.value)


def test_empty_class_other_size_and_unreadable_image_are_named(export: Path) -> None:
    images = export / "cifar10" / "test" / "dog"
    Image.new("RGB", (32, 31)).save(images / "0.png")
    (images / "1.png").write_bytes(b"no image")
    with pytest.raises(DataError) as caught:
        plugin(Cifar10).open(export)
    assert f"{images / '0.png'}: 32x31 pixels, not 32x32" in str(caught.value)
    assert f"{images / '1.png'}: not a readable image" in str(caught.value)
    for path in images.iterdir():
        path.unlink()
    with pytest.raises(DataError, match="test/dog: no images in this class folder"):
        plugin(Cifar10).open(export)


def test_the_augmentation_is_the_papers_unless_changed(export: Path) -> None:
    assert plugin(Cifar10).open(export).augment == Augment(padding=4, flip=True, brightness=63 / 255)
    changed = plugin(Cifar10, padding=0, flip=False, brightness=0.5).open(export)
    assert changed.augment == Augment(brightness=0.5)


@pytest.mark.parametrize("options", [{"padding": -1}, {"brightness": 1.5}, {"train_per_class": 0}, {"crop": 1}])
def test_options_out_of_range_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        plugin(Cifar100, **options)


@needs_real_images
def test_real_cifar100_is_whole_balanced_and_in_the_official_order() -> None:
    made = plugin(Cifar100).open(REAL)
    assert len(made.classes) == 100
    # Spot checks of the official fine labels.
    assert [made.classes[i] for i in (0, 8, 47, 68, 87, 99)] == [
        "apple", "bicycle", "maple_tree", "road", "television", "worm",
    ]  # fmt: skip
    per_class = len(made.train) // 100
    assert per_class in (125, 250, 375, 500)
    assert np.bincount(made.train.labels).tolist() == [per_class] * 100
    assert np.bincount(made.test.labels).tolist() == [100] * 100
    first = min((REAL / "cifar100" / "train" / "worm").iterdir())
    position = int(np.flatnonzero(made.train.labels == 99)[0])
    assert np.array_equal(pixels_of(made.train)[position], np.asarray(Image.open(first).convert("RGB")))


@needs_real_images
def test_real_cifar100_has_nearly_the_mean_and_deviation_of_the_paper() -> None:
    made = plugin(Cifar100, train_per_class=100).open(REAL)
    pixels = pixels_of(made.train).astype(np.float64) / 255
    assert np.allclose(pixels.mean(axis=(0, 1, 2)), made.mean, atol=0.01)
    assert np.allclose(pixels.std(axis=(0, 1, 2)), made.std, atol=0.01)


def test_class_orders_of_the_papers_are_permutations_that_begin_as_printed(tmp_path: Path) -> None:
    shipped = json.loads((files("incrlearn_plugins.data") / "orders" / "cifar100.json").read_text("utf-8"))
    for name in shipped["classes"]:
        for split in ("train", "test"):
            (tmp_path / "cifar100" / split / name).mkdir(parents=True)
            Image.new("RGB", (32, 32)).save(tmp_path / "cifar100" / split / name / "0.png")
    orders = plugin(Cifar100).open(tmp_path).orders
    assert {name: order[:4] for name, order in orders.items()} == {
        "paper-1": (87, 0, 52, 58),
        "paper-2": (58, 30, 93, 69),
        "paper-3": (71, 54, 45, 32),
        "icarl": (68, 56, 78, 8),
    }
    assert all(sorted(order) == list(range(100)) for order in orders.values())
