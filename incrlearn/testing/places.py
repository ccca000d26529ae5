"""A second device that every machine has: the CPU under another name, whose tensors are kept apart from the host's.

``cpu:1`` computes as ``cpu`` does, and torch itself forgets the number. Here it is remembered: a tensor that was made
for the device lies there, and so does what is computed from it. What would fail on a GPU, such as adding a tensor that
was left on the host, is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
import torch.utils.checkpoint
from torch import Tensor
from torch._C import _functorch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from incrlearn.testing.mixing import COPIES, IN_LISTS, MAY_MIX, MOVING, NUMPY, OF_NUMBERS, TO_HOST, is_in_place

DEVICE = torch.device("cpu", 1)
"""The device that stands for a GPU."""
_BACKWARD = "_engine_run_backward"
"""What ``backward`` and ``grad`` of torch.autograd call."""
Tell = Callable[[str, str], None]
"""Is given the operation and what is wrong with it, while it is under way."""


@contextmanager
def second_device(tell: Tell) -> Iterator[None]:
    """Let `DEVICE` be a place of its own, for as long as it lasts."""
    places = Places(tell)
    run_backward, load = vars(torch.autograd)[_BACKWARD], torch.load

    def watched_backward(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        # While torch handles `backward` no mode is asked; hooks of gradients and custom functions are called from it.
        with places.of_gradients(args[0]), places:
            return run_backward(*args, **kwargs)

    def placed(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        if not is_device(kwargs.get("map_location")):
            return load(*args, **kwargs)
        loaded = load(*args, **{**kwargs, "map_location": "cpu"})
        places.remember(tensors_in([list(loaded.values()) if isinstance(loaded, dict) else loaded]), there=True)
        return loaded

    with (
        patch.object(torch.autograd, _BACKWARD, watched_backward),
        patch.object(torch, "load", placed),
        patch.dict(_recomputation_checks(), default=_shape_and_type),
        places,
    ):
        yield


def _recomputation_checks() -> dict[str, Any]:
    """How ``torch.utils.checkpoint`` compares what it computes again with what it let go of; empty where it does not.

    By itself it looks at devices too, once while a mode is asked and once while none is.
    """
    checks = vars(torch.utils.checkpoint).get("_allowed_determinism_checks_to_fns", {})
    return checks if isinstance(checks, dict) else {}


def _shape_and_type(tensor: Tensor) -> dict[str, Any]:
    return {"shape": tensor.shape, "dtype": tensor.dtype}


class Places(TorchFunctionMode):
    """Remembers which memory lies on `DEVICE`, and tells what a GPU would refuse.

    A place is one of the memory, not of the object: views, parameters and detached tensors lie where their memory does.
    """

    def __init__(self, tell: Tell) -> None:
        super().__init__()
        self._tell = tell
        # A memory that is let go of leaves its key behind, which the weak reference keeps from being used anew.
        self._known: dict[int, tuple[StorageWeakRef, bool]] = {}
        self._unknown_is_there = False

    @contextmanager
    def of_gradients(self, losses: Iterable[Tensor]) -> Iterator[None]:
        """Within, memory that nobody has seen is that of gradients, which lie where the loss does."""
        before, self._unknown_is_there = self._unknown_is_there, any(map(self.lies_on_device, losses))
        try:
            yield
        finally:
            self._unknown_is_there = before

    def lies_on_device(self, tensor: Tensor) -> bool:
        """Whether a tensor lies on the device, and not on the host."""
        key = _memory(tensor)
        return key is not None and (self._known[key][1] if key in self._known else self._unknown_is_there)

    def remember(self, tensors: Iterable[Tensor], there: bool) -> None:
        """Take note of where new memory lies; what is known stays where it is, whatever is copied into it."""
        for tensor in tensors:
            key = _memory(tensor)
            if key is not None and key not in self._known:
                self._known[key] = (StorageWeakRef(_bare(tensor).untyped_storage()), there)  # type: ignore[no-untyped-call]

    def __torch_function__(
        self,
        function: Any,  # noqa: ANN401
        types: Any,  # noqa: ANN401
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Call ``function``, tell what is wrong with its arguments' places, and remember those of what it gives."""
        options = dict(kwargs or {})
        if function == Tensor.device.__get__:
            return DEVICE if self.lies_on_device(args[0]) else function(*args, **options)
        name = getattr(function, "__name__", "")
        given = tensors_in([*args, *options.values()])
        there = self._is_there(name, given, args, options)
        if name == "__set__":
            if getattr(getattr(function, "__self__", None), "__name__", "") == "grad":
                self._check_mixed("grad", given, given)
        elif name == "__setitem__":
            self._check_setting(given, args)
        else:
            self._check(name, given, args, options, there)
        if name in MOVING:
            return self._moved(function, given, args, options, there)
        result = function(*args, **options)
        found = tensors_in([result])
        if found:
            taken = set(map(_memory, given))
            self.remember((tensor for tensor in found if _memory(tensor) not in taken), there)
        return result

    def _is_there(self, name: str, given: Sequence[Tensor], args: Sequence[Any], options: Mapping[str, Any]) -> bool:
        """Whether the result of a call lies on the device."""
        target = _target(name, args, options)
        if isinstance(target, Tensor):
            return self.lies_on_device(target)
        if target is not None:
            return target == DEVICE
        if name in TO_HOST or name in OF_NUMBERS:
            return False
        if name in COPIES and not (args and isinstance(args[0], Tensor)):
            return False
        return self._any(given)

    def _any(self, tensors: Iterable[Tensor]) -> bool:
        return any(map(self.lies_on_device, tensors))

    def _check(
        self, name: str, given: Sequence[Tensor], args: Sequence[Any], options: Mapping[str, Any], there: bool
    ) -> None:
        if options.get("generator") is not None and (self._any(given[:1]) if is_in_place(name) else there):
            self._tell(
                name,
                "draws on the device: a GPU refuses the CPU's generator, and its own draws other numbers; draw on the "
                "CPU, then .to(state.device)",
            )
        if name in NUMPY and not options.get("force") and self._any(given):
            self._tell(name, "cannot read a tensor that lies on the device; write .cpu() before it")
        if name in MAY_MIX or (name == "__getitem__" and self.lies_on_device(args[0])):
            return
        # A number of the host goes along with anything, a number of the device with nothing of the host.
        target = given[:1] if is_in_place(name) else given if name in IN_LISTS else ()
        counted = [one for one in given if one.dim() > 0 or self.lies_on_device(one) or any(one is it for it in target)]
        self._check_mixed(name, counted, counted)

    def _check_setting(self, given: Sequence[Tensor], args: Sequence[Any]) -> None:
        """``x[index] = value``: slices are copied across, tensors as indices are not."""
        indices = tensors_in([args[1]])
        numbers = not isinstance(args[2], Tensor) or args[2].dim() == 0
        if indices and not (numbers and self.lies_on_device(args[0])):
            decisive = [args[0], *indices] if numbers else [args[0], args[2]]
            self._check_mixed("setting by an index", decisive, given)

    def _check_mixed(self, name: str, decisive: Sequence[Tensor], given: Sequence[Tensor]) -> None:
        if len({self.lies_on_device(one) for one in decisive}) < 2:
            return
        where = [f"{tuple(one.shape)} on the {'device' if self.lies_on_device(one) else 'host'}" for one in given]
        advice = "make them on state.device or move them by .to; a module's own go into register_buffer"
        self._tell(name, f"mixes tensors of two devices: {', '.join(where)}; {advice}")

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
            *(host if is_device(one) else one for one in args),
            **{key: host if is_device(one) else one for key, one in options.items()},
        )
        if not isinstance(result, Tensor):
            return result
        if is_lazy(result):
            # Without values yet, it is told to another device by itself.
            self._known.pop(_memory(result) or 0, None)
        elif there != self._any(given[:1]) and _memory(result) in set(map(_memory, given)):
            result = result.clone()
        self.remember([result], there)
        return result


