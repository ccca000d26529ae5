"""The figures: what is drawn where, in a form that a page can hold, the same each time."""

import math
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import same_color
from matplotlib.figure import Figure

import incrlearn.report
from incrlearn import OutputError
from incrlearn.engine.record import RunRecord
from incrlearn.report.canvas import draw_key
from incrlearn.report.drawing import to_png, to_svg
from incrlearn.report.figures import CostMark, CurveLine, draw_costs, draw_curves
from incrlearn.report.gallery import make_gallery, write_pngs
from incrlearn.report.groups import group_runs
from incrlearn.report.marks import expected_mark, mark_of
from incrlearn.report.panels import draw_kept, draw_matrix, draw_scale
from incrlearn.report.series import Band, CostPoint, CurvePoint, Expectation, KeptLayer

MakeRun = Callable[..., RunRecord]
PAPER = Expectation("a paper", 74.5, 64.0, 5e6, 4, (0,))
HOSTILE = ["<script>&\"'", r"$\frac{$ 50 % _^", "two\nlines\x00\x1b", "名前", "", "n" * 300]


def point(classes: int, *values: float) -> CurvePoint:
    return CurvePoint(classes, Band(sum(values) / len(values), min(values), max(values)) if values else None)


def only_axes(figure: Figure) -> Axes:
    (axes,) = figure.axes
    return axes


def curve(*points: CurvePoint, label: str = "a") -> CurveLine:
    return CurveLine(label, mark_of(0), points)


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter("text")]


def test_a_curve_is_the_mean_within_a_band_from_lowest_to_highest() -> None:
    axes = only_axes(draw_curves([curve(point(2, 90.0, 80.0), point(4), point(6, 60.0, 50.0))], ()))
    (line,) = axes.lines
    assert line.get_xydata().tolist() == [[2, 85], [6, 55]]
    (band,) = axes.collections
    assert {tuple(corner) for corner in band.get_paths()[0].vertices} >= {(2, 80), (2, 90), (6, 50), (6, 60)}
    assert list(axes.get_xticks()) == [2, 4, 6]


def test_what_is_expected_is_a_line_across_and_a_star_at_the_end() -> None:
    axes = only_axes(draw_curves([curve(point(2, 90.0), point(4, 60.0))], [PAPER]))
    _, average, last = axes.lines
    assert list(average.get_ydata()) == [74.5, 74.5]
    assert average.is_dashed()
    assert (last.get_marker(), last.get_xydata().tolist()) == ("*", [[4, 64.0]])


def test_only_what_the_source_tells_is_drawn() -> None:
    silent = Expectation("a paper", 74.5, None, None, 4, (0,))
    assert len(only_axes(draw_curves([curve(point(2, 90.0))], [silent])).lines) == 2
    costs = [CostMark("a", mark_of(0), CostPoint(Band(1e6, 1e6, 1e6), Band(80.0, 80.0, 80.0)))]
    assert [line.get_marker() for line in only_axes(draw_costs(costs, [silent])).lines].count("*") == 0
    assert [line.get_marker() for line in only_axes(draw_costs(costs, [PAPER])).lines].count("*") == 1


def test_a_matrix_has_a_number_in_each_of_its_cells_and_none_above() -> None:
    axes = only_axes(draw_matrix(((90.4,), (80.0, None), (70.0, 60.0, 50.5))))
    cells = {(round(text.get_position()[0]), round(text.get_position()[1])): text.get_text() for text in axes.texts}
    assert cells == {(1, 1): "90", (1, 2): "80", (1, 3): "70", (2, 3): "60", (3, 3): "50"}
    # After task 1 is on top.
    assert axes.get_ylim() == (3.5, 0.5)
    assert axes.collections[0].get_clim() == (0, 100)


