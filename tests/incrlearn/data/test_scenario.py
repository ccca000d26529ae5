"""Class orders and tasks."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incrlearn.data import ArrayImages, Source, Split, make_scenario
from incrlearn.data.scenario import Scenario
from incrlearn.errors import RecipeError
from incrlearn.recipe import ScenarioOptions
from incrlearn.testing import SyntheticData


def source(classes: int = 10) -> Source:
    return SyntheticData("synthetic", SyntheticData.Config(patterns=classes, per_class=4)).open(Path())


def uneven() -> Source:
    """Four classes with 1, 2, 3 and 4 training images."""
    whole = source(4)
    kept = [class_id * 4 + image for class_id in range(4) for image in range(class_id + 1)]
    return replace(whole, train=Split(ArrayImages(whole.train.images.pixels[kept]), whole.train.labels[kept]))


def scenario(available: int = 10, seed: int = 1, **options: object) -> Scenario:
    return make_scenario(ScenarioOptions.model_validate(options), source(available), seed)


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({"tasks": 5}, [2, 2, 2, 2, 2]),
        ({"increment": 5}, [5, 5]),
        ({"base": 6, "increment": 2}, [6, 2, 2]),
        ({"increments": [5, 1, 1, 3]}, [5, 1, 1, 3]),
        ({"tasks": 2, "classes": 6}, [3, 3]),
    ],
)
def test_increments_as_asked_for(options: dict[str, object], sizes: list[int]) -> None:
    made = scenario(**options)
    assert [task.new for task in made.tasks] == sizes
    assert [task.number for task in made.tasks] == list(range(1, len(sizes) + 1))
    assert [task.known for task in made.tasks] == [sum(sizes[:i]) for i in range(len(sizes))]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": 3}, "do not split into 3 equal tasks"),
        ({"base": 5, "increment": 2}, "do not add up to 10 classes"),
        ({"increments": [5, 4]}, "add up to 9, but there are 10 classes"),
        ({"tasks": 2, "classes": 12}, "12 classes asked for, but synthetic has 10"),
        ({"tasks": 2, "order": "revers"}, "did you mean 'reverse'"),
        ({"tasks": 2, "order": [0, 0, 99]}, r"not \[99\]"),
    ],
)
def test_what_does_not_add_up_is_told(options: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        scenario(**options)


def test_all_problems_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        scenario(tasks=3, order="papr", classes=12)
    assert len(caught.value.problems) == 3


def test_orders_by_name_by_list_and_natural() -> None:
    assert scenario(tasks=2, order="reverse").order == tuple(range(9, -1, -1))
    assert scenario(tasks=2, order="natural").order == tuple(range(10))
    assert scenario(tasks=2, order=[3, 1, 2, 0]).order == (3, 1, 2, 0)
    assert scenario(tasks=2, order="reverse").class_names[0] == "pattern 9"


def test_seeded_orders_follow_their_seed() -> None:
    by_recipe = [scenario(tasks=2, seed=seed).order for seed in (1, 1, 2)]
    fixed = [scenario(tasks=2, seed=seed, order=7).order for seed in (1, 2)]
    assert by_recipe[0] == by_recipe[1] != by_recipe[2]
    assert fixed[0] == fixed[1]
    assert sorted(by_recipe[0]) == list(range(10))


@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_tasks_split_the_data_without_rest_or_overlap(sizes: list[int], seed: int) -> None:
    made = scenario(available=sum(sizes), seed=seed, increments=sizes)
    parts = [made.training_samples(task) for task in made.tasks]
    indices = [int(i) for part in parts for i in part.indices]
    assert sorted(indices) == list(range(4 * sum(sizes)))
    for task, part in zip(made.tasks, parts, strict=True):
        assert set(part.labels.tolist()) == set(range(task.known, task.seen))
        for index, label in zip(part.indices.tolist(), part.labels.tolist(), strict=True):
            assert made.source.train.labels[index] == made.order[label]


def test_images_that_have_come_are_counted_by_label() -> None:
    made = make_scenario(ScenarioOptions(tasks=2, order=[2, 0, 1, 3]), uneven(), 1)
    assert [made.arrived(task) for task in made.tasks] == [(3, 1), (3, 1, 2, 4)]
    joint = make_scenario(ScenarioOptions(tasks=2, order=[2, 0, 1, 3], cumulative=True), uneven(), 1)
    assert [joint.arrived(task) for task in joint.tasks] == [(3, 1), (3, 1, 2, 4)]


def test_test_samples_are_of_all_classes_seen() -> None:
    made = scenario(base=4, increment=3)
    assert [set(made.test_samples(task).labels.tolist()) for task in made.tasks] == [set(range(k)) for k in (4, 7, 10)]


def test_cumulative_trains_on_all_classes_seen() -> None:
    made = scenario(base=4, increment=3, cumulative=True)
    assert [len(made.training_samples(task)) for task in made.tasks] == [16, 28, 40]
