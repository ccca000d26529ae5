"""Devices by name, and both precisions."""

from pathlib import Path

import pytest
import torch

from incrlearn import DeviceError, Plugin, Registry, RunState, hookimpl, load_network, run_recipe
from incrlearn.engine.runtime import Runtime, flags_have_bf16, resolve_device
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe


@pytest.mark.parametrize("text", ["gpu", "cuda:x", "cpu:1", "mps:0", ""])
def test_what_is_no_device_is_told_what_to_write(text: str) -> None:
    with pytest.raises(DeviceError, match="write auto, cpu, cuda, cuda:N or mps"):
        resolve_device(text)


def test_device_that_is_not_there_is_told() -> None:
    absent = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(DeviceError, match=f"'{absent}' is not there"):
        resolve_device(absent)


def test_device_that_is_not_there_leaves_no_run_directory(tmp_path: Path) -> None:
    recipe = recipe_from_dict(tiny_recipe(), Registry.of({"synthetic": SyntheticData}), "tiny")
    with pytest.raises(DeviceError):
        run_recipe(recipe, tmp_path / "run", device="cuda:99")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_bf16 avx512vl\n", True),
        ("flags\t\t: fpu amx_bf16 amx_tile\n", True),
        ("Features\t: fp asimd bf16 i8mm\n", True),
        ("flags\t\t: fpu avx2 avx512f avx512vl\n", False),
        ("", False),
    ],
)
def test_bf16_of_a_processor_is_read_from_its_flags(cpuinfo: str, expected: bool) -> None:
    assert flags_have_bf16(cpuinfo) is expected


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bf16", torch.bfloat16)])
def test_forward_passes_compute_in_the_precision_asked_for(precision: str, dtype: torch.dtype) -> None:
    with Runtime("cpu", precision).autocast():
        assert (torch.randn(2, 3) @ torch.randn(3, 2)).dtype == dtype


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_run_learns_in_either_precision_and_keeps_float32_weights(tmp_path: Path, precision: str) -> None:
    train = {"use": "sgd", "lr": 0.1, "batch": 16, "epochs": 15, "milestones": [12], "warmup": 2}
    balance = {"use": "balanced_head", "epochs": 20, "milestones": [15], "batch": 16, "temperature": 1.0}
    registry = Registry.of({"synthetic": SyntheticData})
    recipe = recipe_from_dict({**tiny_recipe(train=train, balance=balance), "precision": precision}, registry, "tiny")
    result = run_recipe(recipe, tmp_path / "run", device="cpu")
    assert result.summary["precision"] == precision
    assert result.summary["metrics"]["average"]["value"] > 55  # chance: 31
    weights = load_network(result.run_dir, registry=registry).state_dict().values()
    assert {value.dtype for value in weights if value.is_floating_point()} == {torch.float32}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_run_on_cuda_learns_and_is_resumed_on_the_cpu(tmp_path: Path) -> None:
    class Stops(Plugin):
        """Interrupts task 3, and lets no training step wait for the device."""

        @hookimpl
        def batch_start(self) -> None:
            torch.cuda.set_sync_debug_mode("error")

        @hookimpl
        def after_step(self) -> None:
            torch.cuda.set_sync_debug_mode("default")

        @hookimpl
        def prepare(self, state: RunState) -> None:
            if state.task.number == 3 and state.device.type == "cuda":
                raise KeyboardInterrupt

    registry = Registry.of({"synthetic": SyntheticData, "stops": Stops})
    head = {"use": "linear", "start": "inherit"}
    pruning = {"use": "channel_mask", "keep": 0.5}
    recipe = recipe_from_dict(tiny_recipe(pruning=pruning, stops="stops", head=head), registry, "tiny")
    with pytest.raises(KeyboardInterrupt):
        run_recipe(recipe, tmp_path / "run", device="cuda")
    summary = run_recipe(recipe, tmp_path / "run", device="cpu", resume=True).summary
    assert [row["classes"] for row in summary["tasks"]] == [2, 4, 6]


def test_torchs_own_device_is_taken_and_checked_all_the_same() -> None:
    assert resolve_device(torch.device("cpu")) == torch.device("cpu")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match=r"'cuda:3' is not there"):
            resolve_device(torch.device("cuda", 3))
