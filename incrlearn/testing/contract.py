"""The contract as a test class, for the suite of a plug-in's package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from incrlearn.plugin import Plugin
from incrlearn.testing.checks import Check, all_checks
from incrlearn.testing.trial import Subject, Trial


class PluginContract:
    """Inherit it in a test class that names the plug-in, ``class TestFocal(PluginContract): plugin = Focal``.

    The plug-in is put into a tiny DER recipe over synthetic images, in place of the row that there may be one of
    only, and trained on the CPU in seconds: once through under watch, once stopped and resumed.
    """

    plugin: ClassVar[type[Plugin]]
    """The class to try."""
    options: ClassVar[Mapping[str, Any]] = {}
    """Its options in the recipe, where the defaults do not do."""
    beside: ClassVar[Mapping[str, Any]] = {}
    """Other rows of the recipe, such as a head that it needs; None takes one out."""

    _trials: ClassVar[dict[type, Trial]] = {}

    @pytest.fixture
    def trial(self, tmp_path_factory: pytest.TempPathFactory) -> Trial:
        """The runs, made once for all checks of a class."""
        subject = Subject(self.plugin, self.options, self.beside)
        return self._trials.setdefault(type(self), Trial(subject, tmp_path_factory.mktemp("contract")))

    @pytest.mark.parametrize("check", all_checks(), ids=lambda check: check.name)
    def test_contract(self, trial: Trial, check: Check) -> None:
        """What every plug-in has to keep to, rule by rule."""
        reason = trial.reason_to_skip(check.needs)
        if reason is not None:
            pytest.skip(reason)
        problems = check.find(trial)
        if problems:
            pytest.fail("\n".join([f"not so: {check.rule}", *problems]), pytrace=False)
