"""Where and in what precision a run computes: a small surface over lightning-fabric."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision, Precision
from torch import Tensor, nn

from incrlearn.errors import DeviceError


class Runtime:
    """One device and one precision.

    Args:
        device: auto, cpu, cuda, cuda:N or mps; auto takes CUDA where there is one, then MPS, then the CPU.
        precision: auto, float32 or bf16; auto takes bf16 where the hardware has it.

    Raises:
        DeviceError: this machine has no such device.
    """

    def __init__(self, device: str | torch.device, precision: str) -> None:
        self.device = resolve_device(device)
        if precision == "auto":
            precision = "bf16" if has_bf16(self.device) else "float32"
        self.precision = precision
        index = self.device.index or 0
        self._fabric = Fabric(
            accelerator=self.device.type,
            devices=1 if self.device.type == "cpu" else [index],
            # Given as an object and not as a word, which Fabric would announce on the terminal.
            plugins=MixedPrecision("bf16-mixed", self.device.type) if precision == "bf16" else Precision(),
        )
        if self.device.type == "cuda":
            # Shapes repeat all through a phase, so searching for the fastest convolution pays.
            torch.backends.cudnn.benchmark = True

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """Forward passes belong in here."""
        with self._fabric.autocast():
            yield

    def backward(self, loss: Tensor) -> None:
        """Gradients of a scalar loss."""
        self._fabric.backward(loss)

    def place(self, module: nn.Module) -> None:
        """Move a module to the device, convolutions with channels last."""
        # Fabric's setup would wrap the module and hide the attributes that plug-ins use.
        module.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def hardware(self) -> dict[str, str | int]:
        """What the run computes on, for its record."""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else cpu_name()
        return {
            "device": str(self.device),
            "name": name,
            "threads": torch.get_num_threads(),
            "system": platform.platform(),
        }


def resolve_device(asked: str | torch.device) -> torch.device:
    """The device meant by ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; torch's own objects are taken too.

    Raises:
        DeviceError: no such device, here or at all.
    """
    if isinstance(asked, torch.device) and asked.type == "cpu":
        # Whatever its number: there is one.
        return asked
    text = str(asked)
    if text == "auto":
        text = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    kind, _, index = text.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not (kind == "cuda" and index.isdecimal())):
        raise DeviceError(f"no device is called '{text}'; write auto, cpu, cuda, cuda:N or mps")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise DeviceError(f"device '{text}' is not there: this machine has {torch.cuda.device_count()} CUDA devices")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("device 'mps' is not there: this machine has no Metal device")
    return torch.device(kind, int(index or 0)) if kind == "cuda" else torch.device(kind)


def has_bf16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 itself, without emulation."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return cpu_has_bf16()
    return False


def cpu_has_bf16() -> bool:
    """Whether the CPU has bfloat16 matrix instructions (AVX512-BF16, AMX, or Arm's), by what the system says of it.

    torch offers no public question for this; without the instructions bf16 is emulated and slower than float32.
    """
    return flags_have_bf16(_cpuinfo())


def flags_have_bf16(cpuinfo: str) -> bool:
    """Whether the text of ``/proc/cpuinfo`` names bfloat16 instructions."""
    return bool(set(cpuinfo.split()) & {"avx512_bf16", "amx_bf16", "bf16"})


def cpu_name() -> str:
    """The processor's name."""
    names = [line.partition(":")[2].strip() for line in _cpuinfo().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""
