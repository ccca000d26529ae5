"""``incrlearn new-plugin``: ten packages that pass their own tests where a user installs them; what is refused."""

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from incrlearn import __version__
from incrlearn.cli.new_plugin import Names, compatible_versions, render
from incrlearn.cli.starters import STARTERS

ROOT = Path(__file__).parents[3]
WITHOUT_TORCH = """
import sys
from incrlearn.cli.main import main

for kind in sys.argv[1:]:
    try:
        main(["new-plugin", f"my_{kind}", "--kind", kind])
    except SystemExit as left:
        assert not left.code, left.code
assert "torch" not in sys.modules
"""
"""Writes a package of each kind; nobody should wait for torch in order to begin one."""
FROM_A_WARM_PROCESS = """
import json, os, runpy, sys
import pytest, torch_pruning
import incrlearn.cli.main, incrlearn.network, incrlearn.testing.trial

def run(folder, module, arguments, log):
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        os.chdir(folder)
        for stream in (1, 2):
            os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as left:
        code = int(left.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

print(json.dumps([run(*job) for job in json.load(sys.stdin)]))
"""
"""Runs ``python -m module arguments`` in each folder, in processes that need not load torch again."""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A package of each kind, as the command writes it."""
    folder = tmp_path_factory.mktemp("packages")
    subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *STARTERS], cwd=folder, check=True, capture_output=True)
    return {kind: folder / f"incrlearn-my-{kind}" for kind in STARTERS}


@pytest.fixture(scope="module")
def outcomes(
    packages: dict[str, Path], make_environment: Callable[[], Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], tuple[int, str]]:
    """By kind and what was run (tests, show, check): exit code and what was printed, all packages being installed."""
    environment = make_environment()
    environment.install(*packages.values())
    logs = tmp_path_factory.mktemp("logs")
    jobs = {}
    for kind, package in packages.items():
        for what, module, arguments in (
            # What is loaded already cannot be rewritten by pytest, which it says of plug-ins of its own.
            ("tests", "pytest", ["-q", "-W", "ignore::pytest.PytestAssertRewriteWarning"]),
            ("show", "incrlearn", ["plugins", f"my_{kind}"]),
            ("check", "incrlearn", ["check", f"recipes/my_{kind}_digits.yaml"]),
        ):
            jobs[kind, what] = (str(package), module, arguments, str(logs / f"{kind}-{what}"))
    done = subprocess.run(
        [environment.python, "-c", FROM_A_WARM_PROCESS],
        input=json.dumps(list(jobs.values())),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    codes = json.loads(done.stdout)
    return {
        key: (code, Path(job[3]).read_text(encoding="utf-8"))
        for (key, job), code in zip(jobs.items(), codes, strict=True)
    }


def test_every_kind_of_a_built_in_can_be_begun() -> None:
    folders = (ROOT / "plugins" / "incrlearn_plugins").glob("*/__init__.py")
    assert set(STARTERS) == {file.parent.name for file in folders}


@pytest.mark.parametrize("kind", STARTERS)
def test_suite_of_the_package_passes_untouched(kind: str, outcomes: Any) -> None:
    code, printed = outcomes[kind, "tests"]
    assert code == 0, printed
    assert "passed" in printed
    assert "warning" not in printed


@pytest.mark.parametrize("kind", STARTERS)
def test_installed_plugin_is_shown_with_its_options(kind: str, outcomes: Any) -> None:
    code, printed = outcomes[kind, "show"]
    assert code == 0, printed
    assert f"my_{kind}: {kind}, from incrlearn-my-{kind} 0.1.0" in printed
    assert "│ " in printed


@pytest.mark.parametrize("kind", STARTERS)
def test_recipe_passes_the_check(kind: str, outcomes: Any) -> None:
    code, printed = outcomes[kind, "check"]
    assert code == 0, printed
    assert f"my_{kind}_digits, seed 1" in printed


def test_option_that_was_renamed_in_the_plugin_alone_is_told_in_a_few_lines(incrlearn: Any, folder: Path) -> None:
    assert incrlearn("new-plugin", "softer", "--kind", "loss", "--out", "softer").code == 0
    source = folder / "softer" / "src"
    module = source / "incrlearn_softer" / "__init__.py"
    code = module.read_text(encoding="utf-8")
    renamed = code.replace("smoothing: float = ", "share: float = ").replace("config.smoothing", "config.sheer")
    module.write_text(renamed, encoding="utf-8")
    # What an installer leaves beside a package.
    about = source / "incrlearn_softer-0.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: incrlearn-softer\nVersion: 0.1.0\n")
    (about / "entry_points.txt").write_text("[incrlearn.plugins]\nsofter = incrlearn_softer:Softer\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/test_contract.py", "-k", "recipe or trains"],
        cwd=folder / "softer",
        env={**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "softer_digits.yaml: 1 problem\n  line 4: plugins.loss.smoothing: no such option" in done.stdout
    assert (
        "not so: three tasks are trained with it\nAttributeError: 'Config' object has no attribute 'sheer'; "
        in done.stdout
    )
    assert f"{module}, line " in done.stdout
    # Where continuous integration runs, pytest repeats each message in full below this line.
    told, _, _ = done.stdout.partition("short test summary info")
    assert len(told.splitlines()) < 10, done.stdout


def complaints(folder: Path) -> str:
    """What ruff has to say of the packages below a folder, each under its own configuration."""
    said = ""
    for command in (["check", "--quiet"], ["format", "--diff", "--quiet"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", str(folder)]
        done = subprocess.run(ruff, capture_output=True, text=True, check=False)
        said += done.stdout + done.stderr
    return said


def test_packages_are_clean_under_their_own_configuration(packages: dict[str, Path]) -> None:
    assert complaints(packages["loss"].parent) == ""


@pytest.mark.parametrize("name", ["a", "a" * 15 + "_" + "b" * 14])
def test_code_is_clean_whatever_room_the_name_takes(name: str, tmp_path: Path) -> None:
    for kind in STARTERS:
        for path, text in render(Names(name), kind).items():
            file = tmp_path / kind / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    assert complaints(tmp_path) == ""


def test_next_commands_are_told_for_the_folder_that_was_asked_for(incrlearn: Any, folder: Path) -> None:
    outcome = incrlearn("new-plugin", "focal", "--kind", "loss", "--out", "my work/focal")
    assert outcome.code == 0
    after = outcome.out.partition("next:")[2].splitlines()
    install, test, run = [line.strip() for line in after if line.strip()]
    assert shlex.split(install) == ["cd", "my work/focal", "&&", "pip", "install", "-e", ".[dev]"]
    assert test == "pytest"
    package = folder / "my work" / "focal"
    assert (package / shlex.split(run)[2]).is_file()
    for line in outcome.out.partition("next:")[0].splitlines()[1:]:
        assert (package / line.split()[0]).exists(), line


def test_an_empty_folder_is_written_to_and_not_left(incrlearn: Any, folder: Path, monkeypatch: Any) -> None:
    (folder / "empty").mkdir()
    monkeypatch.chdir(folder / "empty")
    outcome = incrlearn("new-plugin", "focal", "--kind", "loss", "--out", ".")
    assert outcome.code == 0
    assert '  pip install -e ".[dev]"' in outcome.out.splitlines()
    assert (folder / "empty" / "src" / "incrlearn_focal" / "__init__.py").is_file()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("focal-loss", "'focal-loss' has - in it: a-z, 0-9 and single _ only; write focal_loss"),
        ("FocalLoss", "'FocalLoss' has F, L in it: lower-case letters only; write focal_loss"),
        ("null", "'null' is a value of YAML, no text; write null_loss, for example"),
        ("on", "'on' is a value of YAML, no text; write on_loss, for example"),
        ("my loss!", "'my loss!' has a space, ! in it: a-z, 0-9 and single _ only; write my_loss"),
        ("größe", "'größe' has ö, ß in it: a-z, 0-9 and single _ only; write gr_e"),
        ("2nd_loss", "'2nd_loss' must begin with a letter, and have single underscores between its words alone; write"),
        ("loss_", "must begin with a letter, and have single underscores between its words alone; write loss"),
        ("", "'' is empty; write focal_loss, for example"),
        ("a" * 31, "has 31 characters; write a name of 30 at most"),
        ("herding", "there is a plug-in 'herding' already, from 'incrlearn'; write another name"),
        ("lambda", "'lambda' is a word of Python itself; write lambda_loss, for example"),
        ("none", "'none' is a word of Python itself; write none_loss, for example"),
        ("plugins", "there is a Python package incrlearn_plugins already; write plugins_loss, for example"),
        ("test_time", "pytest takes classes that begin with Test for tests; write time_loss"),
        ("batch", "'batch' would make a class Batch, and the code has another use for that word; write batch_loss"),
        ("value_error", "would make a class ValueError, and the code has another use for that word; write value_"),
    ],
)
def test_name_that_cannot_be_used_is_refused(incrlearn: Any, folder: Path, name: str, message: str) -> None:
    outcome = incrlearn("new-plugin", "--kind", "loss", "--", name)
    assert outcome.code == 2
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    assert [path.name for path in folder.iterdir()] == ["small.yaml"]


def test_name_that_is_proposed_is_taken(incrlearn: Any) -> None:
    for name in ("focal-loss", "FocalLoss", "batch", "test_time", "lambda"):
        refused = incrlearn("new-plugin", name, "--kind", "loss")
        proposed = refused.err.rpartition("write ")[2].split(",")[0].strip()
        assert incrlearn("new-plugin", proposed, "--kind", "loss", "--out", f"for {name}").code == 0, proposed


def test_all_problems_are_told_at_once(incrlearn: Any, folder: Path) -> None:
    outcome = incrlearn("new-plugin", "herding", "--kind", "los", "--out", str(folder))
    assert outcome.code == 2
    assert "new-plugin herding: 3 problems" in outcome.err
    assert "there is a plug-in 'herding' already, from 'incrlearn'" in outcome.err
    assert "--kind: there is no kind 'los'; did you mean 'loss'?" in outcome.err
    assert f"the folder {folder} is there already and not empty; name another one with --out" in outcome.err


def test_kinds_are_named_where_none_is_close(incrlearn: Any) -> None:
    outcome = incrlearn("new-plugin", "focal", "--kind", "xyz")
    assert outcome.code == 2
    assert f"there is no kind 'xyz'; known: {', '.join(sorted(STARTERS))}" in outcome.err


def test_second_package_of_a_name_does_not_touch_the_first(incrlearn: Any, folder: Path) -> None:
    assert incrlearn("new-plugin", "focal", "--kind", "loss").code == 0
    code = folder / "incrlearn-focal" / "src" / "incrlearn_focal" / "__init__.py"
    code.write_text("mine")
    outcome = incrlearn("new-plugin", "focal", "--kind", "head")
    assert outcome.code == 2
    assert "the folder incrlearn-focal is there already and not empty" in outcome.err
    assert code.read_text() == "mine"


def test_folder_that_cannot_be_made_is_told(incrlearn: Any, folder: Path) -> None:
    for out in ("small.yaml", "small.yaml/below"):
        outcome = incrlearn("new-plugin", "focal", "--kind", "loss", "--out", out)
        assert outcome.code == 2
        assert "small.yaml" in outcome.err
        assert "--out" in outcome.err
        assert "Traceback" not in outcome.err


def test_files_that_the_docs_and_the_readme_name_are_written(packages: dict[str, Path]) -> None:
    tutorial = (ROOT / "docs" / "first-plugin.md").read_text(encoding="utf-8")
    readme = (packages["loss"] / "README.md").read_text()
    for page, name in ((tutorial, "focal"), (readme, "my_loss")):
        named = [path for path in re.findall(r"^\| `([^`]+)` \|", page, flags=re.MULTILINE) if "." in path]
        assert len(named) == 5
        assert not set(named) - set(render(Names(name), "loss"))


def test_only_public_modules_are_imported(packages: dict[str, Path]) -> None:
    public = {"incrlearn", "incrlearn.network", "incrlearn.memory", "incrlearn.data", "incrlearn.testing"}
    for package in packages.values():
        for file in package.rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "incrlearn":
                    assert node.module in public, file


@pytest.mark.parametrize(
    ("version", "range_"),
    [("0.1.0", ">=0.1,<0.2"), ("0.9.3", ">=0.9,<0.10"), ("1.4.2", ">=1.4,<2"), ("0.2.0rc1", ">=0.2.0rc1,<0.3")],
)
def test_package_asks_for_the_versions_it_goes_with(version: str, range_: str) -> None:
    assert compatible_versions(version) == range_
    assert f'"incrlearn{compatible_versions(__version__)}"' in render(Names("focal"), "loss")["pyproject.toml"]
