"""A run directory is one run's and, while it trains, one process's."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from incrlearn import OutputError, Registry
from incrlearn.engine.rundir import hold_run_dir, open_run_dir, write_result
from incrlearn.recipe import Recipe, recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe

HOLD = """
import sys, time
from pathlib import Path
from incrlearn.engine.rundir import hold_run_dir
with hold_run_dir(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return recipe_from_dict(tiny_recipe(), Registry.of({"synthetic": SyntheticData}), "tiny")


def test_a_second_process_is_refused_until_the_first_is_dead(tmp_path: Path, recipe: Recipe) -> None:
    out = tmp_path / "run"
    open_run_dir(out, recipe, resume=False)
    with subprocess.Popen([sys.executable, "-c", HOLD, str(out)], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match="another process is training this run"), hold_run_dir(out):
            pass
        with pytest.raises(OutputError, match="another process is training this run"):
            open_run_dir(out, recipe, resume=False)
        first.kill()
        first.wait()
        with hold_run_dir(out):
            pass
    open_run_dir(out, recipe, resume=False)  # it trained nothing
    (out / "metrics.jsonl").touch()
    with pytest.raises(OutputError, match="holds an unfinished run of this recipe; go on with it by --resume, or name"):
        open_run_dir(out, recipe, resume=False)


def test_what_a_folder_holds_already_is_told(tmp_path: Path, recipe: Recipe) -> None:
    open_run_dir(tmp_path, recipe, resume=False)
    (tmp_path / "metrics.jsonl").touch()
    other = replace(recipe, seed=recipe.seed + 1)
    with pytest.raises(OutputError, match="holds another run, of another recipe, seed or options; name another"):
        open_run_dir(tmp_path, other, resume=False)
    write_result(tmp_path, {})
    with pytest.raises(OutputError, match=r"holds a finished run of this recipe, its numbers are in result\.json; to"):
        open_run_dir(tmp_path, recipe, resume=False)
    with pytest.raises(OutputError, match="holds another run"):
        open_run_dir(tmp_path, other, resume=False)


def test_a_run_refused_before_it_trained_anything_leaves_its_folder_free(tmp_path: Path, recipe: Recipe) -> None:
    open_run_dir(tmp_path, recipe, resume=False)
    with hold_run_dir(tmp_path):
        pass
    other = replace(recipe, seed=recipe.seed + 1)
    open_run_dir(tmp_path, other, resume=False)
    assert other.to_yaml() == (tmp_path / "recipe.yaml").read_text()


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path: Path, recipe: Recipe) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(OutputError, match="run is a file, and no folder; name another with --out"):
        open_run_dir(tmp_path / "run", recipe, resume=False)


def test_what_a_full_disk_left_of_a_beginning_is_no_obstacle(tmp_path: Path, recipe: Recipe) -> None:
    (tmp_path / ".recipe.yaml.draft").write_text("")
    open_run_dir(tmp_path, recipe, resume=False)
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path, recipe: Recipe) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="is not empty"):
        open_run_dir(tmp_path, recipe, resume=False)


def test_a_file_in_the_way_is_told(tmp_path: Path, recipe: Recipe) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot be written \(Not a directory\)"):
        open_run_dir(tmp_path / "file" / "run", recipe, resume=False)


def test_a_recipe_that_is_no_text_is_another_one(tmp_path: Path, recipe: Recipe) -> None:
    open_run_dir(tmp_path, recipe, resume=False)
    (tmp_path / "recipe.yaml").write_bytes(b"seed: \xff\xfe")
    with pytest.raises(OutputError, match="the run has another recipe"):
        open_run_dir(tmp_path, recipe, resume=True)


def test_a_run_from_before_an_option_is_gone_on_with_where_its_default_is_asked_for(
    tmp_path: Path, recipe: Recipe
) -> None:
    open_run_dir(tmp_path, recipe, resume=False)
    text = (tmp_path / "recipe.yaml").read_text()
    (tmp_path / "recipe.yaml").write_text(text.replace("    over: all\n", ""))
    assert (tmp_path / "recipe.yaml").read_text() != text
    open_run_dir(tmp_path, recipe, resume=True)
    plain = tiny_recipe(loss={"use": "cross_entropy", "over": "new"}, balance=None)
    other = recipe_from_dict(plain, Registry.of({"synthetic": SyntheticData}), "tiny")
    with pytest.raises(OutputError, match=r"another recipe(.|\n)*-    over: all(.|\n)*\+    over: new"):
        open_run_dir(tmp_path, other, resume=True)
