"""The commands, run for real in this process: output, exit codes, and that a mistake never gives a traceback."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from incrlearn import OutputError, Registry, __version__
from incrlearn.cli.main import main
from incrlearn.cli.run import default_out, find_unfinished
from incrlearn.recipe import recipe_from_dict

SMALL = """\
# A small one
data: {use: digits, classes: 4, tasks: 2, order: natural}
backbone: {name: resnet18, stem: cifar, options: {layers: [1, 1, 1, 1], channels: [4, 4, 4, 4]}}
precision: float32
plugins:
  network: expandable
  head: linear
  loss: cross_entropy
  auxiliary: auxiliary
  memory: {use: herding, total: 8}
  train: {use: sgd, lr: 0.05, batch: 64, epochs: 2, milestones: [1], warmup: 0}
  balance: {use: balanced_head, epochs: 1, milestones: []}
expected: {average: 90.5, last: 80.25, source: a guess, parameters_average: 0.1}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test stands in its own folder with a small recipe."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SMALL)
    return tmp_path


class Outcome:
    """What a command left."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err
        # Tables wrap: words are compared without the breaks.
        self.words = " ".join(out.split())


@pytest.fixture
def incrlearn(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command line in this process."""

    def run(*arguments: str) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main(arguments)
        text = capsys.readouterr()
        return Outcome(int(left.value.code or 0), text.out, text.err)

    return run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """One whole run in a process of its own."""
    home = tmp_path_factory.mktemp("finished")
    (home / "small.yaml").write_text(SMALL)
    command = [sys.executable, "-m", "incrlearn", "run", "small.yaml", "--device", "cpu", "--out", "out"]
    return home / "out", subprocess.run(command, cwd=home, capture_output=True, text=True, check=False, timeout=300)


def test_run_prints_plain_lines_and_tables_and_leaves_with_0(finished: Any) -> None:
    _, process = finished
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    assert "\x1b" not in process.stdout
    assert max(len(line) for line in process.stdout.splitlines() if line.startswith(("│", "┏"))) <= 80
    assert "task 1/2 train: epoch 1/2, loss " in process.stdout
    assert "task 2/2 balance: epoch 1/1, loss " in process.stdout
    assert "task 2/2: 4 classes, top-1 " in process.stdout


def test_run_prints_the_numbers_of_its_result_beside_what_is_expected(finished: Any) -> None:
    out, process = finished
    result = json.loads((out / "result.json").read_text())
    rows = {
        cells[1].strip(): [cell.strip() for cell in cells[2:-1]]
        for line in process.stdout.splitlines()
        if len(cells := line.split("│")) == 5
    }
    metrics = {name: entry["value"] for name, entry in result["metrics"].items()}
    assert rows["average top-1 (mean over all tasks)"] == [f"{metrics['average']:.2f} %", "90.50 %"]
    assert rows["last top-1 (all classes, after the last task)"] == [f"{metrics['last']:.2f} %", "80.25 %"]
    assert rows["forgetting"] == [f"{metrics['forgetting']:.2f} points", ""]
    assert rows["backward transfer"] == [f"{metrics['backward_transfer']:.2f} points", ""]
    assert rows["parameters, mean over tasks"][1] == "0.10 M"
    assert "expected: a guess" in process.stdout
    assert "every number: out/result.json" in process.stdout


def test_out_that_holds_another_run_is_refused(finished: Any, incrlearn: Any) -> None:
    outcome = incrlearn("run", "small.yaml", "--device", "cpu", "--out", str(finished[0]))
    assert outcome.code == 2
    assert "holds another run" in outcome.err
    assert incrlearn("run", "small.yaml", "--out", str(finished[0]), "--resume").code == 2


def test_check_prints_tasks_sizes_and_backbone(incrlearn: Any) -> None:
    outcome = incrlearn("check", "small.yaml")
    assert outcome.code == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in outcome.out.splitlines() if line[:1] == "│"]
    # 1,797 digits, every fifth of a class for the test: 178, 182, 177 and 183 images of 0, 1, 2 and 3.
    train = [178 - 35, 182 - 36, 177 - 35, 183 - 36]
    assert rows == [
        ["1", "2", "2", str(train[0] + train[1]), "4", "8", "71"],
        ["2", "2", "4", str(train[2] + train[3]), "2", "8", "142"],
    ]
    assert "backbone: resnet18, 0.00 million parameters" in outcome.out


