"""What the files of a finished run hold, as far as readers count on it: damage is told before it fails them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

_MOST_TOLD = 5


class _Part(BaseModel):
    """Only what is read is asked for: other versions may have written more."""

    model_config = ConfigDict(strict=True, extra="ignore")


class _Metric(_Part):
    value: float | None


class _TaskRow(_Part):
    task: int
    tasks: int
    classes: int
    top1: float
    accuracies: list[float]


class _Hardware(_Part):
    device: str
    name: str
    threads: int


class _Versions(_Part):
    incrlearn: str
    torch: str


class _Expected(_Part):
    average: float
    source: str
    last: float | None = None
    parameters_average: float | None = None


class SavedResult(_Part):
    """``result.json``."""

    recipe: str
    fingerprint: str
    seed: int
    date: str
    metrics: dict[str, _Metric]
    accuracy_matrix: list[list[float]]
    tasks: list[_TaskRow] = Field(min_length=1)
    expected: _Expected | None
    classes: list[str]
    kinds: dict[str, str]
    data: str
    precision: str
    hardware: _Hardware
    versions: _Versions


class _Row(_Part):
    use: str


class _Data(_Row):
    order: object
    cumulative: bool


class SavedRecipe(_Part):
    """The ``recipe.yaml`` of a run, in which every default is written out."""

    seed: int
    data: _Data
    backbone: dict[str, Any]
    plugins: dict[str, _Row]
    precision: str
    eval_batch: int


def what_is_damaged(model: type[BaseModel], plain: object) -> str:
    """``"classes and tasks.0.top1 are missing or not what they must be"``; empty where nothing is.

    Args:
        model: one of this module.
        plain: the content of the file.
    """
    try:
        model.model_validate(plain)
    except ValidationError as error:
        paths = list(dict.fromkeys(".".join(map(str, detail["loc"])) for detail in error.errors()))
        if not paths[0]:
            return "it is no mapping"
        more = [f"{len(paths) - _MOST_TOLD} others"] if len(paths) > _MOST_TOLD else []
        *first, last = [*paths[:_MOST_TOLD], *more]
        told = f"{', '.join(first)} and {last}" if first else last
        return f"{told} {'are' if first else 'is'} missing or not what {'they' if first else 'it'} must be"
    return ""
