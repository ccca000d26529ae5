"""Finished runs read back from disk, and what is no finished run."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from incrlearn import OutputError, Registry, run_recipe
from incrlearn.engine.record import find_runs, is_finished, is_run, read_record
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "one"
    recipe = recipe_from_dict(tiny_recipe(auxiliary=None), Registry.of({"synthetic": SyntheticData}), "tiny")
    run_recipe(recipe, out, device="cpu")
    return out


def test_a_record_tells_the_run(finished: Path) -> None:
    record = read_record(finished)
    assert is_finished(finished)
    assert (record.name, record.seed, len(record.fingerprint)) == ("tiny", 1, 12)
    tops = [row["top1"] for row in record.summary["tasks"]]
    assert record.metric("average") == pytest.approx(sum(tops) / 3)
    assert record.metric("no such number") is None
    assert record.recipe["plugins"]["memory"]["total"] == 18
    assert record.summary["kinds"]["memory"] == "memory"
    assert len(record.summary["data"]) == 64


def test_an_unfinished_run_is_refused_with_the_way_on(tmp_path: Path, finished: Path) -> None:
    (tmp_path / "recipe.yaml").write_text((finished / "recipe.yaml").read_text())
    assert is_run(tmp_path)
    assert not is_finished(tmp_path)
    with pytest.raises(OutputError, match="--resume"):
        read_record(tmp_path)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"no recipe\.yaml"):
        read_record(tmp_path)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ('{"format": 99}', "format 99"),
        ("[]", "format None"),
        ("{", "damaged"),
        ('{"metrics": {}}', "format None"),
        ('{"format": 1}', "result.json: damaged, recipe, .* are missing or not what they must be"),
    ],
)
def test_another_format_and_damage_are_told(tmp_path: Path, finished: Path, result: str, words: str) -> None:
    (tmp_path / "recipe.yaml").write_text((finished / "recipe.yaml").read_text())
    (tmp_path / "result.json").write_text(result)
    with pytest.raises(OutputError, match=words):
        read_record(tmp_path)


def test_a_result_that_lacks_tasks_is_told(tmp_path: Path, finished: Path) -> None:
    (tmp_path / "recipe.yaml").write_text((finished / "recipe.yaml").read_text())
    summary = json.loads((finished / "result.json").read_text())
    for tasks, matrix in (
        (summary["tasks"][:2], summary["accuracy_matrix"]),
        (summary["tasks"], [[1.0]] * 3),
    ):
        (tmp_path / "result.json").write_text(json.dumps({**summary, "tasks": tasks, "accuracy_matrix": matrix}))
        with pytest.raises(OutputError, match="tasks are missing"):
            read_record(tmp_path)


@pytest.mark.parametrize(
    ("file", "path", "value"),
    [
        ("result.json", "classes", ...),
        ("result.json", "expected", ...),
        ("result.json", "expected", {"average": 3.0}),
        ("result.json", "tasks", []),
        ("result.json", "tasks.0.classes", ...),
        ("result.json", "tasks.1.top1", None),
        ("result.json", "hardware.name", ...),
        ("result.json", "metrics.last", 70.0),
        ("result.json", "metrics.last.value", "70"),
        ("result.json", "versions.torch", 2),
        ("recipe.yaml", "data", ...),
        ("recipe.yaml", "data.use", None),
        ("recipe.yaml", "plugins.memory", "herding"),
        ("recipe.yaml", "eval_batch", ...),
    ],
)
def test_damage_is_told_by_its_path(tmp_path: Path, finished: Path, file: str, path: str, value: Any) -> None:
    contents = {
        "result.json": json.loads((finished / "result.json").read_text()),
        "recipe.yaml": yaml.safe_load((finished / "recipe.yaml").read_text()),
    }
    *parents, last = (int(key) if key.isdecimal() else key for key in path.split("."))
    place = contents[file]
    for key in parents:
        place = place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    for name, content in contents.items():
        (tmp_path / name).write_text(json.dumps(content))
    told = rf"{file}: damaged, {path}[\w.]* is missing or not what it must be; move the folder away"
    with pytest.raises(OutputError, match=told):
        read_record(tmp_path)


def test_recipe_that_is_no_mapping_is_told_as_such(tmp_path: Path, finished: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("- seed\n")
    (tmp_path / "result.json").write_text((finished / "result.json").read_text())
    with pytest.raises(OutputError, match=r"recipe\.yaml: damaged, it is no mapping"):
        read_record(tmp_path)


def test_result_of_another_recipe_is_refused_and_what_is_expected_may_be_edited(tmp_path: Path, finished: Path) -> None:
    recipe = yaml.safe_load((finished / "recipe.yaml").read_text())
    (tmp_path / "result.json").write_text((finished / "result.json").read_text())
    expected = {"average": 3.0, "source": "me"}
    (tmp_path / "recipe.yaml").write_text(json.dumps({**recipe, "expected": expected}))
    assert read_record(tmp_path).recipe["expected"] == expected
    fewer = {key: row for key, row in recipe["plugins"].items() if key != "memory"}
    for changes in ({"seed": 77}, {"eval_batch": 3}, {"plugins": fewer}):
        (tmp_path / "recipe.yaml").write_text(json.dumps(recipe | changes))
        with pytest.raises(OutputError, match=r"result\.json was not written with the recipe\.yaml that lies beside"):
            read_record(tmp_path)


def test_runs_are_found_below_a_folder_each_once(finished: Path) -> None:
    assert find_runs([finished.parent, finished]) == {finished.resolve(): None}


def test_a_list_of_runs_stands_for_them(tmp_path: Path, finished: Path) -> None:
    places = [os.path.relpath(finished, tmp_path), "not begun"]
    (tmp_path / "runs.json").write_text(json.dumps({"runs": places}))
    assert find_runs([tmp_path, finished]) == {finished.resolve(): None}
    (tmp_path / "runs.json").write_text(json.dumps({"runs": places, "variants": ["base", "no auxiliary"]}))
    assert find_runs([tmp_path, finished]) == {finished.resolve(): "base"}
    assert find_runs([finished, tmp_path]) == {finished.resolve(): "base"}


@pytest.mark.parametrize("text", ["{", "[]", '{"runs": 3}', '{"runs": [3]}', "{}", '{"runs": ["x"], "variants": []}'])
def test_a_damaged_list_of_runs_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "runs.json").write_text(text)
    with pytest.raises(OutputError, match=r"runs\.json: damaged"):
        find_runs([tmp_path])


def test_all_wrong_folders_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(OutputError) as caught:
        find_runs([tmp_path / "absent", tmp_path])
    assert "no such folder" in str(caught.value)
    assert "no run in it" in str(caught.value)


def test_a_result_is_plain_json(finished: Path) -> None:
    assert json.loads((finished / "result.json").read_text())["format"] == 1
