"""Checkpoints: one a task, safe to load, written whole or not at all.

A checkpoint is a folder ``checkpoints/task_NN`` with ``network.safetensors`` and ``state.pt`` (plain values and
tensors, loaded with ``weights_only=True``). Tensors that an earlier task's checkpoint holds bit for bit, those of the
frozen extractors, are not written again but referred to: the checkpoints of a run belong together.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from incrlearn.calls import Calls
from incrlearn.errors import OutputError, PluginError
from incrlearn.hooks import MakeBackbone
from incrlearn.types import Network, RunState, Task

FOLDER = "checkpoints"
FORMAT = 2


@dataclass(frozen=True)
class Progress:
    """What a run knows after a finished task, beside its network: plain values and tensors."""

    task: int
    """Number of the finished task."""
    classes: list[int]
    """Classes seen after each task so far."""
    widths: list[int]
    """Feature width at the end of each task so far, from which the head is grown again."""
    image_shape: list[int]
    """C, H and W of the images."""
    precision: str
    """float32 or bf16."""
    data: str
    """Digest of the data set that the exemplars point into."""
    memory: dict[str, Tensor]
    """Exemplars by label."""
    plugins: dict[str, dict[str, Any]]
    """Private state of the plug-ins, by recipe key."""
    rows: list[dict[str, Any]]
    """The rows of kind "task" so far."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint as read: its progress, and what the network is made of."""

    progress: Progress
    layout: dict[str, Any]
    tensors: dict[str, dict[str, Any]]
    """Per tensor name: its digest and the task whose file holds it."""


def task_folder(run_dir: Path, task: int) -> Path:
    """Where the checkpoint of a task lies."""
    return run_dir / FOLDER / f"task_{task:02d}"


def newest_checkpoint(run_dir: Path) -> int:
    """Number of the last task whose checkpoint is whole; 0 where there is none."""
    numbers = [path.parent.name.removeprefix("task_") for path in (run_dir / FOLDER).glob("task_*/state.pt")]
    return max((int(number) for number in numbers if number.isdecimal()), default=0)


