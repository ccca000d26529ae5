"""Arrays that take long to make, kept in a file until what they were made from changes."""

from __future__ import annotations

import hashlib
import logging
import os
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np

_log = logging.getLogger(__name__)


def cached_array(root: Path, name: str, key: str, shape: tuple[int, ...], make: Callable[[], np.ndarray]) -> np.ndarray:
    """The uint8 array ``make`` gives, from the cache where it lies there.

    The file is ``<root>/.incrlearn-cache/<name>-<key>.npy`` or, where that cannot be written, lies below the user's
    cache folder (XDG_CACHE_HOME, else ~/.cache). Files of older keys are left alone.

    Args:
        root: the folder of all data sets.
        name: says whose array it is.
        key: changes with whatever the array is made from.
        shape: what the array must have; a cached one of another shape is made anew.
        make: called where nothing usable is cached.
    """
    files = [folder / f"{name}-{key}.npy" for folder in (root / ".incrlearn-cache", _user_cache(root))]
    for file in files:
        cached = _load(file, shape)
        if cached is not None:
            return cached
    array = make()
    for file in files:
        try:
            _save(file, array)
        except OSError as error:
            _log.info("%s: cannot be written (%s)", file, error.strerror)
        else:
            return array
    _log.warning("'%s' cannot be cached and is decoded anew in each run: write access is missing to %s", name, files)
    return array


def _user_cache(root: Path) -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    # Keys hold names relative to the root, so two roots must not meet in one folder.
    return base / "incrlearn" / hashlib.blake2b(os.fsencode(root.resolve()), digest_size=8).hexdigest()


def _load(file: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The array in ``file``; None where there is none, or one cut short by a full disk."""
    try:
        array: np.ndarray = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return array if array.shape == shape and array.dtype == np.uint8 else None


def _save(file: Path, array: np.ndarray) -> None:
    """Write beside, then rename, so that no other run ever sees half a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    try:
        with beside.open("xb") as stream:
            np.save(stream, array, allow_pickle=False)
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
