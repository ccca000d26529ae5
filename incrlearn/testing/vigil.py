"""Watches every call of one plug-in's hooks and notes what it must not do."""

from __future__ import annotations

import random
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from incrlearn.hooks import CHANGE_WEIGHTS, HOT, MAKE_WEIGHTS, hookimpl
from incrlearn.observe import Tell
from incrlearn.plugin import Plugin
from incrlearn.types import LossTerm, RunState

_WAITING = frozenset(
    {
        *("_local_scalar_dense", "equal", "bincount", "nonzero", "masked_select"),
        *("_unique", "_unique2", "unique_dim", "unique_consecutive"),
    }
)
"""Operations of torch whose result the host has to wait for, be it only to learn its size."""
_READING = {
    Tensor.tolist: "tolist()",
    Tensor.numpy: "numpy()",
    Tensor.__array__: "numpy()",
    Tensor.cpu: "cpu()",
    Tensor.__repr__: "printing a tensor",
    Tensor.__format__: "printing a tensor",
}
"""Methods that copy a tensor to the host, for which a tensor that is there already needs no operation."""


@dataclass(frozen=True)
class Fault:
    """Something that a plug-in did and must not do."""

    rule: str
    """Which rule it breaks: terms, weights, generators, frozen, waits, device."""
    message: str


class Vigil:
    """Enters around the hooks of the plug-in under ``key``; also a watcher, from which it knows the network.

    Attributes:
        faults: what it saw, each once.
    """

    def __init__(self, key: str, plugin: type[Plugin]) -> None:
        self.faults: dict[Fault, None] = {}
        self._key = key
        self._plugin = plugin
        self._state: RunState | None = None
        self._hook: str | None = None
        self._told: set[tuple[str | None, str, int | None, str]] = set()

    @hookimpl
    def prepare(self, state: RunState) -> None:
        """Take note of the run."""
        self._state = state

    @contextmanager
    def around(self, hook: str, label: str, arguments: dict[str, Any]) -> Iterator[Tell | None]:  # noqa: ARG002
        """See `incrlearn.observe.Around`."""
        if label != self._key:
            yield None
            return
        where = self._where(hook)
        answers: list[object] = []
        with ExitStack() as rules:
            rules.enter_context(self._under_way(hook))
            rules.enter_context(self._generators_kept(where))
            rules.enter_context(self._weights_kept(where, only_frozen=hook in CHANGE_WEIGHTS | MAKE_WEIGHTS))
            if hook in HOT:
                rules.enter_context(self._nothing_waited_for(where))
            yield answers.append
        if hook == "loss_terms":
            for answer in answers:
                self._check_terms(answer, where)

    def misplaced(self, operation: str, message: str) -> None:
        """Note what a GPU would refuse, once a line, where the plug-in's hook or a module of its own is at it."""
        own = _own_frame(self._plugin)
        if self._hook is None and (own is None or not _is_source_of(self._plugin, own.filename)):
            return
        place = (self._hook, own.filename if own is not None else "", own.lineno if own is not None else 0, operation)
        if place not in self._told:
            self._told.add(place)
            self._note("device", f"{self._where(self._hook or 'forward')}:{_line(own)} {operation} {message}")

    def _where(self, hook: str) -> str:
        return f"{hook}, {self._state.task}" if self._state is not None else hook

    @contextmanager
    def _under_way(self, hook: str) -> Iterator[None]:
        outer, self._hook = self._hook, hook
        try:
            yield
        finally:
            self._hook = outer

    def _note(self, rule: str, message: str) -> None:
        self.faults[Fault(rule, message)] = None

    @contextmanager
    def _generators_kept(self, where: str) -> Iterator[None]:
        before = _generators()
        yield
        changed = [name for name, state in _generators().items() if state != before[name]]
        for name in changed:
            self._note("generators", f"{where}: drew from {name}; draw from state.generator('what for')")

    @contextmanager
    def _weights_kept(self, where: str, only_frozen: bool) -> Iterator[None]:
        network = self._state.current if self._state is not None else None
        modules: list[tuple[str, nn.Module]] = [("the network's", network)] if network is not None else []
        teacher = self._state.teacher if self._state is not None else None
        if teacher is not None:
            modules.append(("the teacher's", teacher.network))
        before = [(whose, _tensors(module, only_frozen)) for whose, module in modules]
        yield
        for whose, tensors in before:
            for name, (tensor, copy) in tensors.items():
                if not torch.equal(tensor.detach(), copy):
                    rule, what = ("frozen", "frozen") if only_frozen else ("weights", "own")
                    if whose == "the teacher's":
                        rule = "frozen"
                    self._note(rule, f"{where}: changed {whose} {what} {name}")

    @contextmanager
    def _nothing_waited_for(self, where: str) -> Iterator[None]:
        with _Waits(self._plugin) as waits, _Reads(waits):
            yield
        for operation in dict.fromkeys(waits.seen):
            hint = "leave values on it, and keep to operations of known sizes"
            self._note("waits", f"{where}: {operation} has to wait for the device; {hint}")

    def _check_terms(self, answer: object, where: str) -> None:
        if answer is None:
            return
        if not isinstance(answer, list) or not all(isinstance(term, LossTerm) for term in answer):
            self._note("terms", f"{where}: gave {answer!r}; give a list of LossTerm, or None")
            return
        for term in answer:
            for problem in _problems_of(term):
                self._note("terms", f"{where}: term '{term.name}' {problem}")