def test_explain_tells_who_answers_in_the_order_of_the_loop(incrlearn: Any) -> None:
    outcome = incrlearn("explain", "small.yaml", "--set", "plugins.balance=null")
    assert outcome.code == 0
    answers = [[cell.strip() for cell in line.split("│")[1:-1]] for line in outcome.out.splitlines() if line[:1] == "│"]
    assert answers[0] == ["expand", "network (expandable)"]
    assert ["loss_terms", "loss (cross_entropy), auxiliary"] in answers
    assert ["scores", "core"] in answers
    hooks = [hook for hook, _ in answers]
    assert hooks.index("grow_head") < hooks.index("phases") < hooks.index("loss_terms") < hooks.index("memory_quota")
    assert "answered by nobody: " in outcome.out


def test_explain_names_a_plugin_from_a_file(incrlearn: Any, folder: Path) -> None:
    (folder / "mine.py").write_text(
        "from incrlearn import Plugin, hookimpl\nclass Mine(Plugin):\n    @hookimpl\n"
        "    def task_end(self, state):\n        pass\n"
    )
    (folder / "child.yaml").write_text("extends: small.yaml\nplugins: {mine: './mine.py:Mine'}\n")
    outcome = incrlearn("explain", "child.yaml")
    assert outcome.code == 0
    assert "│ task_end       │ mine (mine.py:Mine) " in outcome.out


def test_explain_tells_which_channels_have_gates_and_which_have_none(incrlearn: Any, folder: Path) -> None:
    (folder / "child.yaml").write_text("extends: small.yaml\nplugins: {pruning: {use: channel_mask, keep: 0.5}}\n")
    outcome = incrlearn("explain", "child.yaml")
    assert outcome.code == 0
    notes = outcome.out.partition("what is done with the backbone, resnet18:\n")[2].splitlines()
    assert notes[0] == "  64 gates: model.conv1"
    assert "  4 gates: model.layer2.0.conv2, model.layer2.0.downsample.0" in notes
    attention = {"name": "vit_tiny_patch16_224", "stem": "default"}
    options = "backbone.options={img_size: 8, patch_size: 4, depth: 1}"
    sets = [item for key, value in attention.items() for item in ("--set", f"backbone.{key}={value}")]
    outcome = incrlearn("explain", "child.yaml", *sets, "--set", options)
    assert "  3 gates over 576 channels: model.blocks.0.attn.qkv" in outcome.out
    assert "no gates, 192 channels: " in outcome.out
    assert "a layer norm runs over them" in outcome.out


def test_explain_without_the_data_still_tells_the_hooks(incrlearn: Any, folder: Path) -> None:
    outcome = incrlearn("explain", "der_imagenet100_b0", "--data", str(folder))
    assert outcome.code == 0
    assert "│ prune          │ pruning (channel_mask)" in outcome.out
    assert "what is done with the backbone shows only beside the data: " in outcome.out


def test_backbone_without_removable_channels_is_refused_at_its_line(incrlearn: Any, folder: Path) -> None:
    (folder / "child.yaml").write_text("extends: small.yaml\nplugins:\n  pruning: {use: channel_mask, keep: 0.5}\n")
    options = ("--set", "backbone.name=resnet50_gn", "--set", "backbone.options={layers: [1, 1, 1, 1]}")
    outcome = incrlearn("check", "child.yaml", *options)
    assert outcome.code == 2
    assert "line 3: plugins.pruning: no channel of this backbone can be removed exactly" in outcome.err
    assert "Traceback" not in outcome.err


def test_plugins_lists_what_is_installed(incrlearn: Any) -> None:
    outcome = incrlearn("plugins")
    assert outcome.code == 0
    for name in ("expandable", "linear", "herding", "sgd", "digits"):
        assert f"│ {name}" in outcome.out
    assert f"incrlearn {__version__}" in outcome.words


def test_plugins_shows_one_that_cannot_be_loaded(incrlearn: Any, folder: Path, monkeypatch: Any) -> None:
    info = folder / "sad-3.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sad\nVersion: 3.0\n")
    (info / "entry_points.txt").write_text("[incrlearn.plugins]\nsad_loss = sad_module_that_is_not_there:X\n")
    monkeypatch.syspath_prepend(str(folder))
    outcome = incrlearn("plugins")
    assert outcome.code == 0
    assert "sad_loss" in outcome.out
    assert "sad 3.0" in outcome.words
    assert "cannot be used:" in outcome.words
    assert "│ herding" in outcome.out
    assert incrlearn("plugins", "sad_loss").code == 2


