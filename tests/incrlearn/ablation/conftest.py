"""A table with known numbers, one seed failed; and a folder with a tiny recipe that any process can train."""

from collections.abc import Callable
from pathlib import Path

import pytest

import incrlearn.testing.worlds
from incrlearn.ablation.table import DEFAULT_COLUMNS, AblationTable, Row, build_table, find_column
from incrlearn.recipe.nodes import dump_yaml
from incrlearn.testing import tiny_recipe

AVERAGES = {"DER": (75.0, 74.0, 76.0), "without pruning": (75.5, 74.75, 77.0), "no auxiliary": (73.0, None, 74.5)}
FAILURE = "failed: task 3: the loss is not finite (nan);\n  try a smaller lr"

TableOf = Callable[..., AblationTable]


def row_of(name: str, averages: tuple[float | None, ...], edits: tuple[str, ...], seeds: tuple[int, ...]) -> Row:
    known = {seed: value for seed, value in zip(seeds, averages, strict=True) if value is not None}
    values = {
        "average": known,
        "last": {seed: value - 10 for seed, value in known.items()},
        "parameters_average": dict.fromkeys(known, 61_650_000.0),
        "parameters_last": dict.fromkeys(known, 112_100_000.0),
        "flops_last": dict.fromkeys(known, 11_160_000_000.0),
        "seconds": {seed: 20_000.0 + 100 * seed for seed in known},
        "latency_last": {seed: 41.0 + seed for seed in known},
    }
    return Row(name, edits, values, {seed: "done" if seed in known else FAILURE for seed in seeds})


@pytest.fixture(scope="session")
def table_of() -> TableOf:
    """A function from the averages by variant, the first of them the base, to their table."""

    def make(
        averages: dict[str, tuple[float | None, ...]] | None = None,
        columns: tuple[str, ...] = DEFAULT_COLUMNS,
        notes: tuple[str, ...] = (),
    ) -> AblationTable:
        averages = averages or AVERAGES
        seeds = tuple(range(1, 1 + len(next(iter(averages.values())))))
        base = next(iter(averages))
        rows = [
            row_of(name, values, () if name == base else (f"plugins.x={number}",), seeds)
            for number, (name, values) in enumerate(averages.items())
        ]
        chosen = [column for name in columns if (column := find_column(name)) is not None]
        return build_table("DER on CIFAR-100, 10 tasks (B0)", base, seeds, chosen, rows, notes)

    return make


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A recipe file whose data any process finds: its plug-in is named by its file."""
    train = {"use": "sgd", "lr": 0.05, "batch": 16, "epochs": 1, "milestones": [], "warmup": 0}
    recipe = tiny_recipe(train=train, balance=None, log={"use": "jsonl"})
    recipe["data"] = {"use": f"{incrlearn.testing.worlds.__file__}:SyntheticData", "tasks": 2, "per_class": 4}
    path = tmp_path / "tiny.yaml"
    path.write_text(dump_yaml(recipe))
    return path