class _Waits(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the operations that a device would be waited for."""

    def __init__(self, plugin: type[Plugin]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._plugin = plugin
        self.seen: list[str] = []
        self.is_off = False

    def note(self, operation: str) -> None:
        """Remember an operation, and the line of the plug-in that asks for it."""
        self.seen.append(f"{operation}{_line(_own_frame(self._plugin))}")

    def __torch_dispatch__(
        self,
        function: Any,  # noqa: ANN401
        types: Any,  # noqa: ANN401
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Run ``function``, and remember it if it is one of them."""
        name = function.overloadpacket.__name__
        if self.is_off:
            pass
        elif name in _WAITING:
            self.note("item()" if name == "_local_scalar_dense" else name)
        elif name == "repeat_interleave" and (kwargs or {}).get("output_size") is None:
            self.note("repeat_interleave without output_size")
        elif name in ("index", "index_put", "index_put_", "_index_put_impl_") and any(map(_is_mask, args[1])):
            self.note("indexing with a mask")
        return function(*args, **(kwargs or {}))


class _Reads(TorchFunctionMode):
    """Notes in ``waits`` the methods in ``_READING``, of whose operations a CPU does nothing.

    The other way round ``one_hot``: with the number of classes given, it looks at the labels on a CPU alone.
    """

    def __init__(self, waits: _Waits) -> None:
        super().__init__()
        self._waits = waits

    def __torch_function__(
        self,
        function: Any,  # noqa: ANN401
        types: Any,  # noqa: ANN401
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Call ``function``, and note it if it is one of them."""
        options = kwargs or {}
        reading = _READING.get(function)
        words = [word for word in (*args, *options.values()) if isinstance(word, str)]
        if function is Tensor.to and "cpu" in words:
            reading = "to('cpu')"
        if reading is not None:
            self._waits.note(reading)
        classes = args[1] if function is one_hot and len(args) > 1 else options.get("num_classes", -1)
        self._waits.is_off = reading is not None or (function is one_hot and classes >= 0)
        try:
            return function(*args, **options)
        finally:
            self._waits.is_off = False


def _own_frame(plugin: type[Plugin]) -> traceback.FrameSummary | None:
    """The innermost line under way that is the plug-in's; else that of whoever is neither torch nor incrlearn."""
    libraries = {Path(torch.__file__).parent, Path(__file__).parents[1]}
    others = [frame for frame in traceback.extract_stack() if not libraries & set(Path(frame.filename).parents)]
    own = [frame for frame in others if _is_source_of(plugin, frame.filename)]
    return next(reversed(own or others), None)


def _line(frame: traceback.FrameSummary | None) -> str:
    """``" in file.py, line 5,"``, or nothing."""
    return f" in {Path(frame.filename).name}, line {frame.lineno}," if frame is not None else ""


def _is_source_of(plugin: type[Plugin], file: str) -> bool:
    """Whether a file is the one of a plug-in, of the package that it lies in, or a helper beside it."""
    own = getattr(sys.modules[plugin.__module__], "__file__", None)
    package = sys.modules.get(plugin.__module__.partition(".")[0])
    folders = [Path(folder) for folder in getattr(package, "__path__", [])]
    if not folders and own is not None:
        folders = [Path(own).parent]
    is_installed = "site-packages" in file and "site-packages" not in str(own)
    return file == own or (not is_installed and any(folder in Path(file).parents for folder in folders))


def _is_mask(index: object) -> bool:
    return isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8)


def _generators() -> dict[str, object]:
    """The states of all global generators, comparable."""
    name, keys, *rest = np.random.get_state()
    states: dict[str, object] = {
        "torch's global generator": torch.get_rng_state().numpy().tobytes(),
        "numpy's global generator": (name, np.asarray(keys).tobytes(), *rest),
        "random's global generator": random.getstate(),
    }
    if torch.cuda.is_available():
        states["torch's global CUDA generator"] = torch.cuda.get_rng_state().numpy().tobytes()
    return states


def _tensors(module: nn.Module, only_frozen: bool) -> dict[str, tuple[Tensor, Tensor]]:
    """Parameters and buffers with copies of what they hold.

    With ``only_frozen`` parameters without gradients alone, and buffers beside such. What is attached is then left out:
    whoever attached it may move its weights by hand, as those of a running mean.
    """
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for path, part in module.named_modules():
        own, buffers = dict(part.named_parameters(recurse=False)), dict(part.named_buffers(recurse=False))
        if only_frozen:
            frozen = {name: parameter for name, parameter in own.items() if not parameter.requires_grad}
            buffers = buffers if frozen and len(frozen) == len(own) else {}
            own = {} if path.startswith("attachments.") else frozen
            buffers = {} if path.startswith("attachments.") else buffers
        for name, tensor in (own | buffers).items():
            found[f"{path}.{name}".removeprefix(".")] = (tensor, tensor.detach().clone())
    return found


def _problems_of(term: LossTerm) -> list[str]:
    if not isinstance(term.value, Tensor) or term.value.dim() != 0:
        shape = tuple(term.value.shape) if isinstance(term.value, Tensor) else type(term.value).__name__
        return [f"is {shape}, not a scalar tensor"]
    problems = []
    if not bool(torch.isfinite(term.value)):
        problems.append(f"is {term.value.item()}, which is not finite")
    # With a weight of 0 it is there to be read alone.
    if not term.value.requires_grad and float(term.weight) != 0:
        problems.append("has no gradient: no weight can be learned from it")
    if isinstance(term.weight, Tensor) and (term.weight.dim() != 0 or term.weight.requires_grad):
        problems.append("has a weight that is no scalar without gradient")
    return problems