def save_checkpoint(run_dir: Path, network: Network, progress: Progress) -> None:
    """Write the checkpoint of a finished task, into a folder that appears when it is whole."""
    target = task_folder(run_dir, progress.task)
    draft = target.with_name(f".{target.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    before = newest_checkpoint(run_dir)
    known = read_checkpoint(run_dir, before).tensors if 0 < before < progress.task else {}
    tensors: dict[str, dict[str, Any]] = {}
    fresh: dict[str, Tensor] = {}
    for name, tensor in network.state_dict().items():
        plain = tensor.detach().cpu().contiguous()
        digest = tensor_digest(plain)
        if name in known and known[name]["digest"] == digest:
            tensors[name] = known[name]
        else:
            tensors[name] = {"digest": digest, "task": progress.task}
            # safetensors refuses tensors that share memory.
            fresh[name] = plain.clone()
    # Both libraries meet a full disk with errors of their own: let them make bytes, and write these ourselves.
    _write(draft / "network.safetensors", save(fresh))
    state = io.BytesIO()
    torch.save({"format": FORMAT, "layout": network.layout(), "tensors": tensors, "progress": vars(progress)}, state)
    _write(draft / "state.pt", state.getvalue())
    shutil.rmtree(target, ignore_errors=True)
    draft.replace(target)


def tensor_digest(tensor: Tensor) -> str:
    """SHA-256 of a contiguous tensor's bytes on the CPU."""
    return hashlib.sha256(tensor.reshape(-1).view(torch.uint8).numpy().data).hexdigest()


def plain_state(plugin: str, state: dict[str, Any]) -> dict[str, Any]:
    """The same, if a checkpoint can hold it: tensors, text, numbers, booleans, None, and lists and mappings of them.

    Raises:
        PluginError: naming the plug-in and the key.
    """
    for key, value in state.items():
        if not _is_plain(value):
            raise PluginError(
                f"plug-in '{plugin}': state_dict()['{key}'] holds a {type(value).__name__}, which a checkpoint cannot; "
                "give tensors and plain values (float(x) for numpy's numbers)"
            )
    return state


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return type(value) in (list, tuple) and all(_is_plain(inner) for inner in value)
    if isinstance(value, dict):
        return all(type(key) in (str, int) and _is_plain(inner) for key, inner in value.items())
    return value is None or isinstance(value, Tensor) or type(value) in (str, int, float, bool)


def read_checkpoint(run_dir: Path, task: int) -> Checkpoint:
    """Read everything of a checkpoint but its tensors.

    Raises:
        OutputError: it is missing, damaged, or of another version's format.
    """
    path = task_folder(run_dir, task) / "state.pt"
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        there = newest_checkpoint(run_dir)
        last = f"the last finished task there is {there}" if there else "no task is finished there"
        raise OutputError(f"{run_dir}: no checkpoint of task {task}; {last}") from error
    except Exception as error:
        # What is no checkpoint fails in unpickling with whatever its bytes happen to say.
        raise OutputError(f"{path}: damaged, cannot be read ({type(error).__name__})") from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise OutputError(f"{path}: format {found!r}, but this version of incrlearn reads format {FORMAT}")
    try:
        return Checkpoint(Progress(**content["progress"]), content["layout"], content["tensors"])
    except (KeyError, TypeError) as error:
        raise OutputError(f"{path}: damaged, or of another version of incrlearn ({error})") from error


def restore_network(
    run_dir: Path, checkpoint: Checkpoint, calls: Calls, make_backbone: MakeBackbone, state: RunState
) -> None:
    """Build the network of a finished task again into ``state.current``, weights and all.

    Raises:
        OutputError: a tensor is missing, left over, damaged or of another shape.
    """
    progress = checkpoint.progress
    tasks = tasks_from_counts(progress.classes)
    network = calls.rebuild(tasks[-1], checkpoint.layout, make_backbone)
    head = None
    for task, width in zip(tasks, progress.widths, strict=True):
        state.task = task
        head = calls.grow_head(state, head, width)
    if head is not None:
        network.head = head
    _load_tensors(run_dir, network, checkpoint.tensors)
    state.current = network


def tasks_from_counts(classes: list[int]) -> list[Task]:
    """Tasks from the number of classes seen after each."""
    known = [0, *classes]
    return [Task(number, len(classes), known[number - 1], seen) for number, seen in enumerate(classes, start=1)]


def _load_tensors(run_dir: Path, network: Network, tensors: dict[str, dict[str, Any]]) -> None:
    own = network.state_dict()
    missing, extra = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    if missing or extra:
        raise OutputError(f"{run_dir}: the checkpoint does not fit the network: lacks {missing}, has too many {extra}")
    values: dict[str, Tensor] = {}
    for task in sorted({entry["task"] for entry in tensors.values()}):
        path = task_folder(run_dir, task) / "network.safetensors"
        try:
            with safe_open(path, framework="pt") as stream:
                for name in (name for name, entry in tensors.items() if entry["task"] == task):
                    values[name] = stream.get_tensor(name)
                    if tensor_digest(values[name].contiguous()) != tensors[name]["digest"]:
                        raise OutputError(f"{path}: the tensor {name} is damaged")
        except (SafetensorError, OSError) as error:
            raise OutputError(f"{path}: cannot be read ({error}); a run's checkpoints belong together") from error
    wrong = [name for name, value in values.items() if value.shape != own[name].shape]
    if wrong:
        raise OutputError(f"{run_dir}: the checkpoint has other shapes than the network for {wrong}")
    network.load_state_dict(values)


def _write(path: Path, content: bytes) -> None:
    """Write a file and make sure that it is on the disk before its folder gets its name."""
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
