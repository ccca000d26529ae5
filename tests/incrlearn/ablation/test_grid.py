"""Variants as edits of a base, what makes them one and the same, and what is left out of a recipe."""

from pathlib import Path

import pytest

from incrlearn import RecipeError, Registry
from incrlearn.ablation.grid import BASE, Grid, Sketch, build_variants, edit_text, leave_one_out, select
from incrlearn.recipe import Place, Problems, load_recipe, read_overrides

REGISTRY = Registry.discover()


def sketch(name: str, *overrides: str) -> Sketch:
    return Sketch(name, tuple(read_overrides(overrides, Problems("test"))), Place())


def grid_of(path: Path, *sketches: Sketch, seeds: tuple[int, ...] = (1,)) -> Grid:
    problems = Problems("test")
    variants = build_variants(load_recipe(path, REGISTRY), [], sketches, REGISTRY, problems)
    if problems:
        raise problems.error()
    return Grid("test", path, "Test", BASE, tuple(variants), seeds, ())


def test_the_base_comes_first_where_no_variant_stands_for_it(tiny: Path) -> None:
    assert [v.name for v in grid_of(tiny, sketch("slow", "plugins.train.lr=0.01")).variants] == [BASE, "slow"]
    named = grid_of(tiny, sketch("slow", "plugins.train.lr=0.01"), sketch("all of it"))
    assert [v.name for v in named.variants] == ["slow", "all of it"]


def test_every_variant_is_trained_with_every_seed_seed_by_seed(tiny: Path) -> None:
    cells = grid_of(tiny, sketch("slow", "plugins.train.lr=0.01"), seeds=(3, 1)).cells()
    assert [cell.key for cell in cells] == [(BASE, 3), ("slow", 3), (BASE, 1), ("slow", 1)]
    assert len({cell.recipe.fingerprint for cell in cells}) == 4


@pytest.mark.parametrize("edit", ["plugins.train.lr=0.05", "plugins.log.file=other.jsonl", "seed=1"])
def test_an_edit_that_changes_nothing_is_refused(tiny: Path, edit: str) -> None:
    with pytest.raises(RecipeError, match="changes nothing that counts"):
        grid_of(tiny, sketch("same", "plugins.train.epochs=2", edit))


def test_an_edit_of_what_is_not_there_is_refused(tiny: Path) -> None:
    with pytest.raises(RecipeError, match=r"variant 'a'.*no 'lrr' below 'plugins.train'; did you mean 'lr'"):
        grid_of(tiny, sketch("a", "plugins.train.lrr=1"))


def test_a_variant_may_add_a_row(tiny: Path) -> None:
    added = grid_of(tiny, sketch("margin", "plugins.margin={use: auxiliary, weight: 2}")).variants[1].recipe
    assert [choice.key for choice in added.plugins][-1] == "margin"


def test_two_variants_of_one_fingerprint_are_refused(tiny: Path) -> None:
    with pytest.raises(RecipeError, match="'a' and 'b' are the same recipe"):
        grid_of(tiny, sketch("a", "plugins.auxiliary=null"), sketch("b", "plugins.auxiliary=null"))


def test_a_variant_with_edits_cannot_be_called_base(tiny: Path) -> None:
    with pytest.raises(RecipeError, match="give it another one"):
        grid_of(tiny, sketch(BASE, "plugins.auxiliary=null"))


def test_what_is_expected_of_the_base_is_not_expected_of_variants(tiny: Path) -> None:
    tiny.write_text(tiny.read_text() + "expected: {average: 50, source: a guess}\n")
    base, plain, told = grid_of(
        tiny,
        sketch("plain", "plugins.auxiliary=null"),
        sketch("told", "plugins.train.lr=0.01", "expected.average=40"),
    ).variants
    assert base.recipe.expected is not None
    assert plain.recipe.expected is None
    assert told.recipe.expected is not None
    assert told.recipe.expected.average == 40


def test_each_plugin_that_can_be_is_left_out(tiny: Path) -> None:
    grid = leave_one_out(tiny, (), (1, 2), REGISTRY)
    assert [variant.name for variant in grid.variants] == [BASE, "without auxiliary", "without memory"]
    assert [line.partition(" ")[0] for line in grid.left_in] == ["network", "head", "loss", "train"]
    assert "log" not in " ".join(grid.left_in)
    assert grid.left_in[0].startswith("network cannot be left out: plugins: none is of kind 'network'")
    assert grid.left_in[2].startswith("loss cannot be left out: plugins.train needs 'classification'")


def test_leaving_one_out_is_told_where_nothing_can_be(tiny: Path) -> None:
    with pytest.raises(RecipeError, match="no plug-in of this recipe can be left out"):
        leave_one_out(tiny, ["plugins.auxiliary=null", "plugins.memory=null"], (), REGISTRY)


def test_a_broken_recipe_is_told_at_its_line(tiny: Path) -> None:
    tiny.write_text(tiny.read_text().replace("lr: 0.05", "lr: -1"))
    with pytest.raises(RecipeError, match=r"line \d+: plugins.train.lr: must be a number above 0, not -1"):
        leave_one_out(tiny, (), (), REGISTRY)


def test_select_takes_names_as_they_are_and_refuses_others(tiny: Path) -> None:
    grid = grid_of(tiny, sketch("without any help", "plugins.auxiliary=null"), seeds=(1, 2))
    assert [cell.seed for cell in select(grid, ["without any help"], grid.cells())] == [1, 2]
    assert select(grid, [], grid.cells())
    with pytest.raises(RecipeError, match="--only without any hlep: no such variant; did you mean 'without any help'"):
        select(grid, ["without any hlep"], grid.cells())


@pytest.mark.parametrize(
    "text",
    [
        *("plugins.auxiliary=null", "plugins.train.lr=0.01", "plugins.network=single"),
        "plugins.extra={use: ./extra.py:Extra, first: {lr: 0.1, milestones: [1, 2]}, weight: null}",
    ],
)
def test_an_edit_reads_as_it_was_written(text: str) -> None:
    (edit,) = read_overrides([text], Problems("test"))
    assert edit_text(edit) == text
