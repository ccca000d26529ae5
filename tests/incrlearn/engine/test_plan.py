"""What is told of the exemplars before a run, and which memories are refused."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from incrlearn import Plugin, RecipeError, Registry, Task, hookimpl
from incrlearn.engine.plan import Plan, make_plan
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe


class Quotas(Plugin):
    """Keeps what its options say after each task, of tasks of two classes with 20 images."""

    kind = "memory"
    provides = frozenset({"exemplars"})

    class Config(Plugin.Config):
        after: tuple[int | tuple[int, ...], ...]

    config: Config

    @hookimpl
    def memory_quota(self, task: Task, arrived: tuple[int, ...], seed: int) -> int | Sequence[int]:
        assert arrived == (20,) * task.seen
        assert seed == 5
        return self.config.after[task.number - 1]

    @hookimpl
    def rank_exemplars(self, features: Tensor, quota: int) -> Tensor:
        return torch.arange(min(quota, len(features)))


def plan_of(*after: int | tuple[int, ...]) -> Plan:
    plain: dict[str, Any] = tiny_recipe(memory={"use": "quotas", "after": [*after]}) | {"seed": 5}
    plain["data"] = {"use": "synthetic", "tasks": 3, "order": "natural"}
    return make_plan(recipe_from_dict(plain, Registry.of({"synthetic": SyntheticData, "quotas": Quotas}), "tiny"))


def test_exemplars_are_told_class_by_class_and_in_all() -> None:
    rows = plan_of(6, (6, 5, 30, 1), (5, 5, 20, 1, 2, 2)).rows
    assert [row.exemplars_per_class for row in rows] == [(6, 6), (6, 5, 30, 1), (5, 5, 20, 1, 2, 2)]
    # A class of 20 images cannot have 30.
    assert [row.exemplars for row in rows] == [12, 32, 35]


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (
            [3, 1, 0],
            "too few exemplars: none would be left of each of the 6 classes seen in task 3; give at least 6 in all",
        ),
        (
            [3, (3, 0, 3, 0), 0],
            "too few exemplars: with seed 5 none of the 6 kept after task 2 would be of 'pattern 1', 'pattern 3'; give "
            "more in all, or a memory that keeps the same number of each class",
        ),
        (
            [3, (3, 4, 5, 5), 3],
            "4 exemplars of 'pattern 1' are to be kept after task 2, and after task 1 only 3: what is gone does not "
            "come back; memory_quota must not grow",
        ),
    ],
)
def test_memory_that_cannot_be_kept_is_refused(after: list[int | tuple[int, ...]], words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        plan_of(*after)
    assert [problem.message for problem in caught.value.problems] == [f"plugins.memory: {words}"]


def test_growing_number_of_a_class_that_has_no_more_images_is_no_growth() -> None:
    assert [row.exemplars for row in plan_of(20, 25, 30).rows] == [40, 80, 120]


@pytest.mark.parametrize("answer", [(3, 3, 3), -1, (3, -1)])
def test_answer_of_another_form_is_refused(answer: int | tuple[int, ...]) -> None:
    with pytest.raises(RecipeError, match=r"one number of exemplars, 0 or more, for all classes, or 2 of them"):
        plan_of(answer, 1, 1)
