"""Held-out samples: what never trains, what is kept of it, and what plug-ins see of it."""

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from incrlearn import (
    Batch,
    HeldOut,
    Output,
    Phase,
    Plugin,
    PluginError,
    Registry,
    Result,
    RunState,
    Samples,
    hookimpl,
    run_recipe,
)
from incrlearn.data import Loader
from incrlearn.engine import run as engine_run
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe


class Validates(Plugin):
    """Holds out every fourth image of the new data."""

    kind = "other"

    class Config(Plugin.Config):
        share: float = 0.34

    config: Config
    quotas: ClassVar[list[tuple[int, tuple[int, ...] | None]]] = []

    @hookimpl
    def hold_out(self, state: RunState, new: Samples, quota: tuple[int, ...] | None) -> HeldOut:
        assert torch.equal(state.new.indices, new.indices)
        self.quotas.append((state.task.number, quota))
        return HeldOut(torch.arange(0, len(new), 4), self.config.share)


class Broken(Plugin):
    """Holds out what cannot be."""

    kind = "other"

    class Config(Plugin.Config):
        positions: tuple[int, ...]
        share: float = 0.1

    config: Config

    @hookimpl
    def hold_out(self) -> HeldOut:
        return HeldOut(torch.tensor(self.config.positions), self.config.share)


class Sees:
    """Notes what is on the state in each task, and what is ranked."""

    def __init__(self) -> None:
        self.during: dict[int, tuple[Samples, Samples, Samples]] = {}
        self.after: dict[int, tuple[Samples, Samples]] = {}

    @hookimpl
    def prepare(self, state: RunState) -> None:
        self.during[state.task.number] = (state.new, state.memory, state.held_out)

    @hookimpl
    def task_end(self, state: RunState) -> None:
        self.after[state.task.number] = (state.memory, state.held_out)


REGISTRY = Registry.of({"synthetic": SyntheticData, "validates": Validates, "broken": Broken})


def run(out: Path, *watchers: object, resume: bool = False, **rows: Any) -> Result:
    recipe = recipe_from_dict(tiny_recipe(**rows), REGISTRY, "tiny")
    return run_recipe(recipe, out, device="cpu", watchers=watchers, resume=resume)