def is_device(value: object) -> bool:
    """Whether a value names `DEVICE`."""
    return isinstance(value, torch.device | str) and str(value) == str(DEVICE)


def tensors_in(values: Iterable[Any]) -> list[Tensor]:
    """The tensors with values among some values, and in lists and tuples of them."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            if not is_lazy(value):
                found.append(value)
        # Long lists are of numbers.
        elif isinstance(value, list | tuple) and value and not isinstance(value[0], int | float):
            found += tensors_in(value)
    return found


def _bare(tensor: Tensor) -> Tensor:
    """The tensor within those that ``torch.func``, or a lazy module, wraps around it."""
    if is_lazy(tensor):
        tensor = tensor.data
    while _functorch.is_functorch_wrapped_tensor(tensor):
        tensor = _functorch.get_unwrapped(tensor)
    return tensor


def _memory(tensor: Tensor) -> int | None:
    """What tells a tensor's memory from all others; None where it has none of its own."""
    try:
        return int(_bare(tensor).untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError, ValueError):
        return None


def _target(name: str, args: Sequence[Any], options: Mapping[str, Any]) -> torch.device | Tensor | None:
    """Where a call puts its result: a device, where another tensor lies, or None where it does not say."""
    said = options.get("device")
    if name == "to":
        given = (said, options.get("other"), *args[1:])
        said = next((one for one in given if isinstance(one, torch.device | str | Tensor)), None)
    elif said is None:
        said = next((one for one in args if isinstance(one, torch.device)), None)
    return torch.device(said) if isinstance(said, str) else said
