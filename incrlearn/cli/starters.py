"""What ``incrlearn new-plugin`` begins each kind of plug-in with: the recipe it goes into, and the options it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

Plain = int | float | None


@dataclass(frozen=True)
class Starter:
    """A plug-in to begin with, beside its templates in ``templates/plugin/<kind>``."""

    base: str
    """The shipped recipe that its own extends."""
    key: str
    """Its row there, under ``plugins``; ``data`` is the data set."""
    options: Mapping[str, Plain]
    """Its options there."""
    contract: Mapping[str, Plain] = field(default_factory=dict)
    """Its options in the tiny recipe of the contract, where the defaults do not do."""
    beside: Mapping[str, Plain] = field(default_factory=dict)
    """Other rows of that recipe, where it does not go with them."""

    def row(self, name: str) -> str:
        """The lines of a recipe that use it under the name that it was given."""
        options = "".join(f", {option}: {yaml_word(value)}" for option, value in self.options.items())
        row = f"{self.key}: {{use: {name}{options}}}"
        return row if self.key == "data" else f"plugins:\n  {row}"

    def check_options(self) -> str:
        """What ``incrlearn plugins check NAME`` needs behind the name."""
        settings = [f" --set {option}={yaml_word(value)}" for option, value in self.contract.items()]
        return "".join([*settings, *(f" --beside {row}={yaml_word(value)}" for row, value in self.beside.items())])


def yaml_word(value: Plain) -> str:
    """A value as a recipe has it."""
    return "null" if value is None else str(value)


def python_dict(values: Mapping[str, Plain]) -> str:
    """Values as Python code in a formatter's style; empty for none."""
    return "{" + ", ".join(f'"{key}": {value!r}' for key, value in values.items()) + "}" if values else ""


STARTERS: Mapping[str, Starter] = MappingProxyType(
    {
        "network": Starter("replay_digits", "network", {"freeze": 1}, beside={"auxiliary": None}),
        "head": Starter("der_digits", "head", {"scale": 2.0}),
        "loss": Starter("der_digits", "loss", {"smoothing": 0.1}),
        "prune": Starter("der_digits", "pruning", {"keep": 0.5, "after": 0.6}),
        "memory": Starter("der_digits", "memory", {"total": 40, "core": 0.8}, contract={"total": 18}),
        "phase": Starter("replay_digits", "cooldown", {"epochs": 10, "lr": 0.01}, contract={"epochs": 1}),
        "adjust": Starter("replay_digits", "shorten", {"limit": 1.0}),
        "score": Starter("replay_digits", "scores", {"share": 0.5}),
        "data": Starter("der_digits", "data", {"noise": 50}, contract={"angles": 6, "per_class": 20}),
        "log": Starter("der_digits", "table", {"digits": 2}),
    }
)
"""By kind, in the order in which `Plugin.kind` tells them."""
