"""Which runs an ablation is made of: a base recipe, variants as edits of it, and seeds; every problem told at once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from incrlearn.errors import Problem, RecipeError, did_you_mean
from incrlearn.recipe import Edit, Place, Problems, Recipe, load_edited, read_overrides
from incrlearn.recipe.wording import value_text
from incrlearn.registry import Registry

BASE = "base"
"""Name of the base's row where no variant without edits gives it another one."""


@dataclass(frozen=True, eq=False)
class Variant:
    """One row of the table."""

    name: str
    edits: tuple[str, ...]
    """``path=value`` for each change of the base; none for the base itself."""
    recipe: Recipe
    """With the seed of the base."""


@dataclass(frozen=True, eq=False)
class Cell:
    """One run: a variant with one seed."""

    variant: str
    recipe: Recipe

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.recipe.seed

    @property
    def key(self) -> tuple[str, int]:
        """Variant and seed, which tell one run of a grid from another."""
        return self.variant, self.seed


@dataclass(frozen=True, eq=False)
class Grid:
    """An ablation: every variant with every seed."""

    name: str
    """Of the ablation, or of the recipe."""
    path: Path
    """The file of either."""
    title: str
    base: str
    """Name of the base's row."""
    variants: tuple[Variant, ...]
    """In the order of the table, the base among them."""
    seeds: tuple[int, ...]
    columns: tuple[str, ...]
    """Metrics of the whole run, as in ``result.json``; empty: the usual ones."""
    overrides: tuple[str, ...] = ()
    """``path=value`` for each change of the base that was asked for beside the file."""
    left_in: tuple[str, ...] = ()
    """Of a leave-one-out: which plug-ins cannot be left out, and why, in lines."""

    @property
    def filed_as(self) -> str:
        """The folder of its tables: the name, and where the base was changed a digest of the changes behind it."""
        if not self.overrides:
            return self.name
        return f"{self.name}+{hashlib.sha256(repr(self.overrides).encode()).hexdigest()[:8]}"

    def cells(self) -> list[Cell]:
        """Every run, seed by seed, so that each seed's row of comparisons is complete as early as can be."""
        return [
            Cell(variant.name, replace(variant.recipe, seed=seed)) for seed in self.seeds for variant in self.variants
        ]


@dataclass(frozen=True)
class Sketch:
    """A variant before its recipe is made."""

    name: str
    edits: tuple[Edit, ...]
    place: Place


def build_variants(
    base: Recipe, base_edits: Sequence[Edit], sketches: Sequence[Sketch], registry: Registry, problems: Problems
) -> list[Variant]:
    """The variants of a base recipe, the base first where no sketch stands for it.

    Args:
        base: read from ``base.path`` with ``base_edits``.
        base_edits: come before those of each variant.
        sketches: in the order of the table; at most one has no edits and stands for the base.
        registry: the plug-ins there are.
        problems: takes what is wrong: edits that hit nothing, recipes that are not valid, variants that are the same.
    """
    variants = []
    for sketch in sketches:
        recipe = _edited(base, base_edits, sketch, registry, problems)
        if recipe is not None:
            variants.append(Variant(sketch.name, tuple(map(edit_text, sketch.edits)), recipe))
    if all(variant.edits for variant in variants):
        variants.insert(0, Variant(BASE, (), base))
    _tell_twins(variants, sketches, problems)
    return variants


def edit_text(edit: Edit) -> str:
    """An edit as one would write it after ``--set``."""
    return f"{edit.path}={value_text(edit.value.plain())}"


