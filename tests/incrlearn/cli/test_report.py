"""`incrlearn report` over runs that were trained: the page, the figures as files, and what is wrong with its input."""

import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from incrlearn import Registry, load_recipe, run_recipe
from incrlearn.cli.report import default_page

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
    path = default_page([trained]).resolve()
    assert outcome.out == f"written, for a browser: {path} (runs 3, groups 2)\n"
    page = Counting(path)
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
    assert not list(tmp_path.glob("*.html"))


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
    assert written.endswith(" (runs 1, groups 1)")
    assert "Left out, not finished:" in next(tmp_path.glob("report-*.html")).read_text()


def test_a_run_that_is_there_twice_is_warned_of(trained: Path, incrlearn: Any, tmp_path: Path) -> None:
    shutil.copytree(trained / "small1", tmp_path / "again")
    outcome = incrlearn("report", str(trained / "small1"), "again")
    assert outcome.code == 0
    assert "warning: small, seed 1 is there 2 times with the same numbers; only the newest counts: " in outcome.out
    assert outcome.out.endswith("(runs 1, groups 1)\n")


def test_without_a_finished_run_there_is_no_page(trained: Path, incrlearn: Any, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    shutil.copy(trained / "small1" / "recipe.yaml", tmp_path / "open")
    outcome = incrlearn("report", "open")
    assert outcome.code == 2
    assert "none of the runs is finished: open; go on with them by --resume" in outcome.err
    assert not list(tmp_path.glob("*.html"))


def test_folders_without_runs_are_told_all_at_once(incrlearn: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    outcome = incrlearn("report", "empty", "absent")
    assert outcome.code == 2
    assert "empty: there is no run in it" in outcome.err
    assert "absent: no such folder" in outcome.err


def test_nothing_to_report_on_is_a_mistake(incrlearn: Any) -> None:
    outcome = incrlearn("report")
    assert outcome.code == 2
    assert "DIR... is missing; write incrlearn report DIR..." in outcome.err


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


@pytest.mark.parametrize(
    ("runs", "page"),
    [
        (["runs/der_digits"], "report-runs-der_digits.html"),
        (["runs/der_digits/"], "report-runs-der_digits.html"),
        (["runs/../runs/x"], "report-runs-x.html"),
        (["runs"], "report-runs.html"),
        (["x y", "runs/a"], "report-x-y-runs-a.html"),
    ],
)
def test_page_is_named_after_what_it_is_of(folder: Path, runs: list[str], page: str) -> None:
    assert default_page([Path(run) for run in runs]) == Path(page)


def test_page_of_folders_elsewhere_tells_them_apart(folder: Path) -> None:
    assert default_page([Path()]).name == f"report-{folder.name}.html"
    pages = [default_page([folder.parent / one / "my"]).name for one in ("a", "b")]
    assert len(set(pages)) == 2
    assert all(re.fullmatch(r"report-my-[0-9a-f]{8}\.html", page) for page in pages)


def test_long_names_of_pages_are_cut_and_told_apart(folder: Path) -> None:
    many = [Path(f"runs/a_rather_long_name_{number}") for number in range(30)]
    pages = {default_page(many).name, default_page(many[:-1]).name}
    assert len(pages) == 2
    assert max(map(len, pages)) < 100


def test_link_to_runs_on_another_disk_is_named_as_it_is_typed(folder: Path) -> None:
    (folder / "disk" / "my").mkdir(parents=True)
    (folder / "runs").symlink_to(folder / "disk")
    assert default_page([Path("runs/my")]) == Path("report-runs-my.html")


def test_reports_of_other_runs_do_not_replace_one_another(trained: Path, incrlearn: Any, folder: Path) -> None:
    (folder / "runs").symlink_to(trained)
    for runs in ("runs/small1", "runs/pruned1", "runs/small1"):
        assert incrlearn("report", runs).code == 0
    assert sorted(path.name for path in folder.glob("*.html")) == [
        "report-runs-pruned1.html",
        "report-runs-small1.html",
    ]
