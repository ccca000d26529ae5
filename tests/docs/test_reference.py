"""The reference pages: what tools/reference.py writes now, with every hook, key, option and public name in them."""

import ast
import dataclasses
import importlib
import inspect
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from incrlearn import Passes, Registry, RunState, TaskPasses, Teacher, hooks
from incrlearn.calls import hook_names
from incrlearn.engine.defaults import CoreDefaults
from incrlearn.engine.passes import PhasePasses, RunPasses
from incrlearn.engine.teacher import FrozenTeacher
from incrlearn.hooks import CHANGE_WEIGHTS, HOT, MAKE_WEIGHTS, Hooks
from incrlearn.recipe import recipe_schema

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
API = (REFERENCE / "api.md").read_text(encoding="utf-8")
PAGES = ("hooks.md", "recipes.md", "plugins.md")
PACKAGES = ("incrlearn", "incrlearn.network", "incrlearn.data", "incrlearn.memory", "incrlearn.testing")


@pytest.fixture(scope="module")
def tool() -> Iterator[dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools"))
        yield runpy.run_path(str(ROOT / "tools" / "reference.py"))


@pytest.fixture(scope="module")
def written(tool: dict[str, Any]) -> dict[str, str]:
    return tool["pages"]()


def sections(text: str, level: int) -> dict[str, str]:
    """What stands below each heading of a level, up to the next of it or a higher one."""
    parts = re.split(rf"^#{{2,{level}}} (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def first_cells(text: str) -> list[str]:
    return re.findall(r"^\| `([^`]+)` \|", text, flags=re.MULTILINE)


@pytest.mark.parametrize("name", PAGES)
def test_committed_page_is_what_the_code_gives_now(written: dict[str, str], name: str) -> None:
    assert set(written) == set(PAGES)
    stands = (REFERENCE / name).read_text(encoding="utf-8")
    assert stands == written[name], f"docs/reference/{name} is not what the code says now: run `make reference`"


def test_every_hook_stands_in_the_order_of_the_loop(written: dict[str, str]) -> None:
    assert re.findall(r"^### (\w+)$", written["hooks.md"], flags=re.MULTILINE) == list(hook_names())


@pytest.mark.parametrize("hook", hook_names())
def test_hook_has_its_arguments_types_and_whole_docstring(written: dict[str, str], hook: str) -> None:
    section = sections(written["hooks.md"], 3)[hook]
    signature = inspect.signature(getattr(Hooks, hook))
    told = re.search(r"```python\n(.*?)```", section, flags=re.DOTALL)
    assert told is not None
    stub = ast.parse(f"def {told[1].strip()}: ...").body[0]
    assert isinstance(stub, ast.FunctionDef)
    types = {
        one.name: ast.unparse(ast.parse(one.annotation)) for one in signature.parameters.values() if one.name != "self"
    }
    assert {one.arg: ast.unparse(one.annotation) for one in stub.args.args if one.annotation} == types
    assert stub.returns is not None
    assert ast.unparse(stub.returns) == ast.unparse(ast.parse(signature.return_annotation))
    docstring = inspect.getdoc(getattr(Hooks, hook))
    assert docstring
    assert docstring.replace("``", "`") in section


def test_kind_follows_from_the_specification(tool: dict[str, Any]) -> None:
    assert {tool["kind"](hook) for hook in ("expand", "scores", "memory_quota")} == {"first"}
    assert {tool["kind"](hook) for hook in ("loss_terms", "metrics", "phases")} == {"list"}
    assert {tool["kind"](hook) for hook in ("prepare", "record")} == {"each"}
    assert tool["facts"]("loss_terms") == "**list** · hot: nothing in it may wait for the device"
    assert tool["facts"]("scores") == "**first** · core default"
    assert tool["facts"]("prune") == "**list** · may change weights, in place"


def test_the_loop_tells_the_same_kinds_as_the_specifications(tool: dict[str, Any]) -> None:
    loop = inspect.getdoc(hooks) or ""
    told: dict[str, set[tuple[str, bool]]] = {}
    for hook, kind, rest in re.findall(r"\b(\w+)\([\w, ]+\):? {2,}(first|each|list)\b(.*)", loop):
        told.setdefault(hook, set()).add((kind, "hot" in rest))
    outside = {"explain", "rebuild"}
    assert told == {hook: {(tool["kind"](hook), hook in HOT)} for hook in hook_names() if hook not in outside}
    assert [hook for hook in outside if f"``{hook}(" not in loop] == []


def test_the_loop_calls_every_hook_with_its_arguments() -> None:
    loop = inspect.getdoc(hooks) or ""
    for hook in hook_names():
        arguments = [name for name in inspect.signature(getattr(Hooks, hook)).parameters if name != "self"]
        assert f"{hook}({', '.join(arguments)})" in loop


def test_what_is_said_of_hooks_is_said_of_hooks_that_there_are() -> None:
    assert set(hook_names()) >= HOT | CHANGE_WEIGHTS | MAKE_WEIGHTS
    assert not CHANGE_WEIGHTS & MAKE_WEIGHTS


@pytest.mark.parametrize("hook", hook_names())
def test_docstring_tells_the_answer_of_the_core_where_there_is_one(hook: str) -> None:
    assert ("core's answer" in (inspect.getdoc(getattr(Hooks, hook)) or "")) == hasattr(CoreDefaults, hook)


def test_every_key_of_the_schema_is_told(written: dict[str, str]) -> None:
    schema = recipe_schema(Registry.discover())["properties"]
    told = sections(written["recipes.md"], 2)
    assert first_cells(told["At the top"]) == list(schema)
    backbone = schema["backbone"]["anyOf"][1]["properties"]
    assert first_cells(told["backbone"]) == list(backbone)
    assert first_cells(told["expected"]) == list(schema["expected"]["properties"])
    digits = next(row for row in schema["data"]["anyOf"] if row.get("title") == "digits")
    own = Registry.discover().load("digits", ROOT).Config.model_fields
    assert set(first_cells(told["data"])) == set(digits["properties"]) - set(own)


def test_every_option_of_every_built_in_plugin_is_told_below_its_kind(written: dict[str, str]) -> None:
    registry = Registry.discover()
    by_kind = sections(written["plugins.md"], 2)
    names = [entry.name for entry in registry.entries() if entry.distribution == "incrlearn"]
    assert sorted(re.findall(r"^### (\w+)$", written["plugins.md"], flags=re.MULTILINE)) == sorted(names)
    for name in names:
        plugin = registry.load(name, ROOT)
        assert f"### {name}\n" in by_kind[plugin.kind]
        section = sections(written["plugins.md"], 3)[name]
        assert [cell for cell in first_cells(section) if "." not in cell] == list(plugin.Config.model_fields), name
        assert inspect.cleandoc(plugin.__doc__ or "").replace("``", "`") in section, name


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_has_its_place_on_the_page(package: str) -> None:
    told = re.findall(rf"^::: {re.escape(package)}\.(\w+)$", API, flags=re.MULTILINE)
    assert sorted(told) == sorted(importlib.import_module(package).__all__)


def test_every_name_on_the_page_is_there() -> None:
    for name in re.findall(r"^::: (\S+)$", API, flags=re.MULTILINE):
        module, _, member = name.rpartition(".")
        assert hasattr(importlib.import_module(module), member), name


def test_what_built_in_plugins_import_stands_on_the_page() -> None:
    """Whoever writes the next plug-in needs the same names."""
    for path in sorted((ROOT / "plugins").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "incrlearn":
                missing = [alias.name for alias in node.names if f"::: {node.module}.{alias.name}\n" not in API]
                assert missing == [], f"{path} imports {missing} from {node.module}"


def test_every_hook_has_a_test_of_its_own() -> None:
    """In tests/incrlearn/hooks/, a function whose name begins with ``test_<hook>_``."""
    names = set()
    for path in (ROOT / "tests" / "incrlearn" / "hooks").glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                names.add(node.name)
    without = [hook for hook in hook_names() if not any(name.startswith(f"test_{hook}_") for name in names)]
    assert without == []


def words_told(page: str) -> list[str]:
    """The words of ``needs`` and ``provides`` in the first cells of a page's table."""
    section = next(text for heading, text in sections(page, 2).items() if heading.startswith("Words"))
    return first_cells(section)


def test_every_word_of_built_in_plugins_is_explained_and_none_that_there_is_not(tool: dict[str, Any]) -> None:
    registry = Registry.discover()
    names = [entry.name for entry in registry.entries() if entry.distribution == "incrlearn"]
    plugins = [registry.load(name, ROOT) for name in names]
    there = {word for plugin in plugins for word in {*plugin.needs, *tool["provided_words"](plugin)}}
    explained = words_told((ROOT / "docs" / "hooks.md").read_text(encoding="utf-8"))
    assert explained == sorted(there)


def test_words_that_hang_on_options_are_told_as_such(written: dict[str, str]) -> None:
    rows = dict(re.findall(r"^\| `([\w ]+)` \|(.+)\|$", written["plugins.md"].partition("## Words")[2], flags=re.M))
    assert list(rows) == words_told(written["plugins.md"])
    assert rows["teacher"].split(" | ")[0].strip() == "the engine"
    assert rows["parts"].split(" | ")[0].strip() == "[expandable](#expandable)"
    assert rows["fresh_heads"].split(" | ")[0].strip() == "[sgd](#sgd) (some options)"
    assert "[imprint](#imprint)" in rows["fresh_heads"].split(" | ")[2]


def test_every_attribute_of_the_state_is_told(written: dict[str, str]) -> None:
    section = sections(written["hooks.md"], 2)["What `state` holds, and when"]
    attributes, calls = section.split("| call |")
    assert first_cells(attributes) == [*(field.name for field in dataclasses.fields(RunState)), "network"]
    assert first_cells(calls) == ["state.generator(purpose: str)", "state.seed_for(purpose: str)"]
    assert " |  |" not in section


def given(written: dict[str, str]) -> dict[str, str]:
    """What is told of each class that hooks are given or give."""
    return sections(sections(written["hooks.md"], 2)["What else hooks are given, and give"], 4)


def test_every_class_in_a_hooks_signature_is_told(written: dict[str, str]) -> None:
    signatures = [inspect.signature(getattr(Hooks, hook)) for hook in hook_names()]
    types = {one.annotation for signature in signatures for one in signature.parameters.values()}
    types |= {signature.return_annotation for signature in signatures}
    named = {name for one in types if isinstance(one, str) for name in re.findall(r"\b[A-Z]\w+", one)}
    assert {name for name in named if hasattr(hooks, name)} - {"Any", "None", "RunState", "Sequence"} <= {
        *given(written),
        *("Tensor", "Optimizer", "LRScheduler"),
    }


@pytest.mark.parametrize(
    "name", ["Network", "BranchedNetwork", "Backbone", "Samples", "TaskPasses", "Passes", "Teacher"]
)
def test_every_public_member_of_what_hooks_are_given_is_told(
    written: dict[str, str], tool: dict[str, Any], name: str
) -> None:
    """With the arguments that it has; what it inherits from a class that has a section stands there."""
    kinds = {kind.__name__: (kind, called) for kind, called in tool["GIVEN"].items()}
    kind, called = kinds[name]
    inherited = {member for base in kind.__mro__[1:] if base in tool["GIVEN"] for member in vars(base)}
    own = {member: value for member, value in vars(kind).items() if not member.startswith("_")}
    section = given(written)[name]
    for member, value in own.items():
        if member in inherited or member == "forward":
            continue
        if isinstance(value, property):
            assert f"| `{member}` |" in section
        elif callable(value) or isinstance(value, classmethod):
            arguments = [one for one in inspect.signature(getattr(kind, member)).parameters if one != "self"]
            told = re.search(rf"`(?:{re.escape(called)}|{name})\.{member}\((.*?)\)` \|", section)
            assert told is not None, member
            assert re.findall(r"(\w+): ", told[1]) == arguments


def test_what_is_told_of_passes_and_the_teacher_is_what_the_engine_gives() -> None:
    for protocol, answer in ((TaskPasses, RunPasses), (Passes, PhasePasses), (Teacher, FrozenTeacher)):
        for name, member in vars(protocol).items():
            if inspect.isfunction(member) and (not name.startswith("_") or name == "__call__"):
                assert inspect.signature(member) == inspect.signature(getattr(answer, name)), name


def test_make_backbone_is_told_with_its_argument(written: dict[str, str]) -> None:
    assert given(written)["MakeBackbone"].strip().startswith("`make_backbone(purpose)` gives a new extractor")
