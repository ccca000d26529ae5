"""Images in folders: list them, read one, or decode all of them into one cached array."""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from incrlearn.data.cache import cached_array
from incrlearn.data.sources import ArrayImages, FileImages, Split, data_error
from incrlearn.errors import DataError

IMAGE_EXTENSIONS = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
"""Endings of file names, in lower case, that count as images."""
# What Pillow raises on broken files besides OSError: its decoders let their own errors through.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)
_CHUNK = 256
"""Images a thread decodes before it asks for more."""
_THREADS = min(8, os.cpu_count() or 1)


@dataclass(frozen=True, eq=False)
class FolderImages:
    """What lies in a folder with ``train/<class>/<image>`` and ``test/<class>/<image>``."""

    classes: tuple[str, ...]
    train: Split
    """`FileImages`, class by class, in the order of the file names."""
    test: Split


def read_image_folder(
    folder: Path,
    classes: Sequence[str] | None = None,
    *,
    test_names: Sequence[str] = ("test", "val"),
    allow_others: bool = False,
) -> FolderImages:
    """List ``folder/train/<class>/`` and ``folder/test/<class>/``; hidden folders and other files are passed over.

    Args:
        folder: holds the two splits.
        classes: the classes there must be, by class id; None: all there are, in the order of their names.
        test_names: names of the test folder, the first that exists is taken.
        allow_others: let folders be that are not of ``classes``.

    Raises:
        DataError: a split is missing, the splits or ``classes`` do not agree, or a class folder has no images.
    """
    train = folder / "train"
    test = next((folder / name for name in test_names if (folder / name).is_dir()), folder / test_names[0])
    absent = [f"{split}: no such folder" for split in (train, test) if not split.is_dir()]
    if absent:
        raise data_error(f"an image folder needs train/<class>/ and {' or '.join(test_names)}/<class>/", absent)
    found = {split: _folders_in(split) for split in (train, test)}
    bare = [
        f"{split}: no class folders; put the images into one folder per class" for split in found if not found[split]
    ]
    if bare:
        raise data_error(f"image folder {folder}", bare)
    wanted = tuple(classes) if classes is not None else tuple(sorted(set(chain.from_iterable(found.values()))))
    problems: list[str] = []
    for split, names in found.items():
        problems.extend(f"{split / name}: this class folder is missing" for name in wanted if name not in names)
        if not allow_others:
            problems.extend(f"{split / name}: not a class of this data set" for name in sorted(names - set(wanted)))
    splits = [
        _list_split([split / name if name in names else None for name in wanted], problems)
        for split, names in found.items()
    ]
    if problems:
        raise data_error(f"image folder {folder}", problems)
    return FolderImages(wanted, *splits)


def _folders_in(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")}
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror})") from error


def _list_split(class_folders: Sequence[Path | None], problems: list[str]) -> Split:
    paths: list[Path] = []
    labels: list[int] = []
    for label, folder in enumerate(class_folders):
        if folder is None:
            continue
        inside = _images_in(folder)
        if not inside:
            problems.append(f"{folder}: no images in this class folder ({' '.join(sorted(IMAGE_EXTENSIONS))})")
        paths.extend(inside)
        labels.extend([label] * len(inside))
    return Split(FileImages(tuple(paths)), np.array(labels, dtype=np.int64))


def _images_in(folder: Path) -> list[Path]:
    # Sorted as text: a data set may have a million files, and comparing paths part by part is slow.
    found = sorted(
        os.path.join(parent, name)  # noqa: PTH118
        for parent, _, names in os.walk(folder, followlinks=True)
        for name in names
        if not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_EXTENSIONS  # noqa: PTH122
    )
    return [Path(path) for path in found]


def open_image(path: Path) -> Image.Image:
    """Read one image as RGB; gray and palette images are converted, transparency is dropped.

    Raises:
        DataError: it cannot be read, or has more than 8 bits a channel.
    """
    with _opened(path) as image:
        # Pillow warns where a palette with transparency goes to RGB in one step.
        direct = image if "transparency" not in image.info else image.convert("RGBA")
        return direct.convert("RGB")


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An image, not decoded yet; what is wrong with it is told whenever it is found."""
    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):
                raise DataError(f"{path}: pixels of mode {image.mode}; convert the image to 8 bits a channel")
            yield image
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: {error}") from error
    except _BROKEN as error:
        raise DataError(f"{path}: not a readable image ({_brief(error)})") from error


def _brief(error: BaseException) -> str:
    """What went wrong, without the path that the message names already."""
    if isinstance(error, UnidentifiedImageError):
        return "no known image format"
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def unreadable_images(paths: Sequence[Path]) -> list[str]:
    """What is wrong with those images that cannot be read as `open_image` would, in their order; each is decoded."""

    def problem(path: Path) -> str | None:
        try:
            with _opened(path) as image:
                # JPEGs are read whole all the same, but small, which takes a third of the time.
                image.draft("RGB", (1, 1))
                image.load()
        except DataError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(_THREADS) as pool:
        return [told for told in pool.map(problem, paths) if told is not None]


def decode_images(files: FileImages, root: Path, name: str, size: int, *, resize: bool = False) -> ArrayImages:
    """All images as one array, decoded once and then read from a cache until a file changes.

    Args:
        files: the images.
        root: the folder of all data sets; the cache lies in it where it can be written.
        name: names the cache file, such as ``cifar100-train``.
        size: height and width in pixels.
        resize: bring each image to ``size`` x ``size``; else one of another size is an error.

    Raises:
        DataError: images are unreadable or of another size; names them.
    """
    pixels = cached_array(
        root,
        name,
        key=_fingerprint(files, root, f"{size} {resize}"),
        shape=(len(files), size, size, 3),
        make=lambda: _decode(files, name, size, resize),
    )
    return ArrayImages(pixels)


def _fingerprint(files: FileImages, root: Path, options: str) -> str:
    """Changes with any relative name, file size or modification time."""
    digest = hashlib.blake2b(options.encode(), digest_size=12)
    for path in files.paths:
        try:
            status = path.stat()
        except OSError:  # a link to nowhere: decoding will name it
            continue
        digest.update(os.fsencode(os.path.relpath(path, root)))
        digest.update(f"\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def _decode(files: FileImages, name: str, size: int, resize: bool) -> np.ndarray:
    pixels = np.empty((len(files), size, size, 3), dtype=np.uint8)

    def fill(start: int) -> list[str]:
        problems = []
        for position in range(start, min(start + _CHUNK, len(files))):
            path = files.paths[position]
            try:
                image = open_image(path)
            except DataError as error:
                problems.append(str(error))
                continue
            if resize:
                image = image.resize((size, size), Image.Resampling.BILINEAR)
            if image.size != (size, size):
                problems.append(f"{path}: {image.width}x{image.height} pixels, not {size}x{size}")
            else:
                pixels[position] = np.asarray(image)
        return problems

    # Threads, as Pillow decodes and resizes outside Python's lock.
    with ThreadPoolExecutor(_THREADS) as pool:
        problems = list(chain.from_iterable(pool.map(fill, range(0, len(files), _CHUNK))))
    if problems:
        raise data_error(f"images of {name}", problems)
    return pixels
