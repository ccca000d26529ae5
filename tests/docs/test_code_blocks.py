"""The code in the docs: Python runs, recipes and ablations load, commands are ones that there are."""

import re
import runpy
import shlex
import shutil
import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
import yaml

from incrlearn import Registry, load_recipe, run_recipe
from incrlearn.ablation.file import read_grid
from incrlearn.cli.main import make_app
from incrlearn.recipe import find_recipe

ROOT = Path(__file__).parents[2]
SIGNATURES = ROOT / "docs" / "reference" / "hooks.md"
"""Its blocks are no programs; tests/docs/test_reference.py reads them."""
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
TRIED = ("python", "yaml", "sh", "toml")
PRINTED = ("text", "")
"""What a program prints, or code of none."""
SHORT = ["plugins.train.epochs=1", "plugins.train.milestones=[]", "plugins.train.warmup=0", "data.classes=4"]
SHORT += ["data.tasks=2", "plugins.balance=null", "plugins.pruning=null"]


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: Path
    line: int
    language: str
    text: str
    file: str
    """The file that the paragraph before it names, if any."""

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def find_blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for match in re.finditer(r"^( *)```(\w*)\n(.*?)^\1```$", text, flags=re.DOTALL | re.MULTILINE):
        paragraph = text[: match.start()].rstrip().rpartition("\n\n")[2]
        named = re.findall(r"`([\w/-]+\.(?:py|yaml|toml))`", paragraph)
        line = text.count("\n", 0, match.start()) + 1
        code = textwrap.dedent(match[3])
        found.append(Block(page, line, match[2], code, named[-1] if named else ""))
    return found


BLOCKS = [block for page in PAGES for block in find_blocks(page)]


def blocks_of(language: str) -> list[Block]:
    return [block for block in BLOCKS if block.language == language and block.page != SIGNATURES]


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.discover()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a reader of the docs stands: among the recipes; what is imported from there is forgotten afterwards."""
    shutil.copytree(ROOT / "recipes", tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def write_files(folder: Path, page: Path) -> None:
    """The files that a page tells its reader to write."""
    for block in find_blocks(page):
        if block.file.endswith(".py") and block.language == "python":
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.text, encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_is_of_a_language_that_is_tried(page: Path) -> None:
    assert [str(block) for block in find_blocks(page) if block.language not in (*TRIED, *PRINTED)] == []
    fences = re.findall(r"^ *```", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(fences) == 2 * len(find_blocks(page)), "a block is open, or its end is not below its beginning"


@pytest.mark.parametrize("block", blocks_of("python"), ids=str)
def test_python_runs(block: Block, folder: Path, registry: Registry) -> None:
    """Where it reads a run, a short one of digits lies there; ``images`` are digits."""
    write_files(folder, block.page)
    for run in re.findall(r'"(runs/[^"]+)"', block.text):
        run_recipe(load_recipe(ROOT / "recipes" / "der_digits.yaml", registry, SHORT), folder / run, device="cpu")
    (folder / "block.py").write_text(block.text, encoding="utf-8")
    runpy.run_path("block.py", init_globals={"images": torch.zeros(2, 1, 8, 8)}, run_name="block")


@pytest.mark.parametrize("block", blocks_of("yaml"), ids=str)
def test_yaml_is_a_recipe_or_an_ablation_that_loads(block: Block, folder: Path, registry: Registry) -> None:
    """A recipe of which only some parts are shown gets the others."""
    write_files(folder, block.page)
    keys = yaml.safe_load(block.text).keys()
    parts = {"data": "data: {use: digits, tasks: 5}", "backbone": "backbone: resnet18"}
    missing = [] if "extends" in keys else [line for key, line in parts.items() if key not in keys]
    path = folder / "block.yaml"
    path.write_text("\n".join([block.text, *([] if "base" in keys else missing)]), encoding="utf-8")
    if "base" in keys:
        assert read_grid(str(path), (), (), registry).variants
    else:
        assert load_recipe(path, registry).plugins


@pytest.mark.parametrize("block", blocks_of("toml"), ids=str)
def test_toml_is_toml(block: Block) -> None:
    assert tomllib.loads(block.text)


def command_lines(block: Block) -> list[list[str]]:
    """The words of each command, without variables before it and comments behind it."""
    lines = block.text.replace("\\\n", " ").replace("&&", "\n").splitlines()
    commands = [shlex.split(line, comments=True) for line in lines]
    for words in commands:
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
            words.pop(0)
    return [words for words in commands if words]


@pytest.mark.parametrize("block", blocks_of("sh"), ids=str)
def test_commands_can_be_given(block: Block, registry: Registry) -> None:
    for program, *words in command_lines(block):
        assert program in PROGRAMS, f"{block}: teach this test what '{program}' may be given"
        PROGRAMS[program](words, registry)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_that_sentences_name_are_there(page: Path) -> None:
    commands = {*parsers().commands, "--help", "--version", "..."}
    named = re.findall(r"`(?:[A-Z_]+=\S+ )?incrlearn ([^\s`]+)", page.read_text(encoding="utf-8"))
    assert [name for name in named if name not in commands] == []


def parsers() -> Any:
    return typer.main.get_command(make_app())


def give_to_incrlearn(words: list[str], registry: Registry) -> None:
    """The parser takes it; recipes that it names are there, and its edits reach something."""
    given: dict[str, Any] = {}
    command = parsers()
    for one in each_command(command):
        one.callback = lambda name=one.name, **options: given.update(options, command=name)
    command.main(words, prog_name="incrlearn", standalone_mode=False)
    recipe, edits = given.get("recipe", ""), given.get("overrides") or ()
    if given["command"] == "ablate" and not recipe.endswith(".yaml"):
        read_grid(recipe, edits, (), registry)
    elif recipe and not recipe.endswith(".yaml"):
        load_recipe(find_recipe(recipe), registry, edits, given["seed"])
    elif given["command"] in ("show", "check") and ".py:" not in given.get("name", ".py:"):
        registry.load(given["name"], ROOT)


def each_command(command: Any) -> list[Any]:
    inner = getattr(command, "commands", {}).values()
    return [command, *(one for sub in inner for one in each_command(sub))]


def give_to_make(words: list[str], registry: Registry) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert set(words) <= set(targets)


def give_to_pip(words: list[str], registry: Registry) -> None:
    """Extras are those of this project, or ``dev`` of a package that ``new-plugin`` has written."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = re.findall(r"\[([\w,]+)\]", " ".join(words))
    assert words[0] in ("install", "wheel")
    assert {one for extra in extras for one in extra.split(",")} <= {*project["optional-dependencies"], "dev"}


def give_to_python(words: list[str], registry: Registry) -> None:
    assert (ROOT / words[0]).is_file(), f"there is no {words[0]}"


def need_nothing(words: list[str], registry: Registry) -> None:
    pass


PROGRAMS: dict[str, Callable[[list[str], Registry], None]] = {
    "cd": need_nothing,
    "incrlearn": give_to_incrlearn,
    "make": give_to_make,
    "pip": give_to_pip,
    "pytest": need_nothing,
    "python": give_to_python,
}
