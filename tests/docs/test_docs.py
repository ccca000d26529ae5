"""The docs at work: the tutorial does what it tells, and links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from incrlearn import Registry, load_recipe, run_recipe

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def code_blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_first_plugin_works_as_the_tutorial_tells(tmp_path: Path) -> None:
    page = ROOT / "docs" / "first-plugin.md"
    (tmp_path / "focal.py").write_text(code_blocks(page, "python")[0])
    recipe = code_blocks(page, "yaml")[0].replace("der_digits.yaml", str(ROOT / "recipes" / "der_digits.yaml"))
    (tmp_path / "my.yaml").write_text(recipe)
    short = ["plugins.train.epochs=2", "plugins.train.milestones=[]", "plugins.train.warmup=0", "data.classes=4"]
    short += ["data.tasks=2", "plugins.balance.epochs=1", "plugins.balance.milestones=[]"]
    made = load_recipe(tmp_path / "my.yaml", Registry.discover(), short)
    rows = run_recipe(made, tmp_path / "run", device="cpu").summary["tasks"]
    assert len(rows) == 2


def test_first_plugin_keeps_the_contract_as_the_tutorial_tells(tmp_path: Path) -> None:
    plugin, *_, suite = code_blocks(ROOT / "docs" / "first-plugin.md", "python")
    (tmp_path / "focal.py").write_text(plugin)
    (tmp_path / "test_focal.py").write_text(suite)
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir", str(tmp_path), "-p", "no:cacheprovider", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "11 passed" in done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []
