"""The floors of the house: imports only go down, and the engine does not know the plug-ins."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOORS = [
    {"errors", "modules", "types", "rng", "source", "statistics"},
    {"hooks", "plugin"},
    {"observe", "declared", "registry", "recipe", "answers", "blame", "implementations", "calls"},
    {"network", "data", "memory", "metrics", "ledger"},
    {"engine"},
    {"ablation", "report"},
    {"testing"},
    {"cli"},
]
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}
PUBLIC_TO_PLUGINS = {"", "network", "memory", "data"}


def imported_modules(path: Path) -> set[str]:
    """Every incrlearn module that the file imports, dotted, whether at the top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found.add(node.module)
            found |= {
                f"incrlearn.{one.name}" for one in node.names if node.module == "incrlearn" and one.name in FLOOR_OF
            }
    return {name for name in found if name.split(".")[0] in ("incrlearn", "incrlearn_plugins")}


def part_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


ENGINE_FILES = sorted((ROOT / "incrlearn").rglob("*.py"))
PLUGIN_FILES = sorted((ROOT / "plugins").rglob("*.py"))


@pytest.mark.parametrize("path", ENGINE_FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_engine_imports_only_lower_floors(path: Path) -> None:
    part = path.relative_to(ROOT / "incrlearn").parts[0].removesuffix(".py")
    for module in imported_modules(path):
        assert not module.startswith("incrlearn_plugins"), f"{path} imports {module}"
        if part not in FLOOR_OF:  # the public surface and `python -m` may import anything
            assert part in {"__init__", "__main__"}, f"{path} stands on no floor"
            continue
        target = part_of(module)
        if target in FLOOR_OF and target != part:
            assert FLOOR_OF[target] <= FLOOR_OF[part], f"{path} imports {module}, which is above it"


@pytest.mark.parametrize("path", PLUGIN_FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_plugins_import_only_public_names(path: Path) -> None:
    for module in imported_modules(path):
        if not module.startswith("incrlearn_plugins"):
            assert module.count(".") <= 1, f"{path} imports {module}, below a public package"
            assert part_of(module) in PUBLIC_TO_PLUGINS, f"{path} imports {module}, which is not public to plug-ins"


@pytest.mark.parametrize("path", [*ENGINE_FILES, *PLUGIN_FILES], ids=lambda p: str(p.relative_to(ROOT)))
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 320
