"""A recipe as the engine sees it: frozen, complete, and with a fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from incrlearn.errors import RecipeError
from incrlearn.plugin import Plugin
from incrlearn.recipe.latest import place_to_blame
from incrlearn.recipe.nodes import Place, Problems, dump_yaml
from incrlearn.recipe.options import FORMAT, BackboneOptions, Expected, ScenarioOptions
from incrlearn.recipe.validate import plain_options
from incrlearn.registry import without_folder


@dataclass(frozen=True)
class PluginChoice:
    """One row under ``plugins``."""

    key: str
    """The row's name, such as ``memory``."""
    use: str
    """The plug-in's name, or an absolute ``/path/file.py:Class``."""
    plugin: type[Plugin]
    config: Plugin.Config
    code: str | None = None
    """Digest of its code, see `incrlearn.registry.Registry.code_of`; several joined by ``+`` where a run went on with
    another. None where it is incrlearn's own, only logs, or nothing is known."""

    @property
    def path(self) -> str:
        """Where it stands in a recipe: ``plugins.memory``."""
        return f"plugins.{self.key}"


@dataclass(frozen=True)
class DataChoice:
    """The data set and how its classes arrive."""

    use: str
    """The plug-in's name, or an absolute ``/path/file.py:Class``."""
    plugin: type[Plugin]
    config: Plugin.Config
    scenario: ScenarioOptions
    code: str | None = None
    """As in `PluginChoice`."""

    @property
    def path(self) -> str:
        """Where it stands in a recipe."""
        return "data"


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run, validated; made by `load_recipe` or `recipe_from_dict`."""

    name: str
    """What runs of it are filed under: the file's name, or a shipped recipe's, such as ``quick/der_cifar100``."""
    path: Path | None
    """The file it came from."""
    seed: int
    data: DataChoice
    backbone: BackboneOptions
    plugins: tuple[PluginChoice, ...]
    """In the order in which they are called."""
    precision: Literal["auto", "float32", "bf16"]
    eval_batch: int
    """Images a batch in evaluation and herding."""
    expected: Expected | None
    places: Mapping[str, Place] = field(default_factory=dict, compare=False, repr=False)
    """Where each key was written, by dotted path."""

    def error(self, messages: Sequence[str]) -> RecipeError:
        """What is found wrong later, when the recipe meets its data, at the lines it was written on.

        What was written last in the same section, such as over a recipe that is extended, is told of first.

        Args:
            messages: each beginning with the dotted path to blame and a colon: ``data.tasks: ...``.
        """
        problems = Problems(str(self.path) if self.path is not None else self.name, self.path)
        for message in messages:
            path = message.partition(":")[0]
            while path and path not in self.places:
                path = path.rpartition(".")[0]
            problems.add(place_to_blame(path, message, self.places), message)
        return problems.error()

    def resolved(self) -> dict[str, Any]:
        """Plain values with every default written out, from which the same recipe can be loaded again."""
        scenario = self.data.scenario.model_dump(mode="json", exclude_none=True)
        plain: dict[str, Any] = {
            "format": FORMAT,
            "seed": self.seed,
            "data": {"use": self.data.use, **scenario, **plain_options(self.data.config)},
            "backbone": plain_options(self.backbone),
            "plugins": {choice.key: {"use": choice.use, **plain_options(choice.config)} for choice in self.plugins},
            "precision": self.precision,
            "eval_batch": self.eval_batch,
        }
        if self.expected is not None:
            plain["expected"] = plain_options(self.expected)
        if self.code:
            plain["code"] = dict(self.code)
        return plain

    @property
    def choices(self) -> tuple[DataChoice | PluginChoice, ...]:
        """The data set and the plug-ins."""
        return (self.data, *self.plugins)

    @property
    def code(self) -> Mapping[str, str]:
        """Digests of the code of plug-ins that are not incrlearn's own, by path: ``{plugins.memory: 3f0c...}``."""
        return {choice.path: choice.code for choice in self.choices if choice.code is not None}

    def with_code(self, code: Mapping[str, str]) -> Recipe:
        """The recipe with other digests: a path that is missing in ``code`` has none."""
        return replace(
            self,
            data=replace(self.data, code=code.get(self.data.path)),
            plugins=tuple(replace(choice, code=code.get(choice.path)) for choice in self.plugins),
        )

    def to_yaml(self) -> str:
        """`resolved` as text that `load_recipe` reads back to the same values."""
        return dump_yaml(self.resolved())

    @property
    def fingerprint(self) -> str:
        """12 hexadecimal digits that are equal for recipes that give the same result.

        The order of the plug-ins counts, that of options does not; nor do the name, the format, what is expected, and
        plug-ins that only log. Of a plug-in of a file its class and code count, and not where the file lies.
        """
        plain = self.resolved()
        rows = plain.pop("plugins")
        plain.pop("expected", None)
        plain.pop("format")
        plain["data"] = _wherever(self.data, plain["data"])
        plain["plugins"] = [[c.key, _wherever(c, rows[c.key])] for c in self.plugins if c.plugin.affects_result]
        canonical = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def _wherever(choice: PluginChoice | DataChoice, row: dict[str, Any]) -> dict[str, Any]:
    """A row without the folder of its file, where the code is known."""
    return row if choice.code is None else {**row, "use": without_folder(choice.use)}
