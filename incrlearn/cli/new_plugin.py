"""``incrlearn new-plugin``: a package of one's own with a plug-in that works, to be changed from there."""

from __future__ import annotations

import ast
import builtins
import keyword
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import yaml
from packaging.version import Version

from incrlearn import __version__
from incrlearn.cli.consoles import output_console, say
from incrlearn.cli.starters import STARTERS, python_dict
from incrlearn.errors import OutputError, Problem, RecipeError, did_you_mean

if TYPE_CHECKING:
    from incrlearn.registry import PluginEntry

_LONGEST = 30
"""Characters of a name; lines of the code that is written have room for no more."""
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


@dataclass(frozen=True)
class Names:
    """What things are called in the package of a plug-in named ``name``."""

    name: str

    @property
    def distribution(self) -> str:
        """The project, and by default its folder: ``focal_loss`` becomes ``incrlearn-focal-loss``."""
        return f"incrlearn-{self.name.replace('_', '-')}"

    @property
    def package(self) -> str:
        """What Python imports: ``incrlearn_focal_loss``."""
        return f"incrlearn_{self.name}"

    @property
    def class_name(self) -> str:
        """``FocalLoss``."""
        return "".join(word.capitalize() for word in self.name.split("_"))

    @property
    def recipe(self) -> str:
        """``focal_loss_digits``."""
        return f"{self.name}_digits"


def new_plugin(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="What recipes are to call it: lower-case words, such as focal_loss.")
    ],
    kind: Annotated[str, typer.Option(metavar="KIND", help=f"One of {', '.join(STARTERS)}.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where to write it; by default incrlearn-NAME, right here.")
    ] = None,
) -> None:
    """Write a Python package with a plug-in that works, its tests and a recipe, for you to change."""
    from incrlearn.registry import Registry

    names = Names(name)
    folder = out if out is not None else Path(names.distribution)
    problems = name_problems(names, kind, Registry.discover().entries())
    problems += kind_problems(kind)
    # What a name that cannot be used would be filed under is not worth a look.
    problems += folder_problems(folder) if out is not None or not problems else []
    files = render(names, kind) if not problems else {}
    problems += class_problems(names, kind, files) if files else []
    if problems:
        raise RecipeError(f"new-plugin {name}", [Problem(problem) for problem in problems])
    write(files, folder)
    _tell(names, kind, folder)


def name_problems(names: Names, kind: str, installed: Iterable[PluginEntry]) -> list[str]:
    """Why a plug-in cannot be called so; what to write instead where that is plain."""
    name = names.name
    if not _NAME.fullmatch(name):
        return [f"'{name}' {_what_is_wrong(name)}{_instead(name)}"]
    if len(name) > _LONGEST:
        return [f"'{name}' has {len(name)} characters; write a name of {_LONGEST} at most"]
    owners = [f"'{entry.distribution}'" for entry in installed if entry.name == name]
    if owners:
        return [f"there is a plug-in '{name}' already, from {' and '.join(owners)}; write another name"]
    own = f"{name}_{kind}" if kind in STARTERS else f"my_{name}"
    if keyword.iskeyword(name) or keyword.iskeyword(names.class_name):
        return [f"'{name}' is a word of Python itself; write {own}, for example"]
    # Readers of YAML differ in which of yes, on and null are text.
    if not isinstance(yaml.safe_load(name), str):
        return [f"'{name}' is a value of YAML, no text; write {own}, for example"]
    if name.startswith("test"):
        return [f"'{name}': pytest takes classes that begin with Test for tests; write {own.removeprefix('test_')}"]
    if find_spec(names.package) is not None:
        return [f"'{name}': there is a Python package {names.package} already; write {own}, for example"]
    return []


def kind_problems(kind: str) -> list[str]:
    """Nothing where the kind is known."""
    return [] if kind in STARTERS else [f"--kind: there is no kind '{kind}'{did_you_mean(kind, STARTERS)}"]


def folder_problems(folder: Path) -> list[str]:
    """Why nothing can be written there without touching what is there already."""
    try:
        if folder.is_dir():
            empty = next(folder.iterdir(), None) is None
            return [] if empty else [f"the folder {folder} is there already and not empty; name another one with --out"]
        return [f"{folder} is a file; name a folder with --out"] if folder.exists() else []
    except OSError as error:
        return [f"{folder}: {error.strerror}; name another folder with --out"]


