"""Where the models of this process run, and where they go on when memory runs out there.

Imported only inside the worker and by `watcher score`: it loads torch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Protocol

from watcher.score.devices import CHOSEN, NOBODY, Device, choose_device
from watcher.score.gpus import Probe
from watcher.score.memory import be_quiet, limit_memory, set_threads
from watcher.score.placing import devices_for
from watcher.score.settings import ScorerSettings
from watcher.score.together import Scorers, Together


class Next(Protocol):
    """Chooses the device after those that were left."""

    def __call__(self, *, without: Collection[str]) -> Device:
        """Look at the GPUs as they are now."""


class Place:
    """The device that a model runs on; once left, a device is not come back to."""

    def __init__(
        self, device: Device, following: Next | None = None, enter: Callable[[Device], None] | None = None
    ) -> None:
        self.device = device
        self._following = following
        """None where the user fixed the device."""
        self._enter = enter
        self._left: dict[str, str] = {}
        """Why each device was left, in this order."""
        if enter is not None:
            enter(device)

    @classmethod
    def fixed(cls, name: str) -> Place:
        """Give a place that is never left."""
        return cls(Device(name, "fixed"))

    @classmethod
    def choose(
        cls,
        settings: ScorerSettings,
        needed: int,
        trainings: Mapping[int, str] = NOBODY,
        probe: Probe | None = None,
        enter: Callable[[Device, int | None], None] | None = None,
    ) -> Place:
        """Choose a device as `choose_device` does, and go there.

        Only with `auto` and `shared` may it be left: who fixed a device gets an error that is tried again rather
        than another device. `enter` is `enter` of this module, unless another one is given.
        """
        scorers = {"": settings}
        return places(scorers, {"": needed}, trainings, probe, enter)[""]

    def move(self, why: str) -> bool:
        """Go on to the next suitable device; False where there is none after this one."""
        if self._following is None or self.device.name == "cpu":
            return False
        self._left[self.device.name] = why
        found = self._following(without=self._left.keys())
        told = ", then ".join(f"from {name}: {reason}" for name, reason in self._left.items())
        self.device = replace(found, reason=f"moved {told}; {found.reason}")
        if self._enter is not None:
            self._enter(self.device)
        return True


Places = Mapping[str, Place]
"""The place of each scorer."""


def places(
    scorers: Scorers,
    needed: Mapping[str, int],
    trainings: Mapping[int, str] = NOBODY,
    probe: Probe | None = None,
    enter: Callable[[Device, int | None], None] | None = None,
) -> Places:
    """Choose the places of all models before any is loaded; `needed` gives the bytes that each takes, in this order."""
    threads = Together.of(scorers).threads
    devices = devices_for(scorers, needed, probe, trainings)
    return {
        name: Place(
            device,
            _following(scorers[name], needed[name], trainings, probe),
            lambda chosen: (enter or _enter)(chosen, threads),
        )
        for name, device in devices.items()
    }


def _following(settings: ScorerSettings, needed: int, trainings: Mapping[int, str], probe: Probe | None) -> Next | None:
    """Give what chooses the device after one that was left; None where the user fixed it."""
    if settings.device not in CHOSEN:
        return None
    return partial(choose_device, settings.device, probe, needed=needed, reserve=settings.reserve, trainings=trainings)


def limited(device: Device, _threads: int | None = None) -> None:
    """Keep to what may be allocated on a GPU that is shared."""
    if device.limit is not None:
        limit_memory(device.name, device.limit)


def _enter(device: Device, threads: int | None) -> None:
    """Make this process a guest on its device: a limit on a shared GPU, the lowest priority on the CPU."""
    if device.name == "cpu":
        be_quiet()
        set_threads(threads)
    limited(device)