def test_plugins_tells_the_options_of_one(incrlearn: Any) -> None:
    outcome = incrlearn("plugins", "auxiliary")
    assert outcome.code == 0
    assert "auxiliary: loss, from incrlearn" in outcome.out
    assert "needs: parts" in outcome.out
    row = next(line for line in outcome.out.splitlines() if line.startswith("│ weight"))
    assert [cell.strip() for cell in row.split("│")][1:5] == ["weight", "float", "1.0", ">= 0"]


def test_plugins_tells_of_one_in_a_file(incrlearn: Any, folder: Path) -> None:
    (folder / "mine.py").write_text("from incrlearn import Plugin\nclass Mine(Plugin):\n    '''My own.'''\n")
    outcome = incrlearn("plugins", "./mine.py:Mine")
    assert outcome.code == 0
    assert "My own." in outcome.out
    assert "no options" in outcome.out


def test_recipes_lists_the_shipped_ones(incrlearn: Any) -> None:
    outcome = incrlearn("recipes")
    assert outcome.code == 0
    row = next(line for line in outcome.out.splitlines() if line.startswith("│ der_cifar100_b0_10 "))
    assert "74.64 %" in row
    assert "│ quick/der_cifar100" in outcome.out


def test_schema_is_json_and_knows_the_plugins(incrlearn: Any, folder: Path) -> None:
    outcome = incrlearn("schema")
    assert outcome.code == 0
    titles = [row.get("title") for row in json.loads(outcome.out)["properties"]["data"]["anyOf"]]
    assert "digits" in titles
    assert incrlearn("schema", "--out", "schema.json").code == 0
    assert json.loads((folder / "schema.json").read_text()) == json.loads(outcome.out)
    assert incrlearn("schema", "--out", "no/such/folder.json").code == 2