@pytest.mark.parametrize(("tasks", "images"), [(1, 0), (12, 0), (25, 0), (26, 1), (50, 1)])
def test_large_matrices_are_one_image_without_numbers(tasks: int, images: int) -> None:
    matrix = tuple(tuple(50.0 for _ in range(after + 1)) for after in range(tasks))
    root = ElementTree.fromstring(to_svg(partial(draw_matrix, matrix), "m", "words"))
    found = list(root.iter("image"))
    assert len(found) == images
    assert all(image.attrib["href"].startswith("data:image/png;base64,") for image in found)
    assert len(only_axes(draw_matrix(matrix)).texts) == (tasks * (tasks + 1) // 2 if tasks <= 12 else 0)


def test_costs_stand_at_millions_of_parameters_with_bars_to_the_extremes() -> None:
    cost = CostPoint(Band(2e6, 1e6, 3e6), Band(80.0, 70.0, 85.0))
    axes = only_axes(draw_costs([CostMark("a", mark_of(0), cost)], ()))
    assert axes.lines[0].get_xydata().tolist() == [[2.0, 80.0]]
    ends = {tuple(corner) for bars in axes.collections for path in bars.get_paths() for corner in path.vertices}
    assert ends == {(1, 80), (3, 80), (2, 70), (2, 85)}
    assert axes.get_xscale() == "linear"


@pytest.mark.parametrize(
    ("sizes", "scale"), [((1e6, 7e6), "linear"), ((1e6, 9e6), "log"), ((0.0, 9e6), "linear"), ((1e3, 1e9), "log")]
)
def test_parameters_far_apart_are_on_a_logarithmic_axis_that_says_so(sizes: tuple[float, ...], scale: str) -> None:
    top1 = Band(80.0, 80.0, 80.0)
    costs = [CostMark("a", mark_of(0), CostPoint(Band(size, size, size), top1)) for size in sizes]
    axes = only_axes(draw_costs(costs, ()))
    assert axes.get_xscale() == scale
    assert ("logarithmic" in axes.get_xlabel()) == (scale == "log")
    assert "$" not in "".join(texts(to_svg(partial(draw_costs, costs, ()), "c", None)))


def test_kept_channels_are_bars_in_percent_with_their_numbers_beside() -> None:
    layers = [
        KeptLayer("conv1", Band(24.0, 16.0, 32.0), Band(37.5, 25.0, 50.0), (64,)),
        KeptLayer("layer1.0", Band(2.25, 1.0, 4.0), Band(20.0, 10.0, 30.0), (8, 16)),
    ]
    axes = only_axes(draw_kept(layers, mark_of(1)))
    assert [bar.get_width() for bar in axes.patches] == [100, 100, 37.5, 20]
    assert [text.get_text() for text in axes.texts] == ["24.0 of 64", "2.2 of 8/16"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["conv1", "layer1.0"]


def test_of_a_long_layer_name_the_end_is_shown() -> None:
    layers = [KeptLayer("blocks.0.attention.inner.projection.weight", Band(1, 1, 1), Band(50, 50, 50), (2,))]
    (label,) = only_axes(draw_kept(layers, mark_of(0))).get_yticklabels()
    assert label.get_text() == "…n.inner.projection.weight"


def test_the_first_marks_all_differ_and_none_is_the_star() -> None:
    marks = [mark_of(position) for position in range(77)]
    assert len({(mark.colour, mark.marker) for mark in marks}) == 77
    assert "*" not in {mark.marker for mark in marks}
    assert expected_mark((3,)).colour == mark_of(3).colour
    assert expected_mark((3, 4)).colour not in {mark.colour for mark in marks}


@pytest.mark.parametrize("position", [0, 6, 7, 11])
def test_a_key_has_the_colour_of_the_line_and_needs_no_id(position: int) -> None:
    svg = to_svg(partial(draw_key, mark_of(position)), "key", None)
    assert mark_of(position).colour in svg
    assert not re.search(r"\bid=|url\(", svg)
    assert 'aria-hidden="true"' in svg


def all_figures() -> Sequence[tuple[str, Callable[[], Figure]]]:
    lines = [curve(point(2, 90.0, 80.0), point(4, 60.0), label="a & b")]
    costs = [CostMark("a", mark_of(0), CostPoint(Band(2e6, 1e6, 3e6), Band(80.0, 70.0, 85.0)))]
    layers = [KeptLayer("conv1", Band(24.0, 16.0, 32.0), Band(37.5, 25.0, 50.0), (64,))]
    return [
        ("curves", partial(draw_curves, lines, [PAPER], legend=True)),
        ("matrix", partial(draw_matrix, ((90.0,), (80.0, 70.0)), title="a")),
        ("scale", draw_scale),
        ("costs", partial(draw_costs, costs, [PAPER], legend=True)),
        ("kept", partial(draw_kept, layers, mark_of(0), title="a")),
    ]


@pytest.mark.parametrize(("name", "draw"), all_figures(), ids=lambda case: case if isinstance(case, str) else "")
def test_svg_is_the_same_each_time_and_refers_to_nothing_but_itself(name: str, draw: Callable[[], Figure]) -> None:
    svg = to_svg(draw, name, "what is seen")
    assert svg == to_svg(draw, name, "what is seen")
    root = ElementTree.fromstring(svg)
    assert (root.tag, root.attrib["role"], root.attrib["aria-label"]) == ("svg", "img", "what is seen")
    ids = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    assert len(set(ids)) == len(ids)
    assert all(found.startswith(f"{name}-") for found in ids)
    references = {element.attrib["href"] for element in root.iter() if "href" in element.attrib}
    assert {one for one in references if not one.startswith("data:")} <= {f"#{found}" for found in ids}
    assert set(re.findall(r"url\(([^)]*)\)", svg)) <= {f"#{found}" for found in ids}
    assert not {"metadata", "style", "script"} & {element.tag for element in root.iter()}
    assert "http" not in svg


@pytest.mark.parametrize(("name", "draw"), all_figures(), ids=lambda case: case if isinstance(case, str) else "")
def test_png_is_the_same_each_time_at_two_pixels_a_unit(name: str, draw: Callable[[], Figure]) -> None:
    data = to_png(draw)
    assert data == to_png(draw)
    assert data.startswith(b"\x89PNG")
    width = float(ElementTree.fromstring(to_svg(draw, name, None)).attrib["width"])
    assert int.from_bytes(data[16:20], "big") == pytest.approx(2 * width, abs=1)


@pytest.mark.parametrize("text", HOSTILE, ids=["markup", "mathematics", "control", "script", "empty", "long"])
def test_any_name_is_drawn_as_it_is(text: str) -> None:
    lines = [curve(point(2, 90.0), label=text)]
    layers = [KeptLayer(text, Band(1.0, 1.0, 1.0), Band(50.0, 50.0, 50.0), (2,))]
    drawn = texts(to_svg(partial(draw_kept, layers, mark_of(0), title=text), "k", text))
    assert any(character in "".join(drawn) for character in text) or not text
    assert to_png(partial(draw_curves, lines, [], legend=True)).startswith(b"\x89PNG")


def test_text_stays_text() -> None:
    assert "classes seen" in texts(to_svg(partial(draw_curves, [curve(point(2, 90.0))], ()), "c", None))


def test_a_curve_without_any_number_is_an_empty_figure() -> None:
    assert to_svg(partial(draw_curves, [curve(point(2), point(4))], ()), "c", None).startswith("<svg")


def test_drawing_leaves_matplotlib_as_it_was_and_does_not_ask_it_for_its_settings() -> None:
    plain = partial(draw_curves, [curve(point(2, 90.0), point(4, 80.0))], ())
    svg = to_svg(plain, "c", None)
    with matplotlib.rc_context({"lines.linewidth": 9.0, "font.size": 30.0, "axes.facecolor": "red"}):
        before = dict(matplotlib.rcParams)
        assert to_svg(plain, "c", None) == svg
        assert dict(matplotlib.rcParams) == before


def test_nobody_draws_through_pyplot_and_its_state() -> None:
    sources = [path.read_text(encoding="utf-8") for path in Path(incrlearn.report.__file__).parent.rglob("*.py")]
    assert any("matplotlib.figure" in source for source in sources)
    assert not any("pyplot" in source for source in sources)


def test_a_gallery_has_the_figures_that_its_groups_give(make_run: MakeRun) -> None:
    pruned = make_run(name="p/runed <1>", channels={"conv1": [1, 4]})
    gallery = make_gallery(group_runs([make_run(), pruned]))
    assert [plot.name for plot in gallery.plots()] == [
        "accuracy-curve",
        "accuracy-matrix-1-der-tiny",
        "accuracy-matrix-2-p-runed-1",
        "kept-channels-2-p-runed-1",
        "parameters",
    ]
    assert "p/runed <1> ends at 82.3 %" in gallery.curves.words
    alone = make_gallery(group_runs([make_run(matrix=[[math.nan]])]))
    assert alone.costs is None
    assert alone.kept == ()


def test_a_group_has_the_same_colour_in_every_figure(make_run: MakeRun) -> None:
    runs = [make_run(matrix=[[math.nan]]), make_run(name="other", channels={"conv1": [1, 4]})]
    gallery = make_gallery(group_runs(runs))
    assert gallery.costs is not None
    # The first group has no point, which must not move the second one up.
    assert same_color(only_axes(gallery.costs.within()).lines[0].get_color(), mark_of(1).colour)
    assert same_color(only_axes(gallery.kept[0].plot.within()).patches[-1].get_facecolor()[:3], mark_of(1).colour)


def test_every_figure_is_written_as_png(make_run: MakeRun, tmp_path: Path) -> None:
    gallery = make_gallery(group_runs([make_run()]))
    written = write_pngs(gallery, tmp_path / "new" / "figures")
    assert [path.name for path in written] == [f"{plot.name}.png" for plot in gallery.plots()]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)


def test_a_folder_that_cannot_be_written_is_told(make_run: MakeRun, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_pngs(make_gallery(group_runs([make_run()])), tmp_path / "file")
