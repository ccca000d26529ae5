"""A plug-in put into a tiny recipe and trained for real: once through, once stopped and resumed."""

from __future__ import annotations

import traceback
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch

from incrlearn.blame import own_frames
from incrlearn.engine.run import Result, run_recipe
from incrlearn.errors import IncrlearnError
from incrlearn.hooks import HOT, Row, hookimpl
from incrlearn.plugin import Plugin
from incrlearn.recipe import Recipe, recipe_from_dict
from incrlearn.registry import Registry
from incrlearn.testing.places import DEVICE, second_device
from incrlearn.testing.vigil import Vigil
from incrlearn.testing.worlds import SyntheticData, tiny_recipe

Need = Literal["run", "second device", "gpu"]
"""What a rule needs in order to say something: that the plug-in trains, that it does so there."""
KEY = "subject"
"""The plug-in's key in the recipe, unless it stands in for a row that must be there."""
_REPLACED = {"network": "network", "head": "head", "memory": "memory"}
_STOPPED_IN = 2
"""The task in whose midst the second run is stopped."""


@dataclass(frozen=True)
class Subject:
    """What is to be tried."""

    plugin: type[Plugin]
    options: Mapping[str, Any] = field(default_factory=dict)
    beside: Mapping[str, Any] = field(default_factory=dict)
    """Rows of the recipe beside it, such as a head that it needs; None takes one out."""

    @property
    def key(self) -> str:
        """Its key in the recipe: the row that it replaces where there may be one of its kind, else its own."""
        plugin = self.plugin
        if plugin.kind == "loss" and "classification" in plugin.provides:
            return "loss"
        if plugin.kind == "phase":
            return "train" if "training" in plugin.provides else "balance"
        return _REPLACED.get(plugin.kind, KEY)

    @property
    def registry(self) -> Registry:
        """The plug-ins there are, the subject by its key among them."""
        return Registry.of({"synthetic": SyntheticData, KEY: self.plugin})

    @property
    def plain(self) -> dict[str, Any]:
        """A tiny DER recipe with the subject in it, as plain values."""
        row = {"use": KEY, **self._short, **self.options}
        if self.plugin.kind == "data":
            return tiny_recipe(**self.beside) | {"data": {**row, "tasks": 3}}
        return tiny_recipe(**{**self.beside, self.key: row})

    @property
    def _short(self) -> dict[str, Any]:
        """Of the row that it replaces, the options that it has too: a phase would train for the epochs of a paper.

        Options that would go against those that are given are left out: a schedule that does not fit other epochs, a
        budget in another form.
        """
        replaced = tiny_recipe()["plugins"].get(self.key)
        if not isinstance(replaced, dict) or (self.plugin.kind == "memory" and self.options):
            return {}
        short = {**replaced, "milestones": [], "warmup": 0} if self.options else replaced
        return {option: value for option, value in short.items() if option in self.plugin.Config.model_fields}

    @property
    def can_be_left_out(self) -> bool:
        """Whether a recipe need not have a row of its kind."""
        return self.key == KEY and self.plugin.kind != "data"

    def recipe(self) -> Recipe:
        """The tiny recipe, validated.

        Raises:
            RecipeError: it is not valid.
        """
        return recipe_from_dict(self.plain, self.registry, "trial")


class Trial:
    """The runs of one subject, each made when it is first asked for.

    Attributes:
        subject: what is tried.
    """

    def __init__(self, subject: Subject, folder: Path) -> None:
        """Let the runs lie below ``folder``, which is empty."""
        self.subject = subject
        self._folder = folder

    @cached_property
    def failure(self) -> str | None:
        """Why it does not train; None where it does."""
        try:
            _ = self.through
        except Exception as error:
            return tell(error)
        return None

    def reason_to_skip(self, needs: Collection[Need]) -> str | None:
        """Why something that needs this cannot be tried; None where it can."""
        if "gpu" in needs and not torch.cuda.is_available():
            return "there is no GPU here"
        if "run" in needs and self.failure is not None:
            return "it does not train"
        return self._obstacle if "second device" in needs else None

    @property
    def through(self) -> tuple[Result, Vigil]:
        """Three tasks in one go, under watch: on the second device, or on the CPU where it cannot run there."""
        return self._watched[:2]

    @cached_property
    def _watched(self) -> tuple[Result, Vigil, str | None]:
        try:
            return (*self._run(DEVICE), None)
        except Exception as error:
            # What is misplaced is told and not raised. A library may not know a device of this name.
            told = f"on {DEVICE}, which stands for a GPU, it fails, and on cpu it does not: {tell(error)}"
        return (*self._run(torch.device("cpu")), told)

    @property
    def _obstacle(self) -> str | None:
        """Why it does not train on the second device though it does on the CPU; None where it does."""
        return self._watched[2]

    def _run(self, device: torch.device) -> tuple[Result, Vigil]:
        vigil = Vigil(self.subject.key, self.subject.plugin)
        out, recipe = self._folder / f"through {device.index or 0}", self.subject.recipe()
        with second_device(vigil.misplaced) if device == DEVICE else nullcontext():
            return run_recipe(recipe, out, device=device, watchers=[vigil], around=vigil.around), vigil

    @cached_property
    def resumed(self) -> Result:
        """The same, stopped in the middle of its second task and gone on with by new objects."""
        out = self._folder / "resumed"
        with suppress(KeyboardInterrupt):
            run_recipe(self.subject.recipe(), out, device="cpu", watchers=[_Stop()])
        return run_recipe(self.subject.recipe(), out, device="cpu", resume=True)

    def on_gpu(self) -> Result:
        """The same on a GPU, where waiting for it in a hot hook is an error.

        Raises:
            IncrlearnError: it does not run there.
        """
        return run_recipe(self.subject.recipe(), self._folder / "gpu", device="cuda", around=_no_waiting)


class _Stop:
    """Interrupts a run as Ctrl-C would."""

    @hookimpl
    def record(self, row: Row) -> None:
        """Stop after the first epoch of a task."""
        if row["kind"] == "epoch" and row["task"] == _STOPPED_IN:
            raise KeyboardInterrupt


@contextmanager
def _no_waiting(hook: str, label: str, arguments: dict[str, Any]) -> Iterator[None]:  # noqa: ARG001
    torch.cuda.set_sync_debug_mode("error" if hook in HOT else "default")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def tell(error: BaseException) -> str:
    """An error with its notes; with its kind and its line where it is not one that users are meant to read.

    The line is the plug-in's own, even where it was a library that raised.
    """
    words = str(error)
    if not isinstance(error, IncrlearnError):
        own = own_frames(error)
        frames = traceback.extract_tb(own or error.__traceback__)
        last = [frame for frame in frames if own is None or frame.filename == frames[0].filename][-1]
        # Some libraries add a page of advice.
        message = str(error).strip().partition("\n")[0]
        words = f"{type(error).__name__}: {message}; {last.filename}, line {last.lineno}: {last.line}"
    return "; ".join([words, *getattr(error, "__notes__", [])])
