"""The docs as a site: every page has its place, nothing leads nowhere, and it needs nothing from elsewhere."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CONFIG = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
PAGES = sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))

needs_zensical = pytest.mark.skipif(
    importlib.util.find_spec("zensical") is None or importlib.util.find_spec("mkdocstrings") is None,
    reason="the site's tools are not installed: pip install --group docs",
)


def pages_of(entry: Any) -> list[str]:
    """The pages below an entry of the navigation."""
    if isinstance(entry, str):
        return [entry]
    inner = entry.values() if isinstance(entry, dict) else entry
    return [page for one in inner for page in pages_of(one)]


def test_every_page_stands_in_the_navigation_once() -> None:
    assert sorted(pages_of(CONFIG["nav"])) == PAGES


def test_fonts_are_those_of_the_reader() -> None:
    assert CONFIG["theme"]["font"] is False


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The site, built from copies: beside the config there is a cache."""
    folder = tmp_path_factory.mktemp("site")
    for name in ("mkdocs.yml", "README.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(DOCS, folder / "docs")
    (folder / "incrlearn").symlink_to(ROOT / "incrlearn")
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return folder / "site", done


@needs_zensical
def test_it_is_built_without_a_warning(build: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    site, done = build
    told = re.sub(r"\x1b\[[\d;]*m", "", done.stdout + done.stderr)
    assert done.returncode == 0, told
    assert "Warning" not in told
    made = {str(path.relative_to(site)) for path in site.rglob("*.html")}
    assert made == {page.replace(".md", ".html") for page in PAGES} | {"404.html"}


@needs_zensical
def test_pages_ask_nothing_of_other_servers(build: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    site, _ = build
    for page in site.rglob("*.html"):
        tags = re.findall(r"<(?:script|link|img|iframe|source)\b[^>]*>", page.read_text(encoding="utf-8"))
        assert [tag for tag in tags if re.search(r"""(?:src|href)=["']?(?:https?:)?//""", tag)] == [], page


@needs_zensical
def test_search_knows_every_page(build: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    site, _ = build
    index = json.loads((site / "search.json").read_text(encoding="utf-8"))
    known = {item["location"].partition("#")[0] for item in index["items"]}
    assert {page.replace(".md", ".html") for page in PAGES} <= known


@needs_zensical
def test_public_names_have_their_docstrings_on_the_page(
    build: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    site, _ = build
    page = (site / "reference" / "api.html").read_text(encoding="utf-8")
    wanted = re.findall(r"^::: (\S+)$", (DOCS / "reference" / "api.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert [name for name in wanted if f'id="{name}"' not in page] == []
    for words in ("Bind the plug-in to a recipe.", "Images a step at most; an epoch is cut into batches"):
        assert words in page