def leave_one_out(path: Path, overrides: Sequence[str], seeds: Sequence[int], registry: Registry) -> Grid:
    """A recipe, and a variant for each of its plug-ins that it is still valid without; loggers aside.

    Args:
        path: the recipe.
        overrides: ``path=value`` texts that hold for all variants.
        seeds: none: the recipe's own.
        registry: the plug-ins there are.

    Raises:
        RecipeError: the recipe is not valid, or nothing can be left out of it.
    """
    problems = Problems(str(path), path)
    base_edits = read_overrides(overrides, problems)
    base = load_edited(path, registry, base_edits, problems)
    sketches, left_in = [], []
    for choice in base.plugins:
        if choice.plugin.affects_result:
            edits = tuple(read_overrides([f"plugins.{choice.key}=null"], problems))
            sketch, own = Sketch(f"without {choice.key}", edits, Place()), Problems(str(path), path)
            if _load(base, [*base_edits, *edits], sketch, registry, own) is not None:
                sketches.append(sketch)
            else:
                reason = own.error().problems[0].message.partition(": ")[2]
                reason = reason.removeprefix(f"--set {edits[0].place.override}: ")
                left_in.append(f"{choice.key} cannot be left out: {reason}")
    variants = build_variants(base, base_edits, sketches, registry, problems)
    if not sketches:
        problems.add(Place(), "no plug-in of this recipe can be left out; write an ablation file")
    if problems:
        raise problems.error()
    title = f"{base.name}, one plug-in left out at a time"
    chosen, changes = tuple(seeds) or (base.seed,), tuple(map(edit_text, base_edits))
    return Grid(base.name, path, title, BASE, tuple(variants), chosen, (), changes, tuple(left_in))


def select(grid: Grid, only: Sequence[str], cells: Sequence[Cell]) -> list[Cell]:
    """Those of the grid's ``cells`` whose variants are named in ``only``; all where it is empty.

    Raises:
        RecipeError: there is no variant of that name.
    """
    names = [variant.name for variant in grid.variants]
    unknown = [name for name in only if name not in names]
    if unknown:
        raise RecipeError(
            grid.name, [Problem(f"--only {name}: no such variant{did_you_mean(name, names)}") for name in unknown]
        )
    return [cell for cell in cells if not only or cell.variant in only]


def _edited(
    base: Recipe, base_edits: Sequence[Edit], sketch: Sketch, registry: Registry, problems: Problems
) -> Recipe | None:
    """The recipe of a variant; None where it cannot be made, which is told."""
    if not sketch.edits:
        return base
    recipe = _load(base, [*base_edits, *sketch.edits], sketch, registry, problems)
    if recipe is None:
        return None
    # What the source reports for the base is not what it reports for a variant, unless the variant says so.
    if not any(_is_about_expected(edit) for edit in sketch.edits):
        recipe = replace(recipe, expected=None)
    for edit in sketch.edits:
        others = [*base_edits, *(other for other in sketch.edits if other is not edit)]
        without = _load(base, others, sketch, registry, None)
        if not _is_about_expected(edit) and without is not None and without.fingerprint == recipe.fingerprint:
            what = f"{edit_text(edit)} changes nothing that counts"
            problems.add(edit.place, f"variant '{sketch.name}': {what}; leave it out")
    return recipe


def _load(
    base: Recipe, edits: Sequence[Edit], sketch: Sketch, registry: Registry, problems: Problems | None
) -> Recipe | None:
    assert base.path is not None, "the base of an ablation is a file"
    own = Problems(str(base.path), sketch.place.file)
    try:
        return load_edited(base.path, registry, edits, own)
    except RecipeError as error:
        if problems is not None:
            for problem in error.problems:
                # A line is one of the variant's own file; that of another file is told in words.
                place = Place(sketch.place.file, problem.line) if problem.line is not None else sketch.place
                problems.add(place, f"variant '{sketch.name}': {problem.message}")
        return None


def _is_about_expected(edit: Edit) -> bool:
    return edit.path.partition(".")[0] == "expected"


def _tell_twins(variants: Sequence[Variant], sketches: Sequence[Sketch], problems: Problems) -> None:
    """Two variants of one name or of one fingerprint would be the same run twice."""
    places = {sketch.name: sketch.place for sketch in sketches}
    first: dict[str, str] = {}
    for variant in variants:
        twin = first.setdefault(variant.recipe.fingerprint, variant.name)
        if twin != variant.name:
            problems.add(
                places[variant.name], f"variants '{twin}' and '{variant.name}' are the same recipe; keep one of them"
            )
    if [variant.name for variant in variants].count(BASE) > 1:
        problems.add(places[BASE], f"variant '{BASE}': that is the name of the recipe itself; give it another one")
