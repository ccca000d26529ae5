"""``incrlearn recipes`` and ``schema``: what recipes there are, and what may stand in one."""

import json
from pathlib import Path
from typing import Any


def test_recipes_lists_the_shipped_ones(incrlearn: Any) -> None:
    outcome = incrlearn("recipes")
    assert outcome.code == 0
    row = next(line for line in outcome.out.splitlines() if line.startswith("│ der_cifar100_b0_10 "))
    assert "74.64 %" in row
    assert "│ quick/der_cifar100" in outcome.out


def test_recipes_about_something_are_listed_alone(incrlearn: Any) -> None:
    rows = [line for line in incrlearn("recipes", "BiC", "digits").out.splitlines() if line.startswith("│ ")]
    assert [row.split()[1] for row in rows if row.split()[1] != "│"] == ["bic_digits"]
    ablations = incrlearn("recipes", "ablations/der_digits")
    assert "│ recipe" not in ablations.out
    assert "make the table of one: incrlearn ablate ablations/der_digits\n" in ablations.out


def test_recipes_about_nothing_are_told(incrlearn: Any) -> None:
    outcome = incrlearn("recipes", "quick", "xyz")
    assert (outcome.code, outcome.out) == (2, "")
    assert "no recipe and no ablation has 'quick xyz' in its name or description" in outcome.err


def test_schema_is_json_and_knows_the_plugins(incrlearn: Any, folder: Path) -> None:
    outcome = incrlearn("schema")
    assert outcome.code == 0
    titles = [row.get("title") for row in json.loads(outcome.out)["properties"]["data"]["anyOf"]]
    assert "digits" in titles
    assert incrlearn("schema", "--out", "schema.json").code == 0
    assert json.loads((folder / "schema.json").read_text()) == json.loads(outcome.out)
    assert incrlearn("schema", "--out", "no/such/folder.json").code == 2
