"""Whether the plug-ins of a recipe fit together: the kinds that must be there, and what each needs."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from incrlearn import hookimpl
from incrlearn.errors import RecipeError, RecipeNotice
from incrlearn.plugin import Plugin
from incrlearn.recipe import load_recipe
from incrlearn.registry import PluginEntry, Registry


def test_needs_are_checked_and_who_provides_is_named(write: Any, problems_of: Any, variant: Any) -> None:
    found = problems_of(write(variant("{use: grows, start: fresh}", "fixed")))
    assert found == ["line 8: plugins.auxiliary needs 'parts', which no plug-in here provides; 'grows' does"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  head: head\n", "", "line 4: plugins: none is of kind 'head', and a recipe needs one; there are 'head'"),
        ("  head: head\n", "  head: head\n  two: head\n", "line 7: plugins: 'head' and 'two' are all of kind 'head'"),
        ("  train: {", "  #: {", "plugins: none is of kind 'phase'"),
    ],
)
def test_kinds_that_must_be_there(write: Any, problems_of: Any, variant: Any, old: str, new: str, message: str) -> None:
    assert any(message in problem for problem in problems_of(write(variant(old, new))))


class Warms(Plugin):
    """Provides a word only with an option."""

    kind = "phase"

    class Config(Plugin.Config):
        warm: bool = False

        def also_provides(self) -> frozenset[str]:
            return frozenset({"heat"}) if self.warm else frozenset()


class Melts(Plugin):
    """Refuses that word unless it is frozen."""

    kind = "log"

    class Config(Plugin.Config):
        frozen: bool = False

        def refuses(self) -> Mapping[str, str]:
            return {} if self.frozen else {"heat": "it would melt; write warm: false there"}


class Cooks(Plugin):
    """Needs it."""

    kind = "log"
    needs = frozenset({"heat"})


@pytest.mark.parametrize(
    ("row", "other", "problem"),
    [
        ("{use: warms, warm: true}", "{use: melts}", "line 11: plugins.log does not go with 'train': it would melt"),
        ("{use: warms, warm: true}", "{use: melts, frozen: true}", None),
        ("{use: warms}", "{use: melts}", None),
        ("{use: warms, warm: true}", "{use: cooks}", None),
        ("{use: warms}", "{use: cooks}", "line 11: plugins.log needs 'heat', which no plug-in here provides"),
    ],
)
def test_words_of_options_are_provided_needed_and_refused(
    write: Any, plugins: dict[str, type[Plugin]], good: str, row: str, other: str, problem: str | None
) -> None:
    registry = Registry([], plugins | {"warms": Warms, "melts": Melts, "cooks": Cooks})
    lines = good.replace("log: log", f"log: {other}").splitlines()
    path: Path = write("\n".join(f"  train: {row}" if "train:" in line else line for line in lines) + "\n")
    if problem is None:
        load_recipe(path, registry)
        return
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, registry)
    (found,) = caught.value.problems
    assert str(found).startswith(problem)


def test_option_that_does_not_go_is_told_at_the_override_that_set_it(
    write: Any, plugins: dict[str, type[Plugin]], good: str
) -> None:
    registry = Registry([], plugins | {"warms": Warms, "melts": Melts})
    lines = good.replace("log: log", "log: melts").splitlines()
    path: Path = write("\n".join("  train: warms" if "train:" in line else line for line in lines) + "\n")
    with pytest.raises(RecipeError, match=r"1 problem\n  --set plugins.train.warm=true: plugins.log does not go with"):
        load_recipe(path, registry, ["plugins.train.warm=true", "seed=3"])


def test_loss_in_a_file_that_may_have_forgotten_what_it_provides_is_named(tmp_path: Path, problems_of: Any) -> None:
    text = "from incrlearn import Plugin\n\n\nclass Own(Plugin):\n    kind = 'network'\n"
    (tmp_path / "own.py").write_text(text)
    good = Path(__file__).with_name("good.yaml").read_text(encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(good.replace("{use: grows, start: fresh}", "./own.py:Own"))
    (problem,) = problems_of(tmp_path / "recipe.yaml")
    hint = "if plugins.network does too, write provides = frozenset({'parts'}) in its class Own"
    assert problem.endswith(f"plugins.auxiliary needs 'parts', which no plug-in here provides; 'grows' does; {hint}")


class Heats(Plugin):
    """Provides that word, misspelt."""

    kind = "phase"
    provides = frozenset({"haet"})


class KnowsIt(Plugin):
    """Needs the other word, which is thus one that goes."""

    needs = frozenset({"haet"})


@pytest.mark.parametrize(
    ("others", "hint"),
    [
        ({}, "plugins.train provides 'haet'; did you mean 'heat'?"),
        ({"knows": KnowsIt}, "nor does any that is installed"),
    ],
)
def test_misspelt_word_that_a_row_provides_is_named(
    write: Any, plugins: dict[str, type[Plugin]], good: str, others: dict[str, type[Plugin]], hint: str
) -> None:
    registry = Registry([], plugins | {"heats": Heats, "cooks": Cooks} | others)
    lines = good.replace("log: log", "log: cooks").splitlines()
    path: Path = write("\n".join("  train: heats" if "train:" in line else line for line in lines) + "\n")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, registry)
    (found,) = caught.value.problems
    assert str(found) == f"line 11: plugins.log needs 'heat', which no plug-in here provides; {hint}"


def test_misspelt_word_is_named_behind_who_provides_it(tmp_path: Path, problems_of: Any) -> None:
    text = "from incrlearn import Plugin\n\n\nclass Own(Plugin):\n    kind = 'network'\n"
    (tmp_path / "own.py").write_text(f"{text}    provides = frozenset({{'part'}})\n")
    good = Path(__file__).with_name("good.yaml").read_text(encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(good.replace("{use: grows, start: fresh}", "./own.py:Own"))
    (problem,) = problems_of(tmp_path / "recipe.yaml")
    assert problem.endswith("'grows' does; plugins.network provides 'part'; did you mean 'parts'?")


def test_words_of_the_row_itself_and_of_built_in_plugins_are_not_misspelt(
    write: Any, problems_of: Any, variant: Any, plugins: dict[str, type[Plugin]]
) -> None:
    class Sparse(Plugin):
        kind = "loss"
        needs = frozenset({"parts"})
        provides = frozenset({"sparts"})

    rows = variant("{use: grows, start: fresh}", "fixed").replace("{use: auxiliary, weight: 2}", "sparse")
    path = write(rows)
    with pytest.raises(RecipeError, match=r"provides; 'grows' does$"):
        load_recipe(path, Registry([], plugins | {"sparse": Sparse}))
    built_in = PluginEntry("heats", "incrlearn", "1", f"{__name__}:Heats")
    registry = Registry([built_in], plugins | {"cooks": Cooks})
    lines = variant("log: log", "log: cooks").splitlines()
    path = write("\n".join("  train: heats" if "train:" in line else line for line in lines) + "\n")
    with pytest.raises(RecipeError, match=r"needs 'heat', which no plug-in here provides; nor does any that"):
        load_recipe(path, registry)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("  network: fixed", "line 3: plugins.auxiliary needs 'parts'"),
        ("  network: null", "line 3: plugins: none is of kind 'network'"),
        ("  seen: log\n  network: null", "line 4: plugins: none is of kind 'network'"),
        ("  network: null\n  other: fixed", "line 3: plugins.auxiliary needs 'parts'"),
        ("  memory: log\n  network: fixed", "line 4: plugins.auxiliary needs 'parts'"),
        ("  first: fixed", "line 3: plugins: 'network' and 'first' are all of kind 'network'"),
    ],
)
def test_what_a_recipe_took_out_of_the_one_that_it_extends_is_told_at_its_line(
    write: Any, problems_of: Any, good: str, rows: str, told: str
) -> None:
    write(good, "base.yaml")
    assert problems_of(write(f"extends: base.yaml\nplugins:\n{rows}\n"))[0].startswith(told)


@pytest.mark.parametrize("override", ["plugins.network=fixed", "plugins.network.use=fixed", "plugins.network=null"])
def test_what_an_override_took_out_is_told_of_it(write: Any, problems_of: Any, variant: Any, override: str) -> None:
    for problem in problems_of(write(variant(", start: fresh", "")), "seed=3", override, "plugins.train.lr=0.5"):
        assert problem.startswith(f"--set {override}: ")


class Counts(Plugin):
    """Answers with a quota, first or not."""

    kind = "memory"

    @hookimpl
    def memory_quota(self) -> int:
        return 1

    @hookimpl
    def make_optimizer(self) -> None:
        return None


class Watches(Plugin):
    """Looks at others' quotas."""

    @hookimpl(wrapper=True)
    def memory_quota(self) -> Any:
        return (yield)


