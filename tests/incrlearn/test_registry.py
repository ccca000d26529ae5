"""Finding and loading plug-ins: what is imported when, and what a person is told where it fails."""

import sys
from pathlib import Path

import pytest

from incrlearn.errors import PluginError
from incrlearn.plugin import Plugin
from incrlearn.registry import PluginEntry, Registry, absolute_use, without_folder

LOCAL = """
from incrlearn import Plugin

class Focal(Plugin):
    '''A loss of one's own.'''
    kind = "loss"

    class Config(Plugin.Config):
        gamma: float = 2.0

class NotOne:
    pass
"""


class Known(Plugin):
    """A class that is there already."""


@pytest.fixture
def distributions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two real distributions on the path: `alpha` brings a good, a broken and a foreign plug-in, `beta` claims `good`
    as well."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "alpha_plugins.py").write_text(LOCAL)
    (site / "alpha_broken.py").write_text("raise OSError('no such library')")
    alpha = "only = alpha_plugins:Focal\ngood = alpha_plugins:Focal\nbroken = alpha_broken:X\nforeign = pathlib:Path\n"
    beta = "good = alpha_plugins:Focal\n"
    for name, points in (("alpha", alpha), ("beta", beta)):
        info = site / f"{name}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[incrlearn.plugins]\n{points}")
    monkeypatch.syspath_prepend(str(site))
    for module in ("alpha_plugins", "alpha_broken"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return site


def test_listing_imports_nothing(distributions: Path) -> None:
    found = {(e.name, e.distribution, e.version, e.target) for e in Registry.discover().entries()}
    assert ("only", "alpha", "1.2", "alpha_plugins:Focal") in found
    assert ("broken", "alpha", "1.2", "alpha_broken:X") in found
    assert {owner for name, owner, *_ in found if name == "good"} == {"alpha", "beta"}
    assert "alpha_plugins" not in sys.modules
    assert "alpha_broken" not in sys.modules


def test_loads_only_what_is_asked_for(distributions: Path) -> None:
    plugin = Registry.discover().load("only", Path())
    assert issubclass(plugin, Plugin)
    assert plugin.__name__ == "Focal"
    assert "alpha_broken" not in sys.modules


def test_name_that_two_packages_claim_is_an_error_that_names_both(distributions: Path) -> None:
    registry = Registry.discover()
    with pytest.raises(PluginError, match=r"'good': 'alpha' and 'beta'"):
        registry.load("good", Path())


def test_broken_module_is_told_and_hurts_nobody_else(distributions: Path) -> None:
    registry = Registry.discover()
    with pytest.raises(PluginError, match=r"'broken'.*OSError: no such library.*not affected"):
        registry.load("broken", Path())
    names = [name for name, _ in registry.loadable()]
    assert "only" in names
    assert not {"broken", "good", "foreign"} & set(names)


def test_target_must_be_a_plugin(distributions: Path) -> None:
    with pytest.raises(PluginError, match=r"'foreign': Path must inherit from incrlearn\.Plugin"):
        Registry.discover().load("foreign", Path())


def test_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(PluginError, match=r"no plug-in named 'knwon'; did you mean 'known'\?"):
        Registry([], {"known": Known}).load("knwon", Path())


class Photos(Plugin):
    kind = "data"


@pytest.mark.parametrize(
    ("use", "kind", "told"),
    [
        ("mnist", "data", "no plug-in named 'mnist'; known: image_folder; your own images: image_folder"),
        ("image_fodler", "data", "no plug-in named 'image_fodler'; did you mean 'image_folder'?"),
        ("knwon", "data", "no plug-in named 'knwon'; did you mean 'known'?"),
        ("mnist", None, "no plug-in named 'mnist'; known: image_folder, known"),
        (
            "adjusted.Mine",
            None,
            "no plug-in named 'adjusted.Mine'; known: image_folder, known; "
            "for a class in a file write ./adjusted.py:Mine",
        ),
    ],
)
def test_unknown_name_is_told_with_names_of_the_kind_that_is_wanted(use: str, kind: str | None, told: str) -> None:
    with pytest.raises(PluginError) as caught:
        Registry([], {"known": Known, "image_folder": Photos}).load(use, Path(), kind)
    assert str(caught.value) == told


def test_classes_given_by_hand_go_before_discovered_ones() -> None:
    registry = Registry([PluginEntry("known", "elsewhere", "1", "nowhere:X")], {"known": Known})
    assert registry.load("known", Path()) is Known
    assert [entry.distribution for entry in registry.entries()] == ["given by hand"]
    assert Registry.of({"known": Known}).load("known", Path()) is Known


def test_local_file_is_found_from_the_folder_of_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "focal.py").write_text(LOCAL)
    before = list(sys.path)
    for use in ("./focal.py:Focal", "focal.py:Focal", f"{tmp_path}/focal.py:Focal"):
        plugin = Registry([]).load(use, tmp_path)
        assert plugin.__name__ == "Focal"
        assert plugin.kind == "loss"
    assert sys.path == before
    assert "focal" not in sys.modules


