"""What goes wrong in the middle of a run: nothing is mixed up in silence, and what is finished is kept."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from incrlearn import OutputError, Plugin, PluginError, Registry, RunState, TrainingError, hookimpl, run_recipe
from incrlearn.data import ArrayImages, Source, Split
from incrlearn.engine.checkpoint import plain_state, read_checkpoint
from incrlearn.recipe import recipe_from_dict
from incrlearn.testing import SyntheticData, tiny_recipe


class Backwards(SyntheticData):
    """The same images, the training split in another order."""

    def open(self, root: Path) -> Source:
        source = super().open(root)
        train = Split(ArrayImages(source.train.images.pixels[::-1].copy()), source.train.labels[::-1].copy())
        return Source(**{**vars(source), "train": train})


class Interrupts(Plugin):
    """Stops the run when task 2 begins."""

    class Config(Plugin.Config):
        at: int = 2

    config: Config

    @hookimpl
    def prepare(self, state: RunState) -> None:
        if state.task.number == self.config.at and not (state.run_dir / "go").exists():
            raise KeyboardInterrupt


class FillsTheDisk(Plugin):
    """Puts a file where the folder of the checkpoints should be, so that writing one fails."""

    @hookimpl
    def task_end(self, state: RunState) -> None:
        (state.run_dir / "checkpoints").write_text("in the way")


class OutOfMemory(Plugin):
    @hookimpl
    def after_backward(self) -> None:
        raise torch.OutOfMemoryError("tried to allocate 20 GiB")


class NumpyMetric(Plugin):
    @hookimpl
    def metrics(self, scores: torch.Tensor, labels: torch.Tensor) -> dict[str, Any]:
        return {"entropy": np.float64(0.5)}


class Top1Again(Plugin):
    @hookimpl
    def metrics(self) -> dict[str, float]:
        return {"top1": 123.0}


def start(
    out: Path,
    data: type[SyntheticData] = SyntheticData,
    resume: bool = False,
    precision: str = "float32",
    **plugins: object,
) -> Any:
    known = [Interrupts, FillsTheDisk, OutOfMemory, NumpyMetric, Top1Again]
    registry = Registry.of({"synthetic": data, **{cls.__name__.lower(): cls for cls in known}})
    recipe = recipe_from_dict({**tiny_recipe(**plugins), "precision": precision}, registry, "tiny")
    return run_recipe(recipe, out, device="cpu", resume=resume)


def interrupted(out: Path, precision: str = "float32") -> Path:
    with pytest.raises(KeyboardInterrupt):
        start(out, precision=precision, stop="interrupts")
    (out / "go").touch()
    return out


def test_resuming_with_data_in_another_order_is_refused(tmp_path: Path) -> None:
    out = interrupted(tmp_path / "run")
    with pytest.raises(OutputError, match="is not what this run was begun with"):
        start(out, data=Backwards, resume=True, stop="interrupts")
    assert len(start(out, resume=True, stop="interrupts").summary["tasks"]) == 3


def test_run_goes_on_in_the_precision_it_was_begun_in(tmp_path: Path) -> None:
    out = interrupted(tmp_path / "run", precision="auto")
    path = out / "checkpoints" / "task_01" / "state.pt"
    content = torch.load(path, weights_only=True)
    begun_in = {"float32": "bf16", "bf16": "float32"}[content["progress"]["precision"]]
    content["progress"]["precision"] = begun_in
    torch.save(content, path)
    assert start(out, resume=True, precision="auto", stop="interrupts").summary["precision"] == begun_in


def test_failed_write_says_where_and_how_to_go_on(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"checkpoints.*go on with --resume"):
        start(tmp_path / "run", disk="fillsthedisk")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("name", ["network.safetensors", "state.pt"])
def test_full_disk_is_told_for_every_file_of_a_checkpoint(tmp_path: Path, name: str) -> None:
    class FullDisk:
        """From the first checkpoint on, the named file of a draft is a device that is always full."""

        @hookimpl
        def record(self, state: RunState, row: dict[str, Any]) -> None:
            if row["kind"] == "task":
                monkey.setattr(Path, "open", opens_full)

    def opens_full(path: Path, *args: Any, **kwargs: Any) -> Any:
        return really_open(Path("/dev/full") if path.name == name else path, *args, **kwargs)

    really_open = Path.open
    registry = Registry.of({"synthetic": SyntheticData})
    with pytest.MonkeyPatch.context() as monkey, pytest.raises(TrainingError, match="No space left on device"):
        run_recipe(
            recipe_from_dict(tiny_recipe(), registry, "tiny"), tmp_path / "run", device="cpu", watchers=[FullDisk()]
        )
    assert not (tmp_path / "run" / "checkpoints" / "task_01").exists()


def test_out_of_memory_names_the_options_to_lower(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"plugins\.train\.batch, plugins\.balance\.batch or eval_batch \(256\)"):
        start(tmp_path / "run", oom="outofmemory")


def test_numpy_metric_can_be_stored(tmp_path: Path) -> None:
    result = start(tmp_path / "run", extra="numpymetric")
    assert [row["entropy"] for row in result.summary["tasks"]] == [0.5] * 3
    assert read_checkpoint(result.run_dir, 3).progress.rows[2]["entropy"] == 0.5


def test_metric_cannot_take_the_place_of_the_engines(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"^plugins\.extra: metrics must give numbers .*; got \['top1'\]"):
        start(tmp_path / "run", extra="top1again")


def test_plugin_state_that_a_checkpoint_cannot_hold_is_named() -> None:
    good = {"a": torch.zeros(1), "b": [1, 2.5, "x", None, {"c": True}]}
    assert plain_state("mine", good) is good
    with pytest.raises(PluginError, match=r"'mine': state_dict\(\)\['mean'\] holds a float64"):
        plain_state("mine", {"mean": np.float64(1.0)})


def test_one_flipped_byte_in_a_checkpoint_is_found(tmp_path: Path) -> None:
    out = interrupted(tmp_path / "run")
    weights = out / "checkpoints" / "task_01" / "network.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(OutputError, match=r"network\.safetensors: the tensor .* is damaged"):
        start(out, resume=True, stop="interrupts")
