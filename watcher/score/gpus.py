"""The GPUs of this machine as NVML shows them, looked at for a second: a training between two steps is not idle."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

LOOKS = 5
"""So often each GPU is looked at; the worst counts."""
BETWEEN = 0.25
"""Seconds between two looks. NVML's utilisation is that of the last sixth of a second to a second, by the GPU."""


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
    processes: tuple[int, ...] = ()
    """Pids of what computes on it, but for this process and the screen's; in a container those of others are hidden."""
    trouble: str = ""
    """Why it does not tell, as one that is cut into slices (MIG)."""

    @property
    def name(self) -> str:
        """Give it as torch has it."""
        return f"cuda:{self.index}"


class Probe(Protocol):
    """Looks at the GPUs; tests drive this seam."""

    def gpus(self) -> list[Gpu]:
        """Give the GPUs that this process may use."""


def check_torch() -> None:
    """See to it that torch can use a GPU.

    Raises:
        RuntimeError: it is not made for that.

    """
    import torch

    if not torch.cuda.is_available():
        raise RuntimeError("this torch cannot use the one that is here; install its CUDA build")


class Nvml:
    """NVIDIA's management library; `library` stands in for the module pynvml, `pause` for waiting."""

    def __init__(
        self,
        library: Any = None,
        pause: Callable[[float], object] = time.sleep,
        check: Callable[[], None] = check_torch,
    ) -> None:
        self._library = library
        self._pause = pause
        self._check = check

    def gpus(self) -> list[Gpu]:
        """Give the GPUs that CUDA_VISIBLE_DEVICES leaves, in torch's numbering; takes about a second.

        Raises:
            pynvml.NVMLError: there is no driver.
            RuntimeError: there is one, but this torch is not made for it.

        """
        nvml = self._library or _pynvml()
        nvml.nvmlInit()
        try:
            uuids = [_uuid(nvml, number) for number in range(nvml.nvmlDeviceGetCount())]
            seen = visible(uuids, os.environ.get("CUDA_VISIBLE_DEVICES"))
            if seen:
                self._check()
            return self._look(nvml, seen)
        finally:
            nvml.nvmlShutdown()

    def _look(self, nvml: Any, seen: Sequence[int]) -> list[Gpu]:
        looks: list[list[Gpu]] = []
        for _ in range(LOOKS if seen else 0):
            if looks:
                self._pause(BETWEEN)
            looks.append([_look(nvml, place, number) for place, number in enumerate(seen)])
        return [_worst(of_one) for of_one in zip(*looks, strict=True)]


def held(pids: Collection[int], library: Any = None) -> list[tuple[int, int]]:
    """Give which of some processes still hold memory, as (GPU as nvidia-smi counts, pid); nothing where NVML is not."""
    try:
        nvml = library or _pynvml()
        nvml.nvmlInit()
    except Exception:  # noqa: BLE001 - no module, no driver, or a broken one: each has errors of its own
        return []
    try:
        handles = [(number, nvml.nvmlDeviceGetHandleByIndex(number)) for number in range(nvml.nvmlDeviceGetCount())]
        return [(number, pid) for number, handle in handles for pid in _processes(nvml, handle) if pid in pids]
    except nvml.NVMLError:
        return []
    finally:
        with suppress(nvml.NVMLError):
            nvml.nvmlShutdown()


def _pynvml() -> Any:
    import pynvml

    return pynvml


def _uuid(nvml: Any, number: int) -> str:
    try:
        return str(nvml.nvmlDeviceGetUUID(nvml.nvmlDeviceGetHandleByIndex(number)))
    except nvml.NVMLError:  # it is looked at all the same, and then says why it cannot be used
        return ""


def _look(nvml: Any, place: int, number: int) -> Gpu:
    """Look at one GPU once; one that does not tell, such as a partitioned one, says why and hides no other."""
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(number)
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        percent = nvml.nvmlDeviceGetUtilizationRates(handle).gpu
        processes = _processes(nvml, handle)
    except nvml.NVMLError as error:
        return Gpu(place, free=0, used=0, percent=100, trouble=str(error))
    return Gpu(place, free=memory.free, used=memory.used, percent=percent, processes=processes)


def _processes(nvml: Any, handle: Any) -> tuple[int, ...]:
    """Give the pids of what computes and does not draw: a desktop's programs do both."""
    try:
        drawing = {process.pid for process in nvml.nvmlDeviceGetGraphicsRunningProcesses(handle)}
    except nvml.NVMLError:  # a GPU without a screen
        drawing = set()
    found = {process.pid for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle)}
    return tuple(sorted(found - drawing - {os.getpid()}))


def _worst(looks: Sequence[Gpu]) -> Gpu:
    return Gpu(
        looks[0].index,
        free=min(look.free for look in looks),
        used=max(look.used for look in looks),
        percent=max(look.percent for look in looks),
        processes=tuple(sorted({pid for look in looks for pid in look.processes})),
        trouble=next((look.trouble for look in looks if look.trouble), ""),
    )


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