def test_local_files_of_one_name_stay_apart_and_edits_are_seen(tmp_path: Path) -> None:
    for folder, gamma in (("a", "1.5"), ("b", "2.5")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "focal.py").write_text(LOCAL.replace("2.0", gamma))
    registry = Registry([])
    first, second = (registry.load("./focal.py:Focal", tmp_path / folder) for folder in "ab")
    assert (first.Config().model_dump(), second.Config().model_dump()) == ({"gamma": 1.5}, {"gamma": 2.5})
    assert registry.load("./focal.py:Focal", tmp_path / "a") is first
    (tmp_path / "a" / "focal.py").write_text(LOCAL.replace("2.0", "9.0"))
    assert registry.load("./focal.py:Focal", tmp_path / "a").Config().model_dump() == {"gamma": 9.0}


@pytest.mark.parametrize(
    ("use", "message"),
    [
        ("./focsl.py:Focal", r"no file .*focsl\.py; did you mean 'focal\.py'"),
        ("~no-such-user/focal.py:Focal", r"names no file"),
        (f"./{'x' * 300}.py:Focal", r"names no file"),
        ("./focal.py:Focl", r"focal\.py has no class 'Focl'; did you mean 'Focal'"),
        ("./focal.py", r"write the file and its class, such as"),
        ("./focal.py:", r"write the file and its class, such as"),
        ("./focal.py:NotOne", r"'\./focal\.py:NotOne': NotOne must inherit from incrlearn\.Plugin$"),
        ("./bad.py:X", r"cannot be imported: SyntaxError: invalid syntax \(bad\.py, line 1\); mend it$"),
        ("./leaves.py:X", r"cannot be imported: SystemExit: 3 \(leaves\.py, line 2\); mend it$"),
        ("./config.py:X", r"X\.Config must inherit from Plugin\.Config"),
        ("./use.py:X", r"an option cannot be called 'use'"),
    ],
)
def test_local_file_that_cannot_be_used_is_told(tmp_path: Path, use: str, message: str) -> None:
    head = "from incrlearn import Plugin\nfrom pydantic import BaseModel\nclass X(Plugin):\n"
    files = {
        "focal": LOCAL,
        "bad": "def",
        "leaves": "import sys\nsys.exit(3)",
        "config": f"{head}    class Config(BaseModel): pass\n",
        "use": f"{head}    class Config(Plugin.Config):\n        use: int = 1\n",
    }
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(text)
    before = set(sys.modules)
    with pytest.raises(PluginError, match=message):
        Registry([]).load(use, tmp_path)
    left = sys.modules.keys() - before
    assert not [name for name in left if name.startswith(("incrlearn_local_bad", "incrlearn_local_leaves"))]


@pytest.mark.parametrize("folder", ["", "./", "/home/me/", "C:\\lab\\", "C:/lab/", "..\\lab/"])
def test_without_folder_is_the_same_wherever_a_file_lies(folder: str) -> None:
    assert without_folder(f"{folder}focal.py:Focal") == "focal.py:Focal"
    assert without_folder("herding") == "herding"


def test_absolute_use_means_the_same_from_anywhere(tmp_path: Path) -> None:
    assert absolute_use("herding", tmp_path) == "herding"
    assert absolute_use("./focal.py:Focal", tmp_path) == f"{tmp_path.resolve()}/focal.py:Focal"
