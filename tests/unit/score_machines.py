"""A machine for tests: devices with as much room as a test wants, and a model that is moved among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from watcher.demo.stage import CLIP
from watcher.score import Gpu, ScorerSettings
from watcher.score.place import Place

GIB = 2**30
NO_ROOM = -1
"""Of a device that has not even room for the model."""


def oom() -> Exception:
    return torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


class Machine:
    """Devices that have room for so many images at once, and a model that may be moved among them."""

    def __init__(self, **rooms: int) -> None:
        self.rooms = {name.replace("cuda", "cuda:"): room for name, room in rooms.items()}
        self.busy: set[str] = set()
        self.device = ""
        self.tried: list[tuple[str, int]] = []
        self.entered: list[str] = []

    def gpus(self) -> list[Gpu]:
        """Show the GPUs as NVML would; the first has the most memory, so that they are taken in order."""
        names = sorted(name for name in self.rooms if name != "cpu")
        return [
            Gpu(place, free=(90 - place) * GIB, used=0, percent=99 if name in self.busy else 0)
            for place, name in enumerate(names)
        ]

    def to(self, device: str) -> None:
        if self.rooms[device] == NO_ROOM:
            raise oom()
        self.device = device

    def look(self, part: Sequence[Any]) -> list[Any]:
        self.tried.append((self.device, len(part)))
        if len(part) > self.rooms[self.device]:
            raise oom()
        return list(part)

    def place(self, wanted: str = "auto") -> Place:
        asked = ScorerSettings(model=str(CLIP), device=wanted)
        made = Place.choose(asked, GIB, probe=self, enter=lambda device, _: self.entered.append(device.name))
        self.device = made.device.name
        return made
