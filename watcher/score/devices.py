"""Where the model runs: a GPU that nobody uses, else the CPU, always with the reason."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Protocol

BUSY_PERCENT = 10
"""A GPU that is busier than this is taken to be training."""
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
    percent: int
    """Utilisation."""
    processes: int
    """Compute processes on it."""


class Probe(Protocol):
    """Looks at the GPUs; tests drive this seam."""

    def gpus(self) -> list[Gpu]:
        """Give the GPUs that this process may use."""


def choose_device(wanted: str, probe: Probe | None = None) -> Device:
    """Choose a device: what the user fixed, else a free GPU with the most memory, else the CPU."""
    if wanted != "auto":
        return Device(wanted, "set in the configuration")
    try:
        gpus = (probe or Nvml()).gpus()
    except Exception as error:  # noqa: BLE001 - without driver or library NVML fails in many ways
        return Device("cpu", f"no GPU: {error}")
    free = [gpu for gpu in gpus if gpu.processes == 0 and gpu.percent <= BUSY_PERCENT and gpu.free >= NEEDED]
    if not free:
        return Device("cpu", f"all {len(gpus)} GPUs are in use or too full" if gpus else "no GPU")
    best = max(free, key=lambda gpu: gpu.free)
    return Device(f"cuda:{best.index}", f"unused, {best.free / 2**30:.0f} GiB free")


class Nvml:
    """NVIDIA's management library."""

    def gpus(self) -> list[Gpu]:
        """Give the GPUs that CUDA_VISIBLE_DEVICES leaves, in torch's numbering.

        Raises:
            pynvml.NVMLError: there is no driver.

        """
        import pynvml

        pynvml.nvmlInit()
        try:
            visible = _visible(pynvml.nvmlDeviceGetCount())
            return [self._gpu(pynvml, place, number) for place, number in enumerate(visible)]
        finally:
            pynvml.nvmlShutdown()

    def _gpu(self, nvml: Any, place: int, number: int) -> Gpu:
        handle = nvml.nvmlDeviceGetHandleByIndex(number)
        return Gpu(
            index=place,
            free=nvml.nvmlDeviceGetMemoryInfo(handle).free,
            percent=nvml.nvmlDeviceGetUtilizationRates(handle).gpu,
            processes=len(nvml.nvmlDeviceGetComputeRunningProcesses(handle)),
        )


def _visible(count: int) -> list[int]:
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is None:
        return list(range(count))
    numbers = [int(part) for part in given.split(",") if part.strip().isdigit()]
    return [number for number in numbers if number < count]