def class_problems(names: Names, kind: str, files: Mapping[str, str]) -> list[str]:
    """Nothing where the class's name is free in the modules that are written."""
    taken = set(dir(builtins)) | {"Config"}
    for path, text in files.items():
        if path.endswith(".py"):
            bound = list(bound_names(text))
            taken |= {word for word in bound if bound.count(word) > 1}
    if names.class_name not in taken:
        return []
    return [
        f"'{names.name}' would make a class {names.class_name}, and the code has another use for that word; "
        f"write {names.name}_{kind}"
    ]


def bound_names(code: str) -> Iterable[str]:
    """The names that a module binds at its top, each as often as it does so."""
    for node in ast.parse(code).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name


def render(names: Names, kind: str) -> dict[str, str]:
    """Every file of the package by its path in the folder."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    # Code and plain text: there is no markup that would want escaping.
    environment = Environment(
        loader=PackageLoader("incrlearn.cli"),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    starter = STARTERS[kind]
    values = {
        **{word: getattr(names, word) for word in ("name", "distribution", "package", "class_name", "recipe")},
        "kind": kind,
        "versions": compatible_versions(__version__),
        "base": starter.base,
        "row": starter.row(names.name),
        "options": python_dict(starter.contract),
        "beside": python_dict(starter.beside),
        "check_options": starter.check_options(),
    }
    templates = {
        f"src/{names.package}/__init__.py": f"{kind}/plugin.py",
        "tests/test_plugin.py": f"{kind}/test_plugin.py",
        "tests/test_contract.py": "test_contract.py",
        f"recipes/{names.recipe}.yaml": "recipe.yaml",
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        ".gitignore": "gitignore",
    }
    files = {
        path: environment.get_template(f"plugin/{template}.j2").render(values) for path, template in templates.items()
    }
    return {**files, f"src/{names.package}/py.typed": ""}


def compatible_versions(version: str) -> str:
    """The versions of incrlearn that a package made with this one goes with: ``>=0.1,<0.2``, or ``>=1.4,<2``.

    Args:
        version: such as ``0.1.0``; a pre-release such as ``0.2.0rc1`` is let in itself.
    """
    own = Version(version)
    lowest = own.public if own.is_prerelease else f"{own.major}.{own.minor}"
    return f">={lowest},<{own.major + 1 if own.major else f'0.{own.minor + 1}'}"


def write(files: Mapping[str, str], folder: Path) -> None:
    """Write the package.

    Raises:
        OutputError: a file cannot be written.
    """
    for path, text in files.items():
        file = folder / path
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="\n")
        except OSError as error:
            raise OutputError(f"{file} cannot be written: {error.strerror}; name another folder with --out") from error


def _what_is_wrong(name: str) -> str:
    strange = list(dict.fromkeys(char for char in name if not re.match("[a-z0-9_]", char)))
    if strange:
        capitals = all("A" <= char <= "Z" for char in strange)
        shown = ", ".join("a space" if char == " " else char for char in strange)
        return f"has {shown} in it: {'lower-case letters' if capitals else 'a-z, 0-9 and single _'} only"
    if not name:
        return "is empty"
    return "must begin with a letter, and have single underscores between its words alone"


def _instead(name: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    plain = re.sub(r"_+", "_", re.sub(r"[^a-z0-9]", "_", words)).strip("_")
    return (
        f"; write {plain}" if _NAME.fullmatch(plain) and len(plain) <= _LONGEST else "; write focal_loss, for example"
    )


def _tell(names: Names, kind: str, folder: Path) -> None:
    console = output_console()
    say(console, f"written to {folder}: a package with the plug-in '{names.name}' of kind {kind}")
    about = {
        f"src/{names.package}/__init__.py": f"the plug-in, class {names.class_name}: change this",
        "tests/": "what must hold of it: its formulas, and the rules that all plug-ins keep",
        f"recipes/{names.recipe}.yaml": "a recipe that uses it",
        "pyproject.toml": "the name by which recipes know it",
        "README.md": "how it is installed, used and tested",
    }
    width = max(map(len, about))
    for path, words in about.items():
        say(console, f"  {path:<{width}}  {words}")
    say(console, "next:")
    here = folder.resolve() == Path.cwd()
    say(console, f'  {"" if here else f"cd {shlex.quote(str(folder))} && "}pip install -e ".[dev]"')
    say(console, "  pytest")
    say(console, f"  incrlearn run recipes/{names.recipe}.yaml")
