"""A data root that is a folder too deep or too high: where the data set lies is told, and nothing is downloaded."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from incrlearn import DataError
from incrlearn.data import DataPlugin
from incrlearn_plugins.data.cifar import Cifar100
from incrlearn_plugins.data.image_folder import ImageFolder
from incrlearn_plugins.data.imagenet import ImageNet100
from incrlearn_plugins.data.places import no_such_folder, other_root


def pets() -> DataPlugin:
    return ImageFolder("data", ImageFolder.Config(folder="pets"))


def cifar() -> DataPlugin:
    return Cifar100("data", Cifar100.Config())


def imagenet() -> DataPlugin:
    return ImageNet100("data", ImageNet100.Config())


def refusal(plugin: DataPlugin, root: Path) -> str:
    """What is said of the root, at once: a download would take longer to fail."""
    begun = time.monotonic()
    with pytest.raises(DataError) as caught:
        plugin.open(root)
    assert time.monotonic() - begun < 5
    return str(caught.value)


def lay_out(folder: Path, test: str = "test") -> None:
    for split in ("train", test):
        (folder / split / "cat").mkdir(parents=True)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with ``data/pets``, ``data/cifar100`` and ``data/imagenet``."""
    monkeypatch.chdir(tmp_path)
    # Whoever downloads all the same is stopped at once.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    for name, test in (("pets", "val"), ("cifar100", "test"), ("imagenet", "val")):
        lay_out(tmp_path / "data" / name, test)
    return tmp_path


@pytest.mark.parametrize(
    ("make", "name", "folder"), [(pets, "'pets'", "pets"), (cifar, "cifar100", "cifar100")], ids=["pets", "cifar"]
)
@pytest.mark.parametrize("root", ["data/{}", "data/absent", "."])
def test_root_that_was_meant_is_told(
    home: Path, make: Callable[[], DataPlugin], name: str, folder: str, root: str
) -> None:
    given = Path(root.format(folder))
    told = f"{name} does not lie in {given}, but in data: write --data data, or set INCRLEARN_DATA to it"
    assert refusal(make(), given) == told


def test_root_outside_of_the_current_folder_is_told_whole(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "elsewhere").mkdir()
    monkeypatch.chdir(home / "elsewhere")
    assert f"write --data {home / 'data'}," in refusal(pets(), home / "data" / "pets")


def test_link_to_the_folder_itself_is_followed(home: Path) -> None:
    (home / "link").symlink_to(home / "data" / "pets")
    assert "write --data data," in refusal(pets(), Path("link"))


def test_archive_named_as_the_root_is_told(home: Path) -> None:
    (home / "got").mkdir()
    (home / "got" / "cifar-100-python.tar.gz").touch()
    assert "write --data got," in refusal(cifar(), Path("got/cifar-100-python.tar.gz"))


def test_export_under_another_name_is_told(tmp_path: Path) -> None:
    lay_out(tmp_path / "images" / "cifar")
    told = refusal(cifar(), tmp_path / "images" / "cifar")
    assert f"{tmp_path / 'images' / 'cifar'} holds train/ and test/ itself: name that folder cifar100" in told


def test_imagenet_is_found_around_the_root_too(home: Path) -> None:
    assert "imagenet100 does not lie in ., but in data: write --data data," in refusal(imagenet(), Path())


def test_folder_that_was_misspelt_is_told_with_those_there_are(home: Path) -> None:
    plugin = ImageFolder("data", ImageFolder.Config(folder="pests"))
    told = "data/pests: no such folder; did you mean 'pets'? there are cifar100, imagenet, pets"
    assert refusal(plugin, Path("data")) == told


def test_root_that_holds_the_images_itself_is_told(home: Path) -> None:
    plugin = ImageFolder("data", ImageFolder.Config(folder="other"))
    told = "data/pets/other: no such folder; data/pets holds train/ and test/ itself: write folder: ."
    assert refusal(plugin, Path("data/pets")) == told


def test_root_that_is_not_there_is_told(tmp_path: Path) -> None:
    root = tmp_path / "one" / "two"
    assert (
        refusal(pets(), root) == f"{root}: no such folder; say where your data lies with --data DIR or INCRLEARN_DATA"
    )


def test_folders_there_are_are_told_up_to_twenty(tmp_path: Path) -> None:
    assert no_such_folder("x", tmp_path) == f"{tmp_path / 'x'}: no such folder; there is no folder"
    for number in range(25):
        (tmp_path / f"class{number:02}").mkdir()
    told = no_such_folder("x", tmp_path)
    assert told.endswith("class18, class19, ...")


def test_nothing_is_told_where_it_is_nowhere_around(tmp_path: Path) -> None:
    assert other_root(tmp_path / "one" / "two", lambda folder: (folder / "pets").is_dir()) is None
