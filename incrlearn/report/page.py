"""The report as one HTML page that opens from disk: nothing is loaded, and no script runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from incrlearn import __version__
from incrlearn.engine.rundir import write_atomically
from incrlearn.errors import OutputError
from incrlearn.report.differences import Difference
from incrlearn.report.gallery import Gallery, expected_key_svg, group_key_svg, make_gallery, scale_svg
from incrlearn.report.groups import Group
from incrlearn.report.protocol import compare_groups
from incrlearn.report.repeats import Repeat
from incrlearn.report.series import CurvePoint, Expectation, accuracy_curve
from incrlearn.report.tables import NOT_THERE, provenance, recipe_differences, result_columns, result_rows

_MOST_WORDS = 4


@dataclass(frozen=True)
class _GroupView:
    """A group as the page names it."""

    label: str
    detail: str
    """What tells it from others, where the label does not say so."""
    seeds: str
    key: Markup


@dataclass(frozen=True)
class _ExpectedView:
    """What is expected, in words."""

    who: str
    """The groups."""
    in_curves: str
    in_costs: str
    """Nothing where the source does not tell both numbers."""
    source: str
    key: Markup


@dataclass(frozen=True)
class _PanelView:
    """A figure of one group."""

    group: _GroupView
    svg: Markup


def render_page(
    groups: Sequence[Group],
    unfinished: Sequence[Path],
    gallery: Gallery | None = None,
    repeats: Sequence[Repeat] = (),
) -> str:
    """The whole page.

    Args:
        groups: at least one.
        unfinished: directories of runs that are left out.
        gallery: the figures where they are made already.
        repeats: runs that are there more than once, of which the groups have one each.
    """
    gallery = gallery if gallery is not None else make_gallery(groups)
    views = [_group_view(position, group) for position, group in enumerate(groups)]
    columns = result_columns(groups)
    runs = [run for group in groups for run in group.runs]
    environment = Environment(
        loader=PackageLoader("incrlearn.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.j2").render(
        title=_title(groups),
        counts=f"{_count(len(runs), 'run')} in {_count(len(groups), 'group')}",
        newest=max(str(run.summary["date"]) for run in runs)[:10],
        version=__version__,
        groups=views,
        unfinished=[str(path) for path in unfinished],
        repeats=repeats,
        protocol=_protocol(groups),
        columns=columns,
        results=result_rows(groups, columns, gallery.expected),
        expected=[_expected_view(number, one, groups) for number, one in enumerate(gallery.expected)],
        curves=Markup(gallery.curves.svg()),
        curve_rows=_curve_rows([accuracy_curve(group) for group in groups]),
        matrices=[_PanelView(views[panel.position], Markup(panel.plot.svg())) for panel in gallery.matrices],
        scale=Markup(scale_svg()),
        costs=Markup(gallery.costs.svg()) if gallery.costs is not None else None,
        kept=[_PanelView(views[panel.position], Markup(panel.plot.svg())) for panel in gallery.kept],
        differences=recipe_differences(groups),
        provenance=provenance(groups),
    )
    # A path that is no valid text, such as Linux allows, is shown with question marks.
    return page.encode("utf-8", "replace").decode("utf-8")


def write_page(path: Path, page: str) -> None:
    """Write the page, over another one that is there.

    Raises:
        OutputError: it cannot be written.
    """
    if path.is_dir():
        raise OutputError(f"{path} is a folder; name a file with --out, such as {path / 'report.html'}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, page)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); name another with --out") from error


def _title(groups: Sequence[Group]) -> str:
    return _few(list(dict.fromkeys(group.name for group in groups)))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _group_view(position: int, group: Group) -> _GroupView:
    told = all(words in group.label for words in group.distinction)
    return _GroupView(
        label=group.label,
        detail="" if told else _few(group.distinction),
        seeds=f"seed{'' if len(group.runs) == 1 else 's'} {', '.join(map(str, group.seeds))}",
        key=Markup(group_key_svg(position)),
    )


def _few(words: Sequence[str]) -> str:
    """The first few and how many more there are: all of them stand further below on the page."""
    left = len(words) - _MOST_WORDS
    return ", ".join([*words[:_MOST_WORDS], *([f"and {left} more"] if left > 0 else [])])


def _expected_view(number: int, expected: Expectation, groups: Sequence[Group]) -> _ExpectedView:
    average = "" if expected.average is None else f"average {expected.average:.2f} %"
    last = "" if expected.last is None else f"last {expected.last:.2f} %"
    curves = ", ".join(filter(None, [average and f"{average} (dashed line)", last and f"{last} (star)"]))
    both = average and expected.parameters is not None
    return _ExpectedView(
        who=", ".join(groups[position].label for position in expected.groups),
        in_curves=curves,
        in_costs=f"{average}, {(expected.parameters or 0.0) / 1e6:.1f} million parameters (star)" if both else "",
        source=expected.source,
        key=Markup(expected_key_svg(number, expected)),
    )


def _protocol(groups: Sequence[Group]) -> tuple[Difference, ...]:
    """What makes the numbers of the groups not comparable."""
    return compare_groups(groups).protocol


def _curve_rows(curves: Sequence[Sequence[CurvePoint]]) -> list[tuple[int, list[str]]]:
    """The numbers of the curves: for each count of classes, a cell a group."""
    points = [{point.classes: point for point in curve} for curve in curves]
    counts = sorted({classes for own in points for classes in own})
    return [(classes, [_top1(own.get(classes)) for own in points]) for classes in counts]


def _top1(point: CurvePoint | None) -> str:
    if point is None or point.top1 is None:
        return NOT_THERE
    mean, low, high = (f"{value:.2f}" for value in (point.top1.mean, point.top1.low, point.top1.high))
    return mean if low == high else f"{mean} ({low} to {high})"
