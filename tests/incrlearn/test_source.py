"""The digest of a class's code: what counts in it, and what does not."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

import incrlearn
from incrlearn.source import LOCAL, _Reach, code_digest

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
    file = tmp_path_factory.mktemp("digest") / "made.py"
    (before,) = digests(file, "x = 1\n" + text)
    assert before is not None
    try:
        compile("x = 1\n" + text, "made", "exec")
    except (SyntaxError, ValueError):
        return
    assert digests(file, "x = 1  # told\n" + text + "\n# more\n") == [before]


def digest_of_file(file: Path, name: str = "digest_of_a_file") -> str | None:
    """Of a class of a file that is imported anew under a name, though nothing of it is run."""
    module = ModuleType(name)
    module.__file__ = str(file)
    sys.modules[name] = module
    try:
        return code_digest(type("Made", (), {"__module__": name}))
    finally:
        del sys.modules[name]


def digests(file: Path, *contents: str | bytes) -> list[str | None]:
    """One for each content of a file."""
    found = []
    for content in contents:
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        found.append(digest_of_file(file))
    return found


@pytest.mark.parametrize(
    "text",
    [
        "'''Other words,\n\nin more lines.'''  # told\nclass A:\n    x = 1\n",
        "'''Doc.'''\nclass A:\n    x = 1\n    'What x is.'\n",
        "class A:\n    'ein schönes'  \n\n    x = 1",
        "class A:\n    ('in brackets '\n     'and parts')\n    x = 1\n",
        "class A:\n    '\\d is no escape'\n    x = 1\n",
    ],
)
def test_docstrings_and_other_bare_strings_do_not_count(tmp_path: Path, text: str) -> None:
    before, after = digests(tmp_path / "made.py", "class A:\n    x = 1\n", text)
    assert before == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = 1\n", "x = 1; 'told'\n"),
        ("x = 1\n", "'told'; x = 1\n"),
        ("f'{print(1)}'\n", "f'{print(2)}'\n"),
        ("x = (\n'a'\n)\n", "x = (\n'b'\n)\n"),
        ("x = '''a\n\nb'''\n", "x = '''a\nb'''\n"),
        ("x = f'''a\n\n{1}b'''\n", "x = f'''a\n{1}b'''\n"),
        ("x = '''a  \nb'''\n", "x = '''a\nb'''\n"),
        ("x = '''a\n# b'''\n", "x = '''a\n# c'''\n"),
    ],
)
def test_strings_that_do_something_count_as_they_are(tmp_path: Path, before: str, after: str) -> None:
    assert len(set(digests(tmp_path / "made.py", before, after))) == 2


def test_a_digest_is_the_same_on_every_version_of_python(tmp_path: Path) -> None:
    text = "'''Doc.'''\nimport os  # told\n\nx = f'''a\n\n{1 + 1:>{3}}'''\n\ndef f(a):\n    return a  \n"
    assert digests(tmp_path / "made.py", text) == ["4a532f4b2ed4"]


def test_a_file_that_python_runs_and_cannot_be_read_as_text_counts_by_its_bytes(tmp_path: Path) -> None:
    found = digests(tmp_path / "made.py", b"# caf\xe9\nx = 1\n", b"# caf\xe9\nx = 2\n")
    assert None not in found
    assert len(set(found)) == 2


def test_a_helper_that_cannot_be_read_as_text_counts_by_its_bytes(package: Path) -> None:
    found = set()
    for number in (b"3", b"4"):
        (package / "_parts" / "numbers.py").write_bytes(b"# caf\xe9\ndef scale(x):\n    return x * " + number)
        found.add(digest("lab.focal", "Focal"))
    assert len(found) == 2


def test_what_tells_the_version_of_a_package_does_not_count(package: Path) -> None:
    (package / "__init__.py").write_text("from ._version import version\nfrom . import __about__\n")
    found = set()
    for number in "12":
        for name in ("_version", "__about__"):
            (package / f"{name}.py").write_text(f"version = '{number}'\n")
        found.add(digest("lab.focal", "Focal"))
    assert len(found) == 1


def test_a_class_keeps_the_digest_of_what_was_imported(package: Path) -> None:
    before = digest("lab.focal", "Focal")
    focal = sys.modules["lab.focal"].Focal
    (package / "focal.py").write_text(FILES["focal.py"].replace("2", "400"))
    assert code_digest(focal) == before
    assert code_digest(importlib.reload(sys.modules["lab.focal"]).Focal) != before


def test_a_class_that_is_imported_later_has_the_code_of_its_helpers_that_run(package: Path) -> None:
    (package / "third.py").write_text("from ._parts import scale\nclass Third:\n    pass\n")
    assert digest("lab.focal", "Focal") is not None
    first = code_digest(importlib.import_module("lab.third").Third)
    (package / "_parts" / "numbers.py").write_text(FILES["_parts/numbers.py"].replace("3", "400"))
    del sys.modules["lab.third"]
    assert code_digest(importlib.import_module("lab.third").Third) == first
    assert digest("lab.third", "Third") != first


LOCALS = {
    "loss.py": "from lab.util import K\nimport beside, torch, json\nimport installed\n",
    "lab/__init__.py": "",
    "lab/util.py": "from . import deeper\nK = 1\n",
    "lab/deeper.py": "x = 1\n",
    "lab/loss.py": "import beside\nfrom lab.util import K\n",
    "beside.py": "x = 1\n",
    "unused.py": "x = 1\n",
    ".venv/lib/installed.py": "x = 1\n",
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path with a recipe's own file in it."""
    folder = tmp_path / "home"
    for name, text in LOCALS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(str(folder / ".venv" / "lib"))
    monkeypatch.syspath_prepend(str(folder))
    for loaded in [name for name in sys.modules if name.partition(".")[0] == "lab"]:
        monkeypatch.delitem(sys.modules, loaded)
    return folder


