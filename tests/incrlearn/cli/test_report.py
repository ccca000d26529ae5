"""`incrlearn report` over runs that were trained: the page, the figures as files, and what is wrong with its input."""

import os
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from incrlearn import Registry, load_recipe, run_recipe

SHORT = ["plugins.train.epochs=1", "plugins.train.milestones=[]"]
PRUNED = "extends: small.yaml\nplugins: {pruning: {use: channel_mask, keep: 0.5}}\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, small: str) -> Path:
    """Runs of `small` with two seeds, and of `pruned`."""
    home = tmp_path_factory.mktemp("trained")
    (home / "small.yaml").write_text(small)
    (home / "pruned.yaml").write_text(PRUNED)
    for name, seed, overrides in (("small", 1, SHORT), ("small", 2, SHORT), ("pruned", 1, [])):
        recipe = load_recipe(home / f"{name}.yaml", Registry.discover(), overrides, seed)
        run_recipe(recipe, home / "runs" / f"{name}{seed}", device="cpu")
    return home / "runs"


class Counting(HTMLParser):
    """The ids of the sections, and how many figures there are."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.sections: list[str] = []
        self.figures = 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.figures += tag == "figure"
        if tag == "section":
            self.sections.append(dict(attrs)["id"] or "")


def test_a_page_over_trained_runs_has_every_part(trained: Path, incrlearn: Any) -> None:
    outcome = incrlearn("report", str(trained))
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == f"written, for a browser: {Path('report.html').resolve()} (runs 3, groups 2)\n"
    page = Counting(Path("report.html"))
    assert page.sections == ["results", "curve", "matrices", "costs", "kept", "differences"]
    assert page.figures == 4


def test_the_page_goes_where_it_is_wanted_over_another_one(trained: Path, incrlearn: Any, tmp_path: Path) -> None:
    for runs in (trained, trained / "small1"):
        outcome = incrlearn("report", str(runs), "--out", "pages/ours.html")
        assert outcome.code == 0
    path = (tmp_path / "pages" / "ours.html").resolve()
    assert outcome.out == f"written, for a browser: {path} (runs 1, groups 1)\n"
    page = Counting(path)
    assert "kept" not in page.sections
    assert not (tmp_path / "report.html").exists()


def test_a_file_that_is_no_page_of_ours_is_left_alone(trained: Path, incrlearn: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.html").write_text("<title>my notes</title>")
    outcome = incrlearn("report", str(trained / "small1"), "--out", "notes.html")
    assert outcome.code == 2
    assert "notes.html is there and no page of incrlearn; name another file with --out" in outcome.err
    assert (tmp_path / "notes.html").read_text() == "<title>my notes</title>"
    (tmp_path / "notes.html").write_text("")
    assert incrlearn("report", str(trained / "small1"), "--out", "notes.html").code == 0


def test_figures_are_written_as_png_too(trained: Path, incrlearn: Any) -> None:
    outcome = incrlearn("report", str(trained), "--png", "figures")
    assert outcome.code == 0
    assert "figures: figures 5\n" in outcome.out
    names = sorted(path.name for path in Path("figures").iterdir())
    assert names == [
        "accuracy-curve.png",
        "accuracy-matrix-1-pruned.png",
        "accuracy-matrix-2-small.png",
        "kept-channels-1-pruned.png",
        "parameters.png",
    ]


def test_runs_that_are_not_finished_are_named_and_left_out(trained: Path, incrlearn: Any, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    shutil.copy(trained / "small1" / "recipe.yaml", tmp_path / "open")
    outcome = incrlearn("report", str(trained / "small1"), "open")
    assert outcome.code == 0
    left_out, written = outcome.out.splitlines()
    assert left_out == "left out, not finished: open"
    assert written.endswith("report.html (runs 1, groups 1)")
    assert "Left out, not finished:" in Path("report.html").read_text()


def test_a_run_that_is_there_twice_is_warned_of(trained: Path, incrlearn: Any, tmp_path: Path) -> None:
    shutil.copytree(trained / "small1", tmp_path / "again")
    outcome = incrlearn("report", str(trained / "small1"), "again")
    assert outcome.code == 0
    assert "warning: small, seed 1 is there 2 times: " in outcome.out


def test_without_a_finished_run_there_is_no_page(trained: Path, incrlearn: Any, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    shutil.copy(trained / "small1" / "recipe.yaml", tmp_path / "open")
    outcome = incrlearn("report", "open")
    assert outcome.code == 2
    assert "none of the runs is finished: open; go on with them by --resume" in outcome.err
    assert not Path("report.html").exists()


def test_folders_without_runs_are_told_all_at_once(incrlearn: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    outcome = incrlearn("report", "empty", "absent")
    assert outcome.code == 2
    assert "empty: there is no run in it" in outcome.err
    assert "absent: no such folder" in outcome.err


def test_nothing_to_report_on_is_a_mistake(incrlearn: Any) -> None:
    outcome = incrlearn("report")
    assert outcome.code == 2
    assert "Missing argument" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--out", "taken"), "taken is a folder; name a file with --out, such as taken/report.html"),
        (("--out", "small.yaml/report.html"), "cannot be written"),
        (("--png", "small.yaml"), "small.yaml: cannot be written"),
    ],
)
def test_what_cannot_be_written_is_told(
    trained: Path, incrlearn: Any, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "taken").mkdir()
    outcome = incrlearn("report", str(trained / "small1"), *arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_not_ours_is_told(trained: Path, incrlearn: Any, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    outcome = incrlearn("report", str(trained / "small1"), "--out", "locked/report.html")
    assert outcome.code == 2
    assert "locked/report.html: cannot be written" in outcome.err
