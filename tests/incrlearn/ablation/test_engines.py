"""``--on``: which engines there are, what they refuse, and that each trains to the same numbers."""

import csv
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from incrlearn import DeviceError
from incrlearn.ablation import engines
from incrlearn.ablation.engines import check_engine, make_executor
from incrlearn.ablation.executors.here import Here
from incrlearn.ablation.executors.processes import Processes


@pytest.mark.parametrize("on", ["slrum", "here:2", "slurm:host", "ray:host", "", "ray:"])
def test_an_unknown_engine_is_refused(on: str) -> None:
    with pytest.raises(DeviceError, match="no such engine"):
        check_engine(on, {}, "auto")


def test_resources_go_with_an_engine() -> None:
    with pytest.raises(DeviceError, match="--resource goes with"):
        check_engine("here", {"num_gpus": 1}, "auto")


@pytest.mark.parametrize("on", ["ray", "slurm"])
def test_a_device_is_not_for_engines_to_ignore(on: str) -> None:
    with pytest.raises(DeviceError, match="--device goes with --on here"):
        check_engine(on, {}, "cuda:1")


@pytest.mark.parametrize(("on", "package"), [("ray", "ray"), ("ray://host:1", "ray"), ("slurm", "submitit")])
def test_a_missing_package_is_told_with_its_extra(monkeypatch: pytest.MonkeyPatch, on: str, package: str) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda name: None if name == package else find_spec(name))
    with pytest.raises(DeviceError, match=rf"{package} is not installed; pip install 'incrlearn\[{on[:3]}"):
        check_engine(on, {}, "auto")


def test_here_one_job_needs_no_other_process(tmp_path: Path) -> None:
    assert isinstance(make_executor("here", None, "cpu", {}, tmp_path, 4), Here)
    several = make_executor("here", 3, "cpu", {}, tmp_path, 4)
    assert isinstance(several, Processes)
    assert several.slots == 3
    several.close()


def test_what_slurm_does_not_know_is_told(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    with pytest.raises(DeviceError, match=r"--on slurm: .*nonsense"):
        make_executor("slurm", None, "auto", {"nonsense": 1}, tmp_path, 1)


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_an_engine_trains_to_the_same_table(tiny: Path, engine: str, package: str) -> None:
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    (tiny.parent / "parts.yaml").write_text(
        "base: tiny.yaml\nvariants: {no auxiliary: {plugins.auxiliary: null}}\ncolumns: [average, last]\n"
    )
    tables = []
    for on in ("here", engine):
        command = [sys.executable, "-m", "incrlearn", "ablate", "parts.yaml", "--on", on, "--out", f"pool_{on}"]
        done = subprocess.run(command, cwd=tiny.parent, capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        with (tiny.parent / f"pool_{on}" / "tables" / "parts" / "table.csv").open() as stream:
            tables.append(list(csv.reader(stream)))
    assert tables[0] == tables[1]
