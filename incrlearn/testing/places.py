"""A second device that every machine has: the CPU under another name, whose tensors are kept apart from the host's.

``cpu:1`` computes as ``cpu`` does, and torch itself forgets the number. Here it is remembered: a tensor that was made
for the device lies there, and so does what is computed from it. What would fail on a GPU, such as adding a tensor that
was left on the host, is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode

DEVICE = torch.device("cpu", 1)
"""The device that stands for a GPU."""
_MAY_MIX = frozenset(
    {
        *("copy_", "__setitem__", "to", "type_as", "backward", "has_names", "is_same_size", "numel"),
        *("_has_compatible_shallow_copy_type", "set_", "_make_subclass", "unflatten"),
    }
)
"""Functions that take tensors of several places."""
_INDEXING = frozenset({"__getitem__"})
"""Functions whose first tensor may lie on the device and the others on the host, but not the other way round."""
_TO_HOST = frozenset({"cpu", "tolist", "item"})
_MOVING = frozenset({"cpu", "to", "as_tensor", "asarray"})
_NUMPY = frozenset({"numpy", "__array__"})


class Places(TorchFunctionMode):
    """Remembers which tensors lie on `DEVICE`, and tells what a GPU would refuse.

    A place is one of the memory, not of the object: views, parameters and detached tensors lie where their memory does.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        """Let ``tell`` be called with what would not work, while it happens."""
        super().__init__()
        self._tell = tell
        # A memory that is let go of leaves its key behind, which the weak reference keeps from being used anew.
        self._on_device: dict[int, StorageWeakRef] = {}

    def __torch_function__(
        self,
        function: Any,  # noqa: ANN401
        types: Any,  # noqa: ANN401
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Call ``function``, note what is wrong with its arguments' places, and remember those of what it gives."""
        options = dict(kwargs or {})
        if function == Tensor.device.__get__:
            return DEVICE if self.lies_on_device(args[0]) else function(*args, **options)
        name = getattr(function, "__name__", "")
        given = _tensors([*args, *options.values()])
        self._check(name, given, args, options)
        there = self._is_there(name, given, _target(name, args, options))
        if name in _MOVING:
            return self._moved(function, given, args, options, there)
        result = function(*args, **options)
        if there:
            self._remember(_tensors([result]))
        return result

    def _is_there(self, name: str, given: Sequence[Tensor], target: torch.device | Tensor | None) -> bool:
        """Whether the result of a call lies on the device."""
        if isinstance(target, Tensor):
            return self.lies_on_device(target)
        if target is not None:
            return target == DEVICE
        return name not in _TO_HOST | _NUMPY and self._any_on_device(given)

    def _moved(
        self,
        function: Any,  # noqa: ANN401
        given: Sequence[Tensor],
        args: Sequence[Any],
        options: Mapping[str, Any],
        there: bool,
    ) -> Any:  # noqa: ANN401
        """The result of a call that may move a tensor: another memory where it moves, and the same where it stays."""
        # Told of a number, torch would copy from the CPU to the CPU.
        host = torch.device("cpu")
        result = function(
            *(host if _is_device(one) else one for one in args),
            **{key: host if _is_device(one) else one for key, one in options.items()},
        )
        memories = {_memory(tensor) for tensor in given}
        if there != self._any_on_device(given[:1]) and _memory(result) in memories:
            result = result.clone()
        if there:
            self._remember([result])
        return result

    def lies_on_device(self, tensor: Tensor) -> bool:
        """Whether a tensor lies on the device, and not on the host."""
        key = _memory(tensor)
        return key is not None and key in self._on_device

    def _any_on_device(self, tensors: Sequence[Tensor]) -> bool:
        """Where something computed from ``tensors`` lies; a number goes where the rest is."""
        decisive = [tensor for tensor in tensors if tensor.dim() > 0] or tensors
        return any(map(self.lies_on_device, decisive))

    def _check(self, name: str, given: Sequence[Tensor], args: Sequence[Any], options: Mapping[str, Any]) -> None:
        if options.get("generator") is not None and self._fills_the_device(name, given, args, options):
            advice = "draw on the CPU, then .to(state.device)"
            self._tell(f"{name} draws on the device, which refuses the CPU's generator; {advice}")
        if name in _NUMPY and self._any_on_device(given):
            self._tell("numpy cannot read a tensor that lies on the device; write .cpu() before it")
        if name in _MAY_MIX or name.startswith("__set__"):
            return
        sized = [tensor for tensor in given if tensor.dim() > 0]
        places = [self.lies_on_device(tensor) for tensor in sized]
        if len(set(places)) < 2 or (name in _INDEXING and places[0]):
            return
        shapes = ", ".join(
            f"{tuple(tensor.shape)} on the {'device' if there else 'host'}"
            for tensor, there in zip(sized, places, strict=True)
        )
        self._tell(f"{name} mixes tensors of two devices: {shapes}; make them on state.device, or move them by .to")

    def _fills_the_device(
        self, name: str, given: Sequence[Tensor], args: Sequence[Any], options: Mapping[str, Any]
    ) -> bool:
        return _target(name, args, options) == DEVICE or (name.endswith("_") and self._any_on_device(given[:1]))

    def _remember(self, tensors: Iterable[Tensor]) -> None:
        for tensor in tensors:
            key = _memory(tensor)
            if key is not None and key not in self._on_device:
                self._on_device[key] = StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]


def _memory(tensor: Tensor) -> int | None:
    """What tells a tensor's memory from all others; None where it has none of its own."""
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):
        return None


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    """The tensors among some values, and in lists and tuples of them."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        # Long lists are of numbers.
        elif isinstance(value, list | tuple) and value and not isinstance(value[0], int | float):
            found += _tensors(value)
    return found


def _target(name: str, args: Sequence[Any], options: Mapping[str, Any]) -> torch.device | Tensor | None:
    """Where a call puts its result: a device, where another tensor lies, or None where it does not say."""
    said = options.get("device")
    if name == "to":
        said = next((one for one in (said, options.get("other"), *args[1:]) if _is_place(one)), None)
    elif said is None:
        said = next((one for one in args if isinstance(one, torch.device)), None)
    return torch.device(said) if isinstance(said, str) else said


def _is_device(value: object) -> bool:
    return isinstance(value, torch.device | str) and str(value) == str(DEVICE)


def _is_place(value: object) -> bool:
    return isinstance(value, torch.device | str | Tensor)