@pytest.mark.parametrize(
    ("edit", "arguments", "message"),
    [
        (("expandable", "expandible"), (), "did you mean 'expandable'?"),
        (("lr: 0.05", "lrr: 0.05"), (), "plugins.train.lrr: no such option; did you mean 'lr'?"),
        (("epochs: 2", "epochs: two"), (), "plugins.train.epochs: must be a whole number of at least 1, not 'two'"),
        (("lr: 0.05", "lr: -1"), (), "plugins.train.lr: must be a number above 0, not -1"),
        (("  head: linear", "  head: linear\n  head: linear"), (), "'head' is written twice (first on line 7)"),
        (("[1, 1, 1, 1]", "[1, 1"), (), "not valid YAML"),
        (("name: resnet18", "name: resnet19"), (), "timm has no model named 'resnet19'"),
        (("classes: 4", "classes: 11"), (), "11 classes asked for, but digits has 10"),
        (("tasks: 2", "tasks: 3"), (), "do not split into 3 equal tasks"),
        (("total: 8", "total: 3"), (), "too few exemplars"),
        (("order: natural", "order: papr-1"), (), "no class order named 'papr-1'"),
        (None, ("--set", "plugins.trian.lr=1"), "this recipe has no 'trian' below 'plugins'; did you mean 'train'?"),
        (None, ("--set", "plugins.train.lr=0"), "--set plugins.train.lr=0: must be a number above 0, not 0"),
        (None, ("--set", "data.use=cifar100", "--data", "nowhere"), "cifar100"),
        (None, ("--device", "cuda:77"), "cuda:77"),
        (None, ("--seed", "-1"), "--seed"),
        (None, ("--frobnicate",), "No such option"),
    ],
)
@pytest.mark.parametrize("command", ["run", "check"])
def test_wrong_input_gives_one_clear_message_and_exit_code_2(
    incrlearn: Any,
    folder: Path,
    command: str,
    edit: tuple[str, str] | None,
    arguments: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Where a data set is missing it would be downloaded; a proxy that is not there makes that fail at once.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    if edit is not None:
        assert edit[0] in SMALL
        (folder / "small.yaml").write_text(SMALL.replace(*edit))
    outcome = incrlearn(command, "small.yaml", *arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    assert not list(folder.rglob("result.json"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "der_digit"), "did you mean 'der_digits'?"),
        (("run", "no/such/file.yaml"), "no such file"),
        (("explain", "nothing"), "'incrlearn recipes' lists those that are shipped"),
        (("plugins", "herdin"), "did you mean 'herding'?"),
        (("rnu", "small.yaml"), "No such command"),
        (("run",), "Missing argument"),
        (("run", "small.yaml", "--resume"), "there is no unfinished run of this recipe and seed in runs/small"),
    ],
)
def test_wrong_command_line_is_told(incrlearn: Any, arguments: tuple[str, ...], message: str) -> None:
    outcome = incrlearn(*arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert "Traceback" not in outcome.err


def test_loss_that_is_not_finite_leaves_with_1(incrlearn: Any) -> None:
    outcome = incrlearn("run", "small.yaml", "--device", "cpu", "--set", "plugins.train.lr=1e30")
    assert outcome.code == 1
    assert "no longer finite" in outcome.err or "the loss is" in outcome.err
    assert "Traceback" not in outcome.err


def test_interrupted_run_says_how_to_go_on_and_does(incrlearn: Any, folder: Path) -> None:
    command = [sys.executable, "-m", "incrlearn", "run", "small.yaml", "--device", "cpu", "--seed", "5"]
    # Long enough that a busy machine does not come to the end before it is interrupted.
    command += ["--set", "data.classes=8", "--set", "data.tasks=4", "--set", "plugins.train.epochs=20"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(folder.glob("runs/small/*/checkpoints/task_01")) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    (run_dir,) = folder.glob("runs/small/*")
    assert run_dir.name.endswith("-seed5")
    sets = "--set data.classes=8 --set data.tasks=4 --set plugins.train.epochs=20"
    expected = f"incrlearn run small.yaml {sets} --seed 5 --device cpu"
    assert f"{expected} --resume --out {run_dir.relative_to(folder)}" in out
    outcome = incrlearn(*command[3:], "--resume")
    assert outcome.code == 0
    assert "task 1/4" not in outcome.out
    assert "task 4/4: 8 classes" in outcome.out
    assert (run_dir / "result.json").is_file()


def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys\nfrom incrlearn.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as left:\n    assert not left.code, left.code\n"
        "assert 'torch' not in sys.modules\n"
    )
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
    for arguments in (["--help"], ["run", "--help"], ["--version"], ["recipes"]):
        command = [sys.executable, "-c", code, *arguments]
        process = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60)
        assert process.returncode == 0, process.stderr
        assert process.stdout


def tiny(**changes: Any) -> Any:
    plain = {
        "data": {"use": "digits", "tasks": 5},
        "backbone": "resnet18",
        "plugins": {"network": "single", "head": "linear", "loss": "cross_entropy", "train": "sgd", "log": "jsonl"},
        **changes,
    }
    return recipe_from_dict(plain, Registry.discover(), "tiny")


def test_runs_are_filed_by_recipe_date_and_seed() -> None:
    now = datetime(2026, 11, 21, 9, 5, 7)
    assert default_out(tiny(seed=4), now) == Path("runs/tiny/2026-11-21_09-05-07-seed4")


def test_resume_finds_the_newest_unfinished_run_of_the_same_recipe() -> None:
    recipe = tiny()
    for name, other, is_finished in [
        ("2026-01-01_00-00-00-seed1", recipe, False),
        ("2026-01-02_00-00-00-seed1", recipe, False),
        ("2026-01-03_00-00-00-seed1", recipe, True),
        ("2026-01-04_00-00-00-seed2", tiny(seed=2), False),
    ]:
        run_dir = Path("runs/tiny") / name
        run_dir.mkdir(parents=True)
        (run_dir / "recipe.yaml").write_text(other.to_yaml())
        if is_finished:
            (run_dir / "result.json").write_text("{}")
    broken = Path("runs/tiny/2026-01-05_00-00-00-seed1")
    broken.mkdir()
    (broken / "recipe.yaml").write_text("plugins: [")
    assert find_unfinished(recipe) == Path("runs/tiny/2026-01-02_00-00-00-seed1")
    assert find_unfinished(tiny(seed=2)) == Path("runs/tiny/2026-01-04_00-00-00-seed2")
    with pytest.raises(OutputError, match=r"no unfinished run.*unfinished runs of other settings or seeds: .*seed2"):
        find_unfinished(tiny(seed=3))