def members(samples: Samples) -> set[int]:
    assert len(set(samples.indices.tolist())) == len(samples)
    return set(samples.indices.tolist())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run whose plug-ins hold out, with all images that any phase trained on by task."""
    seen: dict[int, set[int]] = {}
    current: list[RunState] = []

    class Recording:
        """The loader of the run, which notes what training asks for."""

        def __init__(self, loader: Loader) -> None:
            self.plain = loader.plain
            self._train = loader.train

        def train(self, samples: Samples, *args: Any, **kwargs: Any) -> Any:
            seen.setdefault(current[-1].task.number, set()).update(samples.indices.tolist())
            return self._train(samples, *args, **kwargs)

    class Now:
        @hookimpl
        def prepare(self, state: RunState) -> None:
            current.append(state)

    sees, make = Sees(), engine_run.make_loader
    patch = pytest.MonkeyPatch()
    patch.setattr(engine_run, "make_loader", lambda *args: Recording(make(*args)))
    Validates.quotas.clear()
    result = run(tmp_path_factory.mktemp("held") / "run", sees, Now(), validates="validates")
    patch.undo()
    return result, sees, seen, list(Validates.quotas)


def test_what_is_held_out_never_trains(trained: Any) -> None:
    _, sees, seen, _ = trained
    ever_held_out: set[int] = set()
    for task in (1, 2, 3):
        new, memory, held_out = sees.during[task]
        ever_held_out |= members(held_out)
        assert seen[task] == members(new) | members(memory)
        assert not seen[task] & ever_held_out
    # Two classes of 20 images a task, ten of them held out.
    assert len(ever_held_out) == 30


def test_each_image_is_new_or_held_out(trained: Any) -> None:
    _, sees, _, _ = trained
    for task in (1, 2, 3):
        new, memory, held_out = sees.during[task]
        own = held_out.take(held_out.labels >= 2 * (task - 1))
        assert len(members(new) | members(own)) == len(new) + len(own) == 40
        assert set(held_out.labels.tolist()) == set(range(2 * task))
        assert set(memory.labels.tolist()) == set(range(2 * task - 2))


def test_quota_counts_both_parts_and_keeps_prefixes_of_them(trained: Any) -> None:
    result, sees, _, _ = trained
    assert [row["exemplars"] for row in result.summary["tasks"]] == [18, 16, 18]
    # Quotas of 9, 4 and 3 with a share of 0.34: 3, 1 and 1 are held out.
    for task, part, quota in ((1, 3, 9), (2, 1, 4), (3, 1, 3)):
        memory, held_out = sees.after[task]
        assert torch.bincount(held_out.labels).tolist() == [part] * 2 * task
        assert torch.bincount(memory.labels).tolist() == [quota] * 2 * task
        assert members(held_out) < members(memory)
    for task in (1, 2):
        # What trains and what is held out in the next task is what was chosen here.
        memory, held_out = sees.after[task]
        _, old, held_out_next = sees.during[task + 1]
        assert members(old) == members(memory) - members(held_out)
        assert members(held_out) <= members(held_out_next)
    first, second = sees.after[1][1], sees.after[2][1]
    for label in (0, 1):
        assert second.of_class(label).indices.tolist() == first.of_class(label).indices.tolist()[:1]


def test_exemplars_come_from_their_own_part(trained: Any) -> None:
    _, sees, _, _ = trained
    for task in (1, 2, 3):
        new, _, held_out = sees.during[task]
        memory, held_out_after = sees.after[task]
        own = held_out_after.take(held_out_after.labels >= 2 * (task - 1))
        assert members(own) <= members(held_out)
        training = members(memory.take(memory.labels >= 2 * (task - 1))) - members(own)
        assert training <= members(new)


def test_quota_told_is_that_of_the_classes_known(trained: Any) -> None:
    assert trained[3] == [(1, (9, 9)), (2, (9, 9)), (3, (4, 4, 4, 4))]


def test_without_a_memory_nothing_is_kept(tmp_path: Path) -> None:
    sees = Sees()
    Validates.quotas.clear()
    run(tmp_path / "run", sees, validates="validates", memory=None, balance=None)
    assert {quota for _, quota in Validates.quotas} == {None}
    assert [len(sees.during[task][2]) for task in (1, 2, 3)] == [10, 10, 10]
    assert [len(part) for part in sees.after[3]] == [0, 0]


class PowerCut:
    @hookimpl
    def prepare(self, state: RunState) -> None:
        if state.task.number == 3:
            raise KeyboardInterrupt


def comparable(result: Result) -> list[dict[str, Any]]:
    wall_times = {"seconds", "latency_ms"}
    return [{k: v for k, v in row.items() if k not in wall_times} for row in result.summary["tasks"]]


def test_resumed_run_holds_out_the_same(trained: Any, tmp_path: Path) -> None:
    through, sees, _, _ = trained
    again = Sees()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", PowerCut(), validates="validates")
    resumed = run(tmp_path / "run", again, resume=True, validates="validates")
    assert comparable(resumed) == comparable(through)
    for found, wanted in zip(again.during[3] + again.after[3], sees.during[3] + sees.after[3], strict=True):
        assert torch.equal(found.indices, wanted.indices)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({"positions": [0, 0]}, "distinct positions from 0 to 39"),
        ({"positions": [40]}, "distinct positions from 0 to 39"),
        ({"positions": [0], "share": 1.0}, "a share from 0 to below 1; got 1.0"),
        ({"positions": list(range(20))}, r"leaves no image of the classes \[\d\]"),
    ],
)
def test_what_cannot_be_held_out_is_refused(tmp_path: Path, rows: dict[str, Any], words: str) -> None:
    with pytest.raises(PluginError, match=words):
        run(tmp_path / "run", broken={"use": "broken", **rows})


class Mistaken(Plugin):
    """Gives positions where a HeldOut is wanted."""

    kind = "other"

    @hookimpl
    def hold_out(self) -> Any:
        return torch.arange(3)


def test_other_answers_are_refused(tmp_path: Path) -> None:
    registry = Registry.of({"synthetic": SyntheticData, "mistaken": Mistaken})
    recipe = recipe_from_dict(tiny_recipe(mistaken="mistaken"), registry, "tiny")
    with pytest.raises(
        PluginError, match=r"plugins.mistaken: hold_out must give a HeldOut .*; got a tensor \(3,\) of int64"
    ):
        run_recipe(recipe, tmp_path / "run", device="cpu")


class Plain(Plugin):
    """A phase whose images are not augmented."""

    kind = "phase"

    @hookimpl
    def phases(self) -> Phase:
        return Phase(self.name, 2, 40, augment=False)

    @hookimpl
    def make_optimizer(self, phase: Phase, groups: list[dict[str, Any]]) -> Any:
        if phase.name != self.name:
            return None
        optimizer = torch.optim.SGD(groups, lr=0.0)
        return optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer)


class Images:
    """Notes the images of each step of the first task, sorted so that their order does not matter."""

    def __init__(self) -> None:
        self.found: dict[str, list[list[list[float]]]] = {}

    @hookimpl
    def loss_terms(self, state: RunState, batch: Batch, out: Output) -> None:
        assert state.phase is not None
        if state.task.number == 1 and len(batch) == len(out.logits) == 40:
            self.found.setdefault(state.phase.name, []).append(sorted(batch.images.flatten(1).tolist()))


def test_phase_without_augmentation_sees_the_images_as_they_are(tmp_path: Path) -> None:
    images = Images()
    registry = Registry.of({"synthetic": SyntheticData, "plain": Plain})
    train = {"use": "sgd", "lr": 0.05, "batch": 40, "epochs": 2, "milestones": [1], "warmup": 0}
    rows = {"network": {"use": "single"}, "auxiliary": None, "balance": None, "train": train, "plain": "plain"}
    run_recipe(
        recipe_from_dict(tiny_recipe(**rows), registry, "tiny"), tmp_path / "run", device="cpu", watchers=[images]
    )
    first, second = images.found["plain"]
    assert first == second
    augmented, again = images.found["train"]
    assert augmented != again
    assert augmented != first
