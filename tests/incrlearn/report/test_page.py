"""The page: what is on it, that it loads nothing, and that nobody's words become markup."""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from incrlearn import OutputError
from incrlearn.engine.record import RunRecord
from incrlearn.report.groups import group_runs
from incrlearn.report.page import render_page, write_page
from incrlearn.report.repeats import each_seed_once
from incrlearn.report.tables import NOT_THERE

MakeRun = Callable[..., RunRecord]
EXPECTED = {"average": 74.64, "last": 64.36, "parameters_average": 5.0, "source": "a paper, mean of three runs"}
VOID = {"meta", "link", "img", "br", "hr", "input", "source", "col", "base"}
LOADING = {"src", "srcset", "data", "poster", "background", "action", "formaction"}


class Page(HTMLParser):
    """A page taken apart: counts of elements, cells of tables, ids, references; elements must be closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.references: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.captions: list[str] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        for name, value in attrs:
            assert not name.startswith("on"), f"{tag} has {name}"
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", *LOADING):
                self.references.append(value or "")
            if name in ("style", "fill", "clip-path", "mask", "filter"):
                self.references += re.findall(r"url\(([^)]*)\)", value or "")
        if tag not in VOID:
            self._open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag == "figcaption":
            self.captions.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            self.references += re.findall(r"url\(([^)]*)\)|@import", data)
            return
        self.words.append(data)
        if self._open and {"td", "th"} & set(self._open):
            self.tables[-1][-1][-1] += data
        if "figcaption" in self._open:
            self.captions[-1] += data

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def cells(self, table: int) -> list[list[str]]:
        return [[" ".join(cell.split()) for cell in row] for row in self.tables[table]]


def page_of(runs: Sequence[RunRecord], unfinished: Sequence[Path] = ()) -> Page:
    return Page(render_page(group_runs(runs), unfinished))


@pytest.fixture(scope="module")
def runs(make_run: MakeRun) -> list[RunRecord]:
    """Two groups, one of them of two seeds, pruned and with expected numbers."""
    rows: dict[str, Any] = {"pruning": {"use": "channel_mask", "keep": 0.1}}
    pruned = [
        make_run(seed=seed, plugins=rows, channels={"conv1": [3, 4]}, expected=EXPECTED, parameters=2e5)
        for seed in (1, 2)
    ]
    return [*pruned, make_run(name="replay")]


@pytest.fixture(scope="module")
def page(runs: list[RunRecord]) -> Page:
    return page_of(runs)


def test_every_part_is_there_once(page: Page) -> None:
    assert page.tags["figure"] == page.tags["figcaption"] == 4
    assert page.tags["h1"] == 1
    assert page.tags["h2"] == 7
    assert page.tags["table"] == 4
    links = [reference for reference in page.references if reference.startswith("#")]
    assert [link for link in links if link.count("-") == 0] == [
        "#results", "#curve", "#matrices", "#costs", "#kept", "#differences", "#runs",
    ]  # fmt: skip


def test_nothing_is_loaded(page: Page) -> None:
    outside = [one for one in page.references if not one.startswith(("#", "data:image/png;base64,"))]
    assert outside == []
    assert not {"script", "link", "iframe", "object", "embed", "base", "img", "form"} & set(page.tags)


def test_every_reference_within_the_page_has_its_id_and_no_id_is_there_twice(page: Page) -> None:
    assert len(set(page.ids)) == len(page.ids)
    assert {one.removeprefix("#") for one in page.references if one.startswith("#")} <= set(page.ids)


def test_results_are_a_row_a_group_and_one_below_for_what_is_expected(page: Page) -> None:
    heading, pruned, expected, replay = page.cells(0)
    assert heading == [
        "group", "n", "average top-1, %", "last top-1, %", "last forgetting, points", "average parameters, M",
        "last parameters, M", "last FLOPs, M", "total time, s",
    ]  # fmt: skip
    assert pruned == [
        "der_tiny", "2", "86.61 ± 0", "82.33 ± 0", "15.00 ± 0", "0.400 ± 0", "0.600 ± 0", "6.00 ± 0", "36.0 ± 0",
    ]  # fmt: skip
    assert expected == ["expected a paper, mean of three runs", "74.64", "64.36", "", "5.0", "", "", ""]
    assert replay == ["replay", "1", "86.61", "82.33", "15.00", "2.00", "3.00", "6.00", "36.0"]


def test_the_numbers_of_the_curves_are_there_to_be_read(make_run: MakeRun) -> None:
    found = page_of([make_run(matrix=[[90.0], [80.0, 60.0]]), make_run(seed=2, matrix=[[80.0], [90.0, 50.0]])])
    assert found.cells(1) == [
        ["classes seen", "der_tiny"],
        ["2", "85.00 (80.00 to 90.00)"],
        ["4", "70.00"],
    ]


def test_differences_of_the_recipes_are_a_row_a_path(page: Page) -> None:
    assert page.cells(2) == [["setting", "der_tiny", "replay"], ["plugins.pruning.use", "channel_mask", NOT_THERE]]


def test_runs_are_a_row_each_with_what_makes_them_again(page: Page) -> None:
    heading, *rows = page.cells(3)
    assert heading == ["group", "seed", "date", "fingerprint", "run directory"]
    # The group's name spans its rows.
    assert [row[-4] for row in rows] == ["1", "2", "1"]
    assert [row[-1] for row in rows] == ["runs/der_tiny/1", "runs/der_tiny/2", "runs/replay/1"]
    assert "versions python 3.11.0, torch 2.11.0" in page.text


def test_captions_say_what_is_drawn_of_what_and_in_which_unit(page: Page) -> None:
    curve, matrices, costs, kept = (" ".join(caption.split()) for caption in page.captions)
    assert "in percent" in curve
    assert "from its lowest to its highest seed" in curve
    assert "average over all tasks" in curve
    assert "mean over the seeds" in matrices
    assert "in millions, mean over tasks" in costs
    assert "average top-1" in costs
    assert "in percent of those there were" in kept


def test_what_is_expected_is_told_with_its_source(page: Page) -> None:
    assert "expected: average 74.64 % (dashed line), last 64.36 % (star) for der_tiny; a paper, mean of" in page.text
    assert "expected: average 74.64 %, 5.0 million parameters (star) for der_tiny; a paper, mean of" in page.text


def test_unfinished_runs_are_named(runs: list[RunRecord]) -> None:
    found = page_of(runs, [Path("runs/a"), Path("runs/b&c")])
    assert "Left out, not finished: runs/a, runs/b&c." in found.text
    assert "unfinished" in found.ids
    assert "unfinished" not in page_of(runs).ids


def test_runs_that_are_there_twice_are_told(make_run: MakeRun) -> None:
    counted, repeats = each_seed_once([make_run(date="2026-01-05"), make_run(run_dir="runs/again", date="2026-01-04")])
    found = Page(render_page(group_runs(counted), (), repeats=repeats))
    assert "runs/der_tiny/1 counts, not runs/again; their numbers are the same" in found.text
    assert "repeated" in found.ids
    assert "repeated" not in page_of(counted).ids


def test_groups_of_other_protocols_are_warned_of(make_run: MakeRun) -> None:
    more = make_run(name="more", plugins={"memory": {"use": "herding", "total": 80, "per_class": None}})
    assert "protocol" in page_of([make_run(), more]).ids
    assert "protocol" not in page_of([make_run(), make_run(name="other")]).ids


HOSTILE = '<script>alert("x")</script><img src=http://evil.example/a onerror=b>&amp;\'{{ 7 * 7 }} $x$'


def test_no_word_of_a_run_becomes_markup(make_run: MakeRun) -> None:
    run = make_run(
        name=HOSTILE,
        plugins={"memory": {"use": HOSTILE, "total": 1}, HOSTILE: {"use": HOSTILE, "option": HOSTILE}},
        channels={HOSTILE: [1, 2]},
        expected={"average": 50.0, "last": 40.0, "parameters_average": 1.0, "source": HOSTILE},
        classes=[HOSTILE],
        hardware={"name": HOSTILE, "device": HOSTILE},
        versions={"torch": HOSTILE},
        precision=HOSTILE,
        run_dir=HOSTILE,
        date=HOSTILE,
        fingerprint=HOSTILE,
    )
    found = page_of([run, make_run()], [Path(HOSTILE)])
    assert not {"script", "img"} & set(found.tags)
    assert all(one.startswith(("#", "data:")) for one in found.references)
    assert found.text.count("{{ 7 * 7 }}") > 5
    assert found.cells(0)[1][0] == HOSTILE


def test_a_path_that_is_no_text_does_not_stop_the_page(make_run: MakeRun, tmp_path: Path) -> None:
    text = render_page(group_runs([make_run(run_dir="runs/\udcff")]), ())
    write_page(tmp_path / "report.html", text)
    assert "runs/?" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("matrix", "figures"),
    [([[90.0]], 3), ([[math.nan]], 2), ([[90.0], [math.nan, 80.0]], 3), ([[50.0] * t for t in range(1, 31)], 3)],
    ids=["one task", "no number", "a number missing", "thirty tasks"],
)
def test_a_single_run_of_any_kind_gives_a_page(make_run: MakeRun, matrix: list[list[float]], figures: int) -> None:
    found = page_of([make_run(matrix=matrix)])
    assert found.tags["figure"] == figures
    assert "nan" not in found.text.lower()
    assert "None" not in found.text
    assert "There is one group only." in found.text


def test_runs_of_an_earlier_version_give_a_page(make_run: MakeRun) -> None:
    run = make_run()
    for name in ("flops_last", "forgetting", "seconds"):
        run.summary["metrics"][name]["value"] = None
    del run.summary["metrics"]["parameters_last"]
    found = page_of([run])
    assert found.cells(0)[1] == ["der_tiny", "1", "86.61", "82.33", NOT_THERE, "2.00", *[NOT_THERE] * 3]


def test_twelve_groups_are_in_every_figure_and_table(make_run: MakeRun) -> None:
    found = page_of([make_run(name=f"method {number}") for number in range(12)])
    # A legend beside the curves and one beside the costs.
    assert found.tags["li"] == 2 * 12 + 6
    assert len(found.cells(0)) == 13
    assert "The recipes differ in their names only." in found.text


def test_groups_too_alike_for_a_short_name_tell_what_sets_them_apart(make_run: MakeRun) -> None:
    def run(factor: int) -> RunRecord:
        train = {"use": "sgd", "lr": 0.1 * factor, "epochs": 10 * factor, "first": None}
        return make_run(plugins={"train": train, "head": {"use": "linear", "bias": factor == 1}})

    found = page_of([run(1), run(2)])
    assert found.cells(0)[1][0] == "der_tiny #1 head.bias=true, train.lr=0.1, train.epochs=10"


def test_the_page_is_the_same_each_time(runs: list[RunRecord]) -> None:
    assert render_page(group_runs(runs), ()) == render_page(group_runs(runs), ())


def test_a_page_is_written_over_another_and_folders_are_made(tmp_path: Path) -> None:
    for text in ("one", "two"):
        write_page(tmp_path / "new" / "report.html", text)
    assert (tmp_path / "new" / "report.html").read_text() == "two"
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_what_cannot_be_written_is_told_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"is a folder; name a file with --out"):
        write_page(tmp_path, "page")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_page(tmp_path / "file" / "report.html", "page")