@pytest.mark.parametrize(
    ("own", "file", "counts"),
    [
        ("loss.py", "lab/util.py", True),
        ("loss.py", "lab/deeper.py", True),
        ("loss.py", "lab/__init__.py", True),
        ("loss.py", "beside.py", True),
        ("loss.py", "unused.py", False),
        ("loss.py", ".venv/lib/installed.py", False),
        ("lab/loss.py", "lab/util.py", True),
        ("lab/loss.py", "beside.py", False),
    ],
)
def test_a_recipes_own_file_has_the_code_of_what_it_imports_from_its_folder(
    home: Path, own: str, file: str, counts: bool
) -> None:
    before = digest_of_file(home / own, f"{LOCAL}loss")
    (home / file).write_text("changed = True\n")
    assert (digest_of_file(home / own, f"{LOCAL}loss") != before) == counts


def test_a_helper_counts_the_same_whether_it_is_imported_yet_or_not(home: Path) -> None:
    before = digest_of_file(home / "loss.py", f"{LOCAL}loss")
    names = ["beside", "lab", "lab.util", "lab.deeper"]
    try:
        for name in names:
            importlib.import_module(name)
        assert digest_of_file(home / "loss.py", f"{LOCAL}loss") == before
    finally:
        for name in names:
            sys.modules.pop(name, None)


def test_incrlearns_own_code_does_not_count_even_where_it_lies_below_the_folder(tmp_path: Path) -> None:
    # As in a checkout of incrlearn.
    module = ModuleType(f"{LOCAL}loss")
    module.__file__ = str(Path(incrlearn.__file__).parents[1] / "loss.py")
    sys.modules[module.__name__] = module
    try:
        reach = _Reach(module.__name__)
        assert reach.file_of("incrlearn") is None
        assert reach.file_of("incrlearn.plugin") is None
    finally:
        del sys.modules[module.__name__]
    assert digests(tmp_path / "made.py", "import incrlearn\n") != [None]
