"""What tests of whole packages share: an environment that has incrlearn from its wheel, as a user has it."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parents[1]

# How long an example takes says more about the machine, and what else it does, than about the code.
settings.register_profile("any machine", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@dataclass(frozen=True)
class Environment:
    """A virtual environment: torch and the like are those of the tests, incrlearn is installed from its wheel."""

    python: Path

    def install(self, *packages: Path) -> None:
        """Install source trees or wheels, built with what is here; nothing is downloaded."""
        offline = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
        self.run("-m", "pip", "install", *offline, *map(str, packages))

    def run(self, *arguments: str, cwd: Path | None = None) -> str:
        """What ``python arguments`` prints; fails the test with all of it where the command fails."""
        command = [str(self.python), *arguments]
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of incrlearn, built from this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([sys.executable, *build, str(ROOT)], check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def make_environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Environment]:
    """Makes environments with nothing but incrlearn in them."""

    def make() -> Environment:
        folder = tmp_path_factory.mktemp("environment")
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        environment = Environment(folder / "bin" / "python")
        site = environment.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
        # After the environment's own packages, so that its incrlearn is found before an editable one.
        (Path(site) / "of_the_tests.pth").write_text(sysconfig.get_path("purelib") + "\n")
        environment.install(wheel)
        return environment

    return make
