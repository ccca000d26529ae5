"""The plug-ins of docs/hooks.md at work: each trains, and does what its sentence says."""

import runpy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from incrlearn import Plugin, Row, RunState, hookimpl, load_network, run_recipe
from incrlearn.testing.trial import Subject
from tests.docs.test_docs import ROOT, code_blocks

BESIDE: dict[str, dict[str, Any]] = {"Fresh": {"auxiliary": None}}
"""Rows of the tiny recipe that do not go with an example."""
NAMES = ("Halfway", "KeepLogits", "Looks", "Fresh", "Weighted", "PlainHead", "Quieter")


@dataclass(frozen=True)
class Ran:
    """A finished run."""

    run_dir: Path
    tasks: list[dict[str, Any]]
    epochs: list[Row]
    key: str
    """The example's key in the recipe."""


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, type[Plugin]]:
    """The classes by name."""
    folder = tmp_path_factory.mktemp("examples")
    found = {}
    for number, block in enumerate(code_blocks(ROOT / "docs" / "hooks.md", "python")):
        path = folder / f"block_{number}.py"
        path.write_text(block, encoding="utf-8")
        names = runpy.run_path(str(path), run_name=path.stem)
        found |= {name: value for name, value in names.items() if getattr(value, "__module__", "") == path.stem}
    return found


class Rows:
    """Keeps the rows of epochs."""

    def __init__(self) -> None:
        self.epochs: list[Row] = []

    @hookimpl
    def record(self, row: Row) -> None:
        if row["kind"] == "epoch":
            self.epochs.append(row)


def run(plugin: type[Plugin], folder: Path, name: str = "") -> Ran:
    """Three tasks of the tiny recipe with a plug-in."""
    subject, rows = Subject(plugin, beside=BESIDE.get(name, {})), Rows()
    result = run_recipe(subject.recipe(), folder / "run", device="cpu", watchers=[rows])
    return Ran(result.run_dir, result.summary["tasks"], rows.epochs, subject.key)


def test_every_example_is_tried_here(examples: dict[str, type[Plugin]]) -> None:
    assert tuple(examples) == NAMES


def test_features_halfway_between_images_have_a_loss_beside_the_others(
    examples: dict[str, type[Plugin]], tmp_path: Path
) -> None:
    ran = run(examples["Halfway"], tmp_path)
    assert {ran.key in row["terms"] for row in ran.epochs if row["phase"] == "train"} == {True}


def test_logits_are_kept_from_the_second_task_on(examples: dict[str, type[Plugin]], tmp_path: Path) -> None:
    ran = run(examples["KeepLogits"], tmp_path)
    assert {row["task"] for row in ran.epochs if ran.key in row["terms"]} == {2, 3}


def test_looks_tells_numbers_of_each_task(examples: dict[str, type[Plugin]], tmp_path: Path) -> None:
    for row in run(examples["Looks"], tmp_path).tasks:
        assert row["feature_length"] > 0
        assert 0 < row["top1_training"] <= 100


def test_a_fresh_network_has_one_extractor_in_every_task(examples: dict[str, type[Plugin]], tmp_path: Path) -> None:
    ran = run(examples["Fresh"], tmp_path, "Fresh")
    registry = Subject(examples["Fresh"]).registry
    networks = [load_network(ran.run_dir, task, registry=registry) for task in (1, 2, 3)]
    assert [network.widths for network in networks] == [(8,)] * 3
    assert len({float(next(network.parameters()).detach().sum()) for network in networks}) == 3


def test_weights_follow_what_each_phase_trains_on(examples: dict[str, type[Plugin]], tmp_path: Path) -> None:
    seen: dict[tuple[int, str], int] = {}
    weighted: Any = examples["Weighted"]

    class Noting(weighted):  # type: ignore[misc]
        """Weighted, with a note of how many different weights there are in each phase."""

        @hookimpl
        def phase_start(self, state: RunState) -> None:
            assert state.phase is not None
            seen[state.task.number, state.phase.name] = len(set(self.weights.tolist()))

    run(Noting, tmp_path)
    assert seen[1, "train"] == 1
    assert seen[2, "train"] == 2
    assert {seen[task, "balance"] for task in (2, 3)} == {1}


def test_a_phase_of_the_head_alone_sees_plain_images(examples: dict[str, type[Plugin]], tmp_path: Path) -> None:
    augments: dict[str, set[bool]] = {}
    plain: Any = examples["PlainHead"]

    class Noting(plain):  # type: ignore[misc]
        """PlainHead, with a note of the phases as they come."""

        @hookimpl
        def phase_start(self, state: RunState) -> None:
            assert state.phase is not None
            augments.setdefault(state.phase.name, set()).add(state.phase.augment)

    run(Noting, tmp_path)
    assert augments == {"train": {True}, "balance": {False}}


def test_terms_count_half_in_the_first_epoch_of_a_phase_with_all_terms(
    examples: dict[str, type[Plugin]], tmp_path: Path
) -> None:
    for row in run(examples["Quieter"], tmp_path).epochs:
        share = 0.5 if row["epoch"] == 1 and row["phase"] == "train" else 1.0
        assert row["loss"] == pytest.approx(share * sum(row["terms"].values()), rel=1e-5)