def test_plugin_whose_answer_never_counts_is_told_at_its_line(
    write: Any, plugins: dict[str, type[Plugin]], good: str
) -> None:
    registry = Registry([], plugins | {"counts": Counts, "watches": Watches})
    rows = "  early: watches\n  kept: counts\n  watched: watches\n"
    quiet: Path = write(f"{good.rstrip()}\n{rows}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_recipe(quiet, registry)
    path: Path = write(f"{good.rstrip()}\n{rows}  again: counts\n")
    with pytest.warns(RecipeNotice) as told:
        load_recipe(path, registry)
    (notice,) = told
    assert str(notice.message).startswith("plugins.again: 'kept' comes before it and answers 'memory_quota' too")
    assert path.read_text().splitlines()[notice.lineno - 1] == "  again: counts"


def test_second_loss_that_learns_the_labels_is_told_at_its_line(write: Any, registry: Registry, good: str) -> None:
    path: Path = write(f"{good.rstrip()}\n  focal: loss\n")
    with pytest.warns(RecipeNotice, match=r"plugins.focal provides 'classification' as plugins.loss does") as told:
        load_recipe(path, registry)
    assert path.read_text().splitlines()[told[0].lineno - 1] == "  focal: loss"


class Draws(Plugin):
    """Draws a head anew."""

    kind = "phase"
    provides = frozenset({"drawn"})


class Corrects(Plugin):
    """Corrects a head, which no row below may draw anew."""

    kind = "adjust"

    class Config(Plugin.Config):
        def refuses_below(self) -> Mapping[str, str]:
            return {"drawn": "it draws anew what was corrected"}


def test_a_row_that_undoes_another_must_stand_above_it(write: Any, plugins: dict[str, type[Plugin]], good: str) -> None:
    registry = Registry([], plugins | {"draws": Draws, "corrects": Corrects})
    load_recipe(write(f"{good}  again: draws\n  right: corrects\n"), registry)
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(f"{good}  right: corrects\n  again: draws\n"), registry)
    (found,) = caught.value.problems
    assert found.message == "plugins.right must stand below 'again': it draws anew what was corrected"
