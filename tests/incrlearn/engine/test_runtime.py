"""Devices by name, and both precisions."""

from pathlib import Path

import pytest
import torch

from incrlearn import DeviceError, Registry, load_network, run_recipe
from incrlearn.engine.runtime import Runtime, has_bf16, resolve_device
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


def test_auto_precision_is_bf16_only_where_the_hardware_has_it() -> None:
    expected = "bf16" if has_bf16(torch.device("cpu")) else "float32"
    assert Runtime("cpu", "auto").precision == expected


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
