"""Where the model runs: a GPU that nobody uses, else the CPU, always with the reason."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

BUSY_PERCENT = 10
"""A GPU that is busier than this is taken to be training."""
DESKTOP = 2 * 2**30
"""Bytes that a screen may use. More is taken for training: in a container NVML shows no process of others."""
NEEDED = 4 * 2**30
"""Bytes that must be free: the largest common CLIP in fp32 with a batch, and a margin."""


@dataclass(frozen=True, slots=True)
class Device:
    """A torch device and why it was chosen."""

    name: str
    reason: str

    def __str__(self) -> str:
        """Give both."""
        return f"{self.name} ({self.reason})"


@dataclass(frozen=True, slots=True)
class Gpu:
    """What NVML says of one GPU."""

    index: int
    """As torch numbers it, after CUDA_VISIBLE_DEVICES."""
    free: int
    """Bytes."""
    used: int
    """Bytes."""
    percent: int
    """Utilisation."""
    processes: int
    """Compute processes on it."""


class Probe(Protocol):
    """Looks at the GPUs; tests drive this seam."""

    def gpus(self) -> list[Gpu]:
        """Give the GPUs that this process may use."""


def choose_device(wanted: str, probe: Probe | None = None) -> Device:
    """Choose a device: what the user fixed, else a free GPU with the most memory, else the CPU.

    Has to come before CUDA is used in this process: from here on torch numbers GPUs as NVML and nvidia-smi do.
    """
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    if wanted != "auto":
        return Device(wanted, "set in the configuration")
    try:
        gpus = (probe or Nvml()).gpus()
    except Exception as error:  # noqa: BLE001 - without driver or library NVML fails in many ways
        return Device("cpu", f"no GPU: {error}")
    free = [gpu for gpu in gpus if _is_free(gpu)]
    if not free:
        return Device("cpu", f"all {len(gpus)} GPUs are in use or too full" if gpus else "no GPU")
    best = max(free, key=lambda gpu: gpu.free)
    return Device(f"cuda:{best.index}", f"unused, {best.free / 2**30:.0f} GiB free")


def _is_free(gpu: Gpu) -> bool:
    return gpu.processes == 0 and gpu.percent <= BUSY_PERCENT and gpu.used <= DESKTOP and gpu.free >= NEEDED


class Nvml:
    """NVIDIA's management library."""

    def gpus(self) -> list[Gpu]:
        """Give the GPUs that CUDA_VISIBLE_DEVICES leaves, in torch's numbering.

        Raises:
            pynvml.NVMLError: there is no driver.
            RuntimeError: there is one, but this torch is not made for it.

        """
        import pynvml

        pynvml.nvmlInit()
        try:
            handles = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
            seen = visible(
                [str(pynvml.nvmlDeviceGetUUID(one)) for one in handles], os.environ.get("CUDA_VISIBLE_DEVICES")
            )
            if seen:
                _check_torch()
            return [_look(pynvml, place, handles[number]) for place, number in enumerate(seen)]
        finally:
            pynvml.nvmlShutdown()


def _look(nvml: Any, place: int, handle: Any) -> Gpu:
    """Ask about one GPU; one that does not tell, such as a partitioned one, counts as busy."""
    try:
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        percent = nvml.nvmlDeviceGetUtilizationRates(handle).gpu
        processes = len(nvml.nvmlDeviceGetComputeRunningProcesses(handle))
    except nvml.NVMLError:
        return Gpu(place, free=0, used=0, percent=100, processes=0)
    return Gpu(place, free=memory.free, used=memory.used, percent=percent, processes=processes)


def _check_torch() -> None:
    import torch

    if not torch.cuda.is_available():
        raise RuntimeError("this torch cannot use the one that is here; install its CUDA build")


def visible(uuids: Sequence[str], given: str | None) -> list[int]:
    """Give the numbers of the GPUs that a CUDA_VISIBLE_DEVICES leaves, in its order.

    As CUDA reads it: numbers or beginnings of UUIDs, separated by commas; what is no GPU ends the list, and one
    that is named twice leaves none. Unset, it leaves all.
    """
    if given is None:
        return list(range(len(uuids)))
    found: list[int] = []
    for part in given.split(","):
        number = _number(part.strip(), uuids)
        if number is None:
            break
        found.append(number)
    return found if len(set(found)) == len(found) else []


def _number(part: str, uuids: Sequence[str]) -> int | None:
    if part.isascii() and part.isdigit():
        return int(part) if int(part) < len(uuids) else None
    alike = [number for number, uuid in enumerate(uuids) if uuid.startswith(part)]
    return alike[0] if part.startswith("GPU-") and len(alike) == 1 else None
