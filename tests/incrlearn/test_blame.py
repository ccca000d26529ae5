"""Whose frames are shown of an error: the plug-in's own, and none where no plug-in is to blame."""

import traceback

import pytest
import torch

from incrlearn import Phase, Plugin, RunState, Task, hookimpl
from incrlearn.blame import own_frames
from incrlearn.calls import Calls
from incrlearn.engine.defaults import CoreDefaults
from incrlearn.types import Samples

STATE = RunState(1, torch.device("cpu"), Task(1, 2, 0, 2), (1, 8, 8))


class Breaks(Plugin):
    """Raises in a function of its own."""

    @hookimpl
    def phases(self) -> Phase:
        return self.broken()

    def broken(self) -> Phase:
        raise ZeroDivisionError("by zero")


def caught(calls: Calls) -> ZeroDivisionError:
    with pytest.raises(ZeroDivisionError) as found:
        calls.phases(STATE)
    return found.value


def test_frames_begin_with_the_hook_of_the_plugin() -> None:
    error = caught(Calls([Breaks("mine", Breaks.Config())]))
    frames = own_frames(error)
    assert [frame.name for frame in traceback.extract_tb(frames)] == ["phases", "broken"]


def test_frames_are_the_same_under_observation() -> None:
    from contextlib import nullcontext

    calls = Calls([Breaks("mine", Breaks.Config())], around=lambda hook, label, arguments: nullcontext())
    assert [frame.name for frame in traceback.extract_tb(own_frames(caught(calls)))] == ["phases", "broken"]


def test_nothing_is_left_out_where_the_core_fails() -> None:
    broken: Samples = None  # type: ignore[assignment]
    with pytest.raises(TypeError) as found:
        Calls([], core=[CoreDefaults()]).select_data(STATE, Phase("train", 1, 2), broken, broken)
    assert own_frames(found.value) is None


def test_nothing_is_left_out_where_no_hook_was_called() -> None:
    with pytest.raises(ZeroDivisionError) as found:
        Breaks("mine", Breaks.Config()).broken()
    assert own_frames(found.value) is None
