"""The example packages, as a stranger installs them: beside a wheel of incrlearn, on public interfaces alone."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import incrlearn
import incrlearn.data
import incrlearn.memory
import incrlearn.network
import incrlearn.testing

EXAMPLES = sorted(path.parent for path in (Path(__file__).parents[2] / "examples").glob("*/pyproject.toml"))
PUBLIC = {module.__name__: module for module in (incrlearn, incrlearn.data, incrlearn.network, incrlearn.testing)}


def test_there_is_a_loss_and_a_network() -> None:
    assert [path.name for path in EXAMPLES] == ["balanced_softmax", "memo"]


def test_tests_of_the_examples_pass_where_incrlearn_is_a_wheel(
    make_environment: Callable[[], Any], tmp_path: Path
) -> None:
    environment = make_environment()
    packages = [Path(shutil.copytree(example, tmp_path / example.name)) for example in EXAMPLES]
    environment.install(*packages)
    for package in packages:
        said = environment.run("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=package)
        assert " passed" in said
        where = environment.run("-c", f"import incrlearn_{package.name} as it; print(it.__file__)", cwd=tmp_path)
        assert str(environment.python.parents[1]) in where
        listed = environment.run("-m", "incrlearn", "plugins", package.name, cwd=tmp_path)
        assert f"incrlearn-{package.name.replace('_', '-')} 0.1.0" in listed


@pytest.mark.parametrize(
    "path", [p for e in EXAMPLES for p in sorted(e.rglob("*.py"))], ids=lambda p: p.parent.name + "/" + p.name
)
def test_examples_import_public_names_only(path: Path) -> None:
    own = f"incrlearn_{next(e.name for e in EXAMPLES if e in path.parents)}"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0].startswith("incrlearn"):
            if node.module.split(".")[0] == own:
                continue
            assert node.module in PUBLIC, node.module
            assert {alias.name for alias in node.names} <= set(PUBLIC[node.module].__all__)
        if isinstance(node, ast.Import):
            assert not [alias.name for alias in node.names if alias.name.startswith("incrlearn")]
