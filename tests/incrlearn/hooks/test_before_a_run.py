"""Hooks that are asked before anything is trained."""

from typing import Any

import pytest
import torch

from incrlearn import Plugin, PluginError, RecipeError, Registry, hookimpl
from incrlearn.engine.plan import make_plan
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe
from incrlearn.types import Backbone


class Tells(Plugin):
    """Says that it is there."""

    kind = "other"

    @hookimpl
    def explain(self, backbone: Backbone) -> list[str]:
        return [f"{self.name} sees {backbone.width} features", "and goes on"]


class Refuses(Plugin):
    """Cannot work with any backbone."""

    kind = "other"

    @hookimpl
    def explain(self) -> list[str]:
        raise PluginError(f"plugins.{self.name}: not with this backbone")


def plan_with(**rows: object) -> Any:
    registry = Registry.of({"synthetic": SyntheticData, "tells": Tells, "refuses": Refuses})
    return make_plan(recipe_from_dict(tiny_recipe(**rows), registry, "tiny"))


def test_explain_is_asked_once_before_the_run_about_a_backbone_that_reads_the_images(heard: Any) -> None:
    (call,) = heard.of("explain")
    assert heard.calls.index(call) < heard.calls.index(heard.of("expand")[0])
    assert call.given["image_shape"] == (1, 8, 8)
    backbone = call.given["backbone"]
    assert backbone(torch.zeros(2, 1, 8, 8)).shape == (2, backbone.width)


def test_explain_lines_come_in_the_order_of_the_recipe() -> None:
    notes = plan_with(one="tells", two="tells").notes
    assert notes == ["one sees 8 features", "and goes on", "two sees 8 features", "and goes on"]


def test_explain_refuses_the_recipe_before_it_trains_with_all_its_other_problems() -> None:
    with pytest.raises(RecipeError) as caught:
        plan_with(one="refuses", memory={"use": "random", "total": 3})
    told = [problem.message for problem in caught.value.problems]
    assert "plugins.one: not with this backbone" in told
    assert len(told) == 2
