"""Image folders: what is listed, what is refused, what is cached."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from incrlearn.data import FileImages, decode_images, open_image, read_image_folder
from incrlearn.data.files import unreadable_images
from incrlearn.errors import DataError


def save(path: Path, value: int = 100, size: tuple[int, int] = (4, 4), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value // 2, 7)).convert(mode).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split, count in (("train", 3), ("test", 2)):
        for label, name in enumerate(("cat", "Bird", "dog")):
            for number in range(count):
                save(tmp_path / split / name / f"{number}.png", 10 * label + number)
    return tmp_path


def paths_of(images: object) -> list[Path]:
    assert isinstance(images, FileImages)
    return list(images.paths)


def test_classes_and_images_come_in_the_order_of_their_names(folder: Path) -> None:
    found = read_image_folder(folder)
    assert found.classes == ("Bird", "cat", "dog")
    assert found.train.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert found.train.labels.dtype == np.int64
    assert found.test.labels.tolist() == [0, 0, 1, 1, 2, 2]
    wanted = [folder / "train" / name / f"{number}.png" for name in found.classes for number in range(3)]
    assert paths_of(found.train.images) == wanted


def test_given_classes_set_the_class_ids(folder: Path) -> None:
    found = read_image_folder(folder, ["dog", "Bird"], allow_others=True)
    assert found.classes == ("dog", "Bird")
    assert paths_of(found.test.images)[0] == folder / "test" / "dog" / "0.png"
    assert found.test.labels.tolist() == [0, 0, 1, 1]


def test_val_stands_in_for_test_and_test_comes_first(folder: Path) -> None:
    save(folder / "val" / "cat" / "0.png")
    assert len(read_image_folder(folder).test) == 6
    (folder / "test").rename(folder / "kept")
    with pytest.raises(DataError, match="val/Bird: this class folder is missing"):
        read_image_folder(folder)


def test_other_files_and_hidden_ones_are_passed_over(folder: Path) -> None:
    for split in ("train", "test"):
        (folder / split / ".cache").mkdir()
        (folder / split / "README.md").write_text("x")
        (folder / split / "cat" / "Thumbs.db").write_text("x")
        (folder / split / "cat" / "png").write_text("x")
        (folder / split / "cat" / "._0.png").write_text("x")
    found = read_image_folder(folder)
    assert found.classes == ("Bird", "cat", "dog")
    assert len(found.train) == 9


def test_usual_extensions_in_any_case_and_folders_below_a_class_count(folder: Path) -> None:
    for name in ("a.JPEG", "b.jpg", "c.BMP", "d.webp", "e.gif", "f.tif", "images/g.ppm"):
        save(folder / "train" / "dog" / name)
    assert [path.name for path in paths_of(read_image_folder(folder).train.images)[-7:]] == [
        "a.JPEG", "b.jpg", "c.BMP", "d.webp", "e.gif", "f.tif", "g.ppm",
    ]  # fmt: skip


def test_missing_splits_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_image_folder(tmp_path)
    assert str(tmp_path / "train") in str(caught.value)
    assert str(tmp_path / "test") in str(caught.value)


def test_images_without_class_folders_are_explained(folder: Path) -> None:
    save(folder / "bare" / "train" / "0.png")
    save(folder / "bare" / "val" / "0.png")
    with pytest.raises(DataError, match="one folder per class") as caught:
        read_image_folder(folder / "bare")
    assert str(folder / "bare" / "val") in str(caught.value)


def test_all_disagreements_are_reported_at_once(folder: Path) -> None:
    (folder / "train" / "cow").mkdir()
    (folder / "test" / "dog").rename(folder / "test" / "god")
    with pytest.raises(DataError) as caught:
        read_image_folder(folder)
    lines = [line.strip().replace(str(folder), "") for line in str(caught.value).splitlines()[1:]]
    assert lines[:3] == [
        "/train/god: this class folder is missing",
        "/test/cow: this class folder is missing",
        "/test/dog: this class folder is missing",
    ]
    assert lines[3].startswith("/train/cow: no images in this class folder")
    assert len(lines) == 4


def test_missing_and_extra_classes_are_named_against_a_given_list(folder: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_image_folder(folder, ["Bird", "cat", "cow"])
    text = str(caught.value)
    assert f"{folder / 'train' / 'cow'}: this class folder is missing" in text
    assert f"{folder / 'test' / 'dog'}: not a class of this data set" in text


def test_a_long_list_of_problems_ends_in_a_count(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for number in range(8):
            (tmp_path / split / f"class {number}").mkdir(parents=True)
    with pytest.raises(DataError) as caught:
        read_image_folder(tmp_path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 12
    assert lines[-1].strip() == "and 6 more"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_images_of_other_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    image = open_image(save(tmp_path / "x.png", 200, mode=mode))
    assert image.mode == "RGB"
    assert image.size == (4, 4)


def test_palette_with_transparency_becomes_rgb_without_a_warning(tmp_path: Path) -> None:
    image = Image.new("P", (2, 2), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    image.save(tmp_path / "x.png", transparency=bytes([0, 128]))
    assert open_image(tmp_path / "x.png").getpixel((0, 0)) == (10, 200, 30)


def test_images_of_16_bits_are_refused_rather_than_cut_off(tmp_path: Path) -> None:
    Image.fromarray(np.full((2, 2), 5000, dtype=np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(DataError, match=r"deep\.png: pixels of mode I;16"):
        open_image(tmp_path / "deep.png")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n\0\0"])
def test_unreadable_image_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.png").write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.png: not a readable image"):
        open_image(tmp_path / "broken.png")


def damage(path: Path) -> None:
    """Other content under the same name, size and times: nothing but reading it can tell."""
    status = path.stat()
    path.write_bytes(b"x" * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_images_that_cannot_be_read_are_found_as_they_would_be_in_training(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    paths = [tmp_path / f"{name}{suffix}" for name in ("whole", "cut", "empty", "other")]
    for path in paths:
        Image.fromarray(noise).save(path)
    paths[1].write_bytes(paths[0].read_bytes()[:-2000])
    paths[2].write_bytes(b"")
    paths[3].unlink()
    found = unreadable_images(paths)
    assert [text.partition(": not a readable image")[0] for text in found] == [str(path) for path in paths[1:]]
    for path, told in zip(paths[1:], found, strict=True):
        with pytest.raises(DataError) as caught:
            open_image(path)
        assert str(caught.value) == told


def test_decoded_images_are_those_of_the_files_and_are_cached_in_the_root(folder: Path) -> None:
    files = FileImages(tuple(save(folder / "x" / f"{value}.png", value) for value in (3, 250)))
    images = decode_images(files, folder, "mine", 4)
    assert images.pixels.dtype == np.uint8
    assert images.pixels[:, 2, 3].tolist() == [[3, 1, 7], [250, 125, 7]]
    assert [path.name.split("-")[0] for path in (folder / ".incrlearn-cache").iterdir()] == ["mine"]


def test_second_opening_does_not_decode_and_a_changed_file_is_decoded_again(folder: Path) -> None:
    paths = [save(folder / "x" / f"{value}.png", value) for value in (3, 250)]
    files = FileImages(tuple(paths))
    first = decode_images(files, folder, "mine", 4).pixels
    damage(paths[1])
    assert np.array_equal(decode_images(files, folder, "mine", 4).pixels, first)
    os.utime(paths[1], ns=(0, 0))
    with pytest.raises(DataError, match=r"250\.png: not a readable image"):
        decode_images(files, folder, "mine", 4)
    save(paths[1], 80)
    assert decode_images(files, folder, "mine", 4).pixels[1, 0, 0].tolist() == [80, 40, 7]


def test_other_names_sizes_or_options_are_not_taken_from_the_cache(folder: Path) -> None:
    one, two = (save(folder / "x" / f"{name}.png", 9) for name in "ab")
    decode_images(FileImages((one,)), folder, "mine", 4)
    damage(one)
    os.utime(one, ns=(5, 5))
    os.utime(two, ns=(5, 5))
    assert len(decode_images(FileImages((two,)), folder, "mine", 4)) == 1
    assert decode_images(FileImages((two,)), folder, "mine", 3, resize=True).pixels.shape == (1, 3, 3, 3)
    two.rename(folder / "x" / "c.png")
    with pytest.raises(DataError, match=r"b\.png: not a readable image \(No such file"):
        decode_images(FileImages((two,)), folder, "mine", 4)


def test_a_cache_cut_short_is_made_anew(folder: Path) -> None:
    files = FileImages((save(folder / "x" / "a.png", 60),))
    decode_images(files, folder, "mine", 4)
    (cached,) = (folder / ".incrlearn-cache").iterdir()
    whole = cached.read_bytes()
    cached.write_bytes(whole[:-5])
    assert decode_images(files, folder, "mine", 4).pixels[0, 0, 0].tolist() == [60, 30, 7]
    assert cached.read_bytes() == whole


def test_where_the_root_cannot_be_written_the_users_cache_is_used(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    # A file in the folder's place: this stops root, too, whom permissions do not.
    (folder / ".incrlearn-cache").write_text("")
    path = save(folder / "x" / "a.png", 60)
    first = decode_images(FileImages((path,)), folder, "mine", 4).pixels
    (cached,) = (home / "incrlearn").rglob("*.npy")
    assert np.array_equal(np.load(cached), first)
    damage(path)
    assert np.array_equal(decode_images(FileImages((path,)), folder, "mine", 4).pixels, first)


def test_where_nothing_can_be_cached_images_are_decoded_all_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / ".incrlearn-cache").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / ".incrlearn-cache"))
    images = decode_images(FileImages((save(folder / "x" / "a.png", 60),)), folder, "mine", 4)
    assert images.pixels[0, 0, 0].tolist() == [60, 30, 7]
    assert "'mine' cannot be cached" in caplog.text


def test_no_half_written_file_is_left(folder: Path) -> None:
    decode_images(FileImages((save(folder / "x" / "a.png"),)), folder, "mine", 4)
    assert [path.suffix for path in (folder / ".incrlearn-cache").iterdir()] == [".npy"]


def test_every_bad_image_is_named_up_to_ten(folder: Path) -> None:
    paths = [save(folder / "x" / f"{number:02}.png", size=(4, 5)) for number in range(12)]
    paths[3].write_text("no image")
    with pytest.raises(DataError) as caught:
        decode_images(FileImages(tuple(paths)), folder, "mine", 4)
    lines = str(caught.value).splitlines()
    assert lines[1].strip() == f"{paths[0]}: 4x5 pixels, not 4x4"
    assert lines[4].strip().startswith(f"{paths[3]}: not a readable image")
    assert lines[-1].strip() == "and 2 more"
    assert len(lines) == 12
