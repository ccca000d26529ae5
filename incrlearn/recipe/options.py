"""The parts of a recipe that are no plug-in's: scenario, backbone, what is expected, and how a run computes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Count = Annotated[int, Field(ge=1)]
ClassId = Annotated[int, Field(ge=0)]
Value = bool | int | float | str
FORMAT = 1
"""Of recipes; the next number comes when a reader of this one would misunderstand them."""


class Section(BaseModel):
    """A part of a recipe: frozen, unknown options are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class RunOptions(Section):
    """How a run computes."""

    format: Count = FORMAT
    """The form that the recipe is written in; 1 is the only one so far. It may be left out."""
    seed: int = Field(1, ge=0)
    """Seed of every draw of the run."""
    precision: Literal["auto", "float32", "bf16"] = "auto"
    """``auto``: bf16 where the hardware has it, float32 otherwise."""
    eval_batch: Count = 256
    """Images a batch in evaluation and herding."""


class ScenarioOptions(Section):
    """Which classes come when: exactly one of ``tasks``, ``increment`` and ``increments``."""

    classes: Count | None = None
    """How many of the data set's classes, the first of the order; none: all."""
    tasks: Count | None = None
    """How many tasks of equal size."""
    increment: Count | None = None
    """Classes a task."""
    base: Count | None = None
    """Classes of the first task, with ``increment``; none: as many as the others."""
    increments: tuple[Count, ...] | None = Field(None, min_length=1)
    """Classes of each task, one by one."""
    order: ClassId | str | tuple[ClassId, ...] = "seed"
    """``natural``; ``seed``: shuffled by the recipe's seed; a number: shuffled by that seed; a list of class ids; or a
    name that the data set knows, such as ``paper-1``."""
    cumulative: bool = False
    """Each task trains on the data of all classes seen: the joint upper bound."""

    @model_validator(mode="after")
    def _one_form(self) -> ScenarioOptions:
        forms = {"tasks": self.tasks, "increment": self.increment, "increments": self.increments}
        given = [name for name, value in forms.items() if value is not None]
        if len(given) != 1:
            found = f"not {' and '.join(given)}" if given else "none is there"
            raise ValueError(f"give exactly one of tasks, increment, increments; {found}")
        if self.base is not None and self.increment is None:
            raise ValueError(f"base goes with increment, not with {given[0]}")
        return self


class BackboneOptions(Section):
    """The feature extractor: a timm model."""

    name: str = Field(min_length=1)
    """A timm model, such as ``resnet18``."""
    stem: Literal["default", "cifar"] = "default"
    """``cifar``: a 3x3 stride-1 first convolution and no pooling behind it."""
    signed: bool = False
    """Take out the activation at the very end, so that features may be negative, as UCIR and PODNet want it before a
    cosine classifier."""
    pretrained: bool = False
    """Start from timm's pretrained weights."""
    options: dict[str, Value | tuple[Value, ...]] = {}
    """Arguments for the timm model, such as ``{layers: [1, 1, 1, 1]}``."""


class Expected(Section):
    """What the source reports for this recipe; it changes nothing in a run and is not inherited by ``extends``."""

    average: float = Field(ge=0, le=100)
    """Top-1 in percent, mean over all tasks, the first included."""
    source: str
    """Who reports it, and of what."""
    last: float | None = Field(None, ge=0, le=100)
    """Top-1 in percent on all classes after the last task; leave it out where it is not reported."""
    parameters_average: float | None = Field(None, gt=0)
    """Parameters at inference in millions, mean over tasks."""
