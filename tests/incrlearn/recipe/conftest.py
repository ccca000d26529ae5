"""What the tests of recipes share: small plug-ins, a good recipe, and a way to write one and read its problems."""

from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field, model_validator

from incrlearn.errors import RecipeError
from incrlearn.plugin import Plugin
from incrlearn.recipe import load_recipe
from incrlearn.registry import Registry


class Images(Plugin):
    """A data set."""

    kind = "data"

    class Config(Plugin.Config):
        flip: bool = False
        """Mirror."""


class Grows(Plugin):
    """A network with parts."""

    kind = "network"
    provides = frozenset({"parts"})

    class Config(Plugin.Config):
        start: Literal["previous", "fresh"] = "previous"


class Fixed(Plugin):
    """A network without."""

    kind = "network"


class Head(Plugin):
    """A head."""

    kind = "head"


class Loss(Plugin):
    """A loss."""

    kind = "loss"
    provides = frozenset({"classification"})


class Auxiliary(Plugin):
    """Needs parts."""

    kind = "loss"
    needs = frozenset({"parts"})

    class Config(Plugin.Config):
        weight: float = Field(1.0, ge=0)


class Memory(Plugin):
    """A memory with a rule over two options."""

    kind = "memory"

    class Config(Plugin.Config):
        total: int | None = Field(None, ge=1)
        per_class: int | None = Field(None, ge=1)

        @model_validator(mode="after")
        def _one(self) -> "Memory.Config":
            if (self.total is None) == (self.per_class is None):
                raise ValueError("give exactly one of total, per_class")
            return self


class Schedule(Plugin.Config):
    lr: float = Field(0.1, gt=0)
    milestones: tuple[int, ...] = (110, 130)


class Train(Plugin):
    """A phase."""

    kind = "phase"

    class Config(Schedule):
        epochs: int = Field(ge=1)
        share: float = Field(0.5, ge=0, le=1)
        scale: tuple[float, float] = (0.5, 1)
        first: Schedule | None = None
        note: str | None = "from the paper"


class Log(Plugin):
    """A logger."""

    kind = "log"
    affects_result = False

    class Config(Plugin.Config):
        file: str = "metrics.jsonl"


class WrongDefaults(Plugin):
    """Its default is outside its own range."""

    class Config(Plugin.Config):
        size: int = Field(0, ge=1)


@pytest.fixture(scope="session")
def plugins() -> dict[str, type[Plugin]]:
    """The small plug-ins by name."""
    return {
        "images": Images,
        "grows": Grows,
        "fixed": Fixed,
        "head": Head,
        "loss": Loss,
        "auxiliary": Auxiliary,
        "memory": Memory,
        "train": Train,
        "log": Log,
        "wrong_defaults": WrongDefaults,
    }


@pytest.fixture(scope="session")
def registry(plugins: dict[str, type[Plugin]]) -> Registry:
    """A registry that knows the small plug-ins and no others."""
    return Registry([], plugins)


@pytest.fixture(scope="session")
def good() -> str:
    """The text of a recipe without a mistake; messages about variants of it name its lines."""
    return Path(__file__).with_name("good.yaml").read_text(encoding="utf-8")


@pytest.fixture
def variant(good: str) -> Any:
    """The good recipe with one text in another's place."""

    def replace(old: str, new: str) -> str:
        assert old in good
        return good.replace(old, new)

    return replace


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Write a recipe file into the test's folder."""

    def write_file(text: str, name: str = "recipe.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


@pytest.fixture
def problems_of(registry: Registry) -> Any:
    """Read a recipe file that must be refused; every problem as a line."""

    def problems(path: Path, *overrides: str) -> list[str]:
        with pytest.raises(RecipeError) as caught:
            load_recipe(path, registry, overrides)
        assert caught.value.exit_code == 2
        return [str(problem) for problem in caught.value.problems]

    return problems
