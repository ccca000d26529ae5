"""The digest of a class's code: what counts in it, and what does not."""

import importlib
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incrlearn.source import code_digest

FILES = {
    "__init__.py": "",
    "focal.py": "from ._parts import scale\n\n\nclass Focal:\n    gamma = scale(2)\n",
    "_parts/__init__.py": "from .numbers import scale\n",
    "_parts/numbers.py": "def scale(x):\n    return 3 * x\n",
    "other.py": "class Other:\n    pass\n",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package ``lab`` on the path, as it is installed."""
    root = tmp_path / "site" / "lab"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.syspath_prepend(str(root.parent))
    return root


def digest(module: str, name: str) -> str | None:
    """Of a class that is imported anew."""
    for loaded in [key for key in sys.modules if key.partition(".")[0] == "lab"]:
        del sys.modules[loaded]
    importlib.invalidate_caches()
    return code_digest(getattr(importlib.import_module(module), name))


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("focal.py", FILES["focal.py"].replace("2", "4")),
        ("_parts/numbers.py", FILES["_parts/numbers.py"].replace("3", "4")),
        ("_parts/__init__.py", FILES["_parts/__init__.py"] + "again = scale\n"),
        ("__init__.py", "import math\n"),
    ],
)
def test_a_change_counts_where_the_class_can_notice_it(package: Path, file: str, text: str) -> None:
    before = digest("lab.focal", "Focal")
    assert before is not None
    assert len(before) == 12
    (package / file).write_text(text)
    assert digest("lab.focal", "Focal") != before


def test_what_the_class_does_not_import_does_not_count(package: Path) -> None:
    before = digest("lab.focal", "Focal")
    (package / "other.py").write_text("class Other:\n    changed = True\n")
    (package / "third.py").write_text("x = 1\n")
    assert digest("lab.focal", "Focal") == before
    assert digest("lab.other", "Other") != before


@pytest.mark.parametrize(
    "line", ["from lab import other", "from lab.other import Other", "import lab.other", "from . import other"]
)
def test_every_way_to_import_is_followed_even_inside_a_function(package: Path, line: str) -> None:
    (package / "focal.py").write_text(f"class Focal:\n    def later(self):\n        {line}\n")
    before = digest("lab.focal", "Focal")
    (package / "other.py").write_text("class Other:\n    changed = True\n")
    assert digest("lab.focal", "Focal") != before


def test_comments_blank_lines_line_ends_and_the_folder_do_not_count(package: Path, tmp_path: Path) -> None:
    before = digest("lab.focal", "Focal")
    (package / "focal.py").write_bytes(
        b"# A comment.\r\nfrom ._parts import scale  # another\r\nclass Focal:   \r\n\r\n    gamma = scale(2)"
    )
    assert digest("lab.focal", "Focal") == before
    (package.parent).rename(tmp_path / "elsewhere")
    sys.path.insert(0, str(tmp_path / "elsewhere"))
    try:
        assert digest("lab.focal", "Focal") == before
    finally:
        sys.path.remove(str(tmp_path / "elsewhere"))


def test_a_hash_in_a_text_is_no_comment(package: Path) -> None:
    texts = ["class Focal:\n    x = 'a # b'\n", "class Focal:\n    x = 'a # c'\n"]
    found = set()
    for text in texts:
        (package / "focal.py").write_text(text)
        found.add(digest("lab.focal", "Focal"))
    assert len(found) == 2


def test_files_that_cannot_be_read_as_python_hinder_nothing(package: Path) -> None:
    (package / "focal.py").write_text(
        "class Focal:\n    def later(self):\n        from . import broken, bytes_only, gone\n"
    )
    (package / "broken.py").write_text("def (:\n  '''\n")
    (package / "bytes_only.py").write_bytes(b"\xff\xfe\x00")
    before = digest("lab.focal", "Focal")
    assert before is not None
    (package / "broken.py").write_text("def )(:\n")
    assert digest("lab.focal", "Focal") != before


def test_a_class_without_a_file_has_none() -> None:
    namespace: dict[str, type] = {}
    exec("class Made:\n    __module__ = 'nowhere'\n", namespace)
    assert code_digest(namespace["Made"]) is None
    assert code_digest(int) is None


@given(st.text(alphabet="ab #'\"\n\\({", max_size=30))
def test_any_text_has_a_digest_and_a_comment_behind_it_does_not_change_it(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    folder = tmp_path_factory.mktemp("digest")
    file = folder / "made.py"
    module = type(sys)("digest_of_any_text")
    module.__file__ = str(file)
    made = type("Made", (), {"__module__": module.__name__})
    sys.modules[module.__name__] = module
    try:
        file.write_text("x = 1\n" + text)
        before = code_digest(made)
        assert before is not None
        try:
            compile("x = 1\n" + text + "\n", "made", "exec")
        except (SyntaxError, ValueError):
            return
        file.write_text("x = 1  # told\n" + text + "\n# more\n")
        assert code_digest(made) == before
    finally:
        del sys.modules[module.__name__]
