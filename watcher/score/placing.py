"""Where each of several models runs: all are placed before any is loaded, and each leaves the others their room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from watcher.score.devices import NOBODY, Device, choose_device
from watcher.score.gpus import Gpu, Nvml, Probe
from watcher.score.together import Scorers


@dataclass(frozen=True, slots=True)
class Beside:
    """Sees GPUs as they will be once the models that were placed before are loaded."""

    probe: Probe
    taken: Mapping[str, int]
    """Bytes that they take, by device."""

    def gpus(self) -> list[Gpu]:
        """Give the GPUs with what is left of them."""
        seen = self.probe.gpus()
        return [replace(gpu, free=max(0, gpu.free - self.taken.get(f"cuda:{gpu.index}", 0))) for gpu in seen]


def devices_for(
    scorers: Scorers, needed: Mapping[str, int], probe: Probe | None = None, trainings: Mapping[int, str] = NOBODY
) -> dict[str, Device]:
    """Choose the device of every model in `needed`, which gives the bytes that each takes; in that order.

    A limit is what torch may allocate there for all models together, as it holds for the whole process.
    """
    taken: Counter[str] = Counter()
    chosen: dict[str, Device] = {}
    limits: dict[str, int] = {}
    for name, size in needed.items():
        settings = scorers[name]
        seen = Beside(probe or Nvml(), taken)
        device = choose_device(settings.device, seen, needed=size, reserve=settings.reserve, trainings=trainings)
        if device.limit is not None:
            whole = device.limit + taken[device.name]
            limits[device.name] = min(whole, limits.get(device.name, whole))
        chosen[name] = device
        taken["cuda:0" if device.name == "cuda" else device.name] += size
    return {name: replace(device, limit=limits.get(device.name)) for name, device in chosen.items()}


def told(devices: Mapping[str, Device]) -> str:
    """Say where the models run, and why there: the main one first, others where they run elsewhere."""
    (_, main), *others = devices.items()
    elsewhere = [f"{name} on {device}" for name, device in others if device.name != main.name]
    return "; ".join([str(main), *elsewhere])
