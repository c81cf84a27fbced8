"""When which step was: read from the event files that a trainer writes for TensorBoard, as they grow.

The records are split here, and only their events parsed with TensorBoard's own classes: its loader checks every byte
in Python, which takes twenty times as long, and this runs in the loop that does everything else.
"""

from __future__ import annotations

import math
import struct
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIMIT = 65_536
"""Steps of a file that are remembered: its newest quarter one by one, older ones as densely as there is room for."""
_HEADER = struct.Struct("<QI")
_FOOTER = 4
Counts = Callable[[str], bool]
"""Tells by a scalar's tag what its step counts."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The end of an epoch in an event file; wall times."""

    epoch: int
    step: int
    """The last step before it."""
    at: float
    until: float
    """When the next step was logged; infinite while there is none."""


class StepClock:
    """One event file: the wall time of every step, and where epochs ended.

    Where the machine's clock was set back, what it said before and after that time counts no more.
    """

    def __init__(self, path: Path, counts_steps: Counts, counts_epochs: Counts = lambda _tag: False) -> None:
        self._path = path
        self._counts_steps = counts_steps
        self._counts_epochs = counts_epochs
        self._forget()

    def _forget(self) -> None:
        self._offset = 0
        self._times, self._steps, self._numbers = array("d"), array("q"), array("q")
        self._count, self._stride = 0, 1
        self._marks: dict[int, list[Mark]] = {}
        self._open: Mark | None = None
        self.last = -math.inf
        """Wall time of the last event."""

    def read(self) -> None:
        """Take in what was written since; a record that is not whole yet waits for the next time."""
        try:
            with self._path.open("rb") as file:
                if file.seek(0, 2) < self._offset:  # another file by the same name
                    self._forget()
                file.seek(self._offset)
                data = file.read()
        except OSError:
            return
        for event in self._events(data):
            self._take(event)

    def at(self, wall_time: float) -> int | None:
        """Give the last step that was logged at or before a time; None before the first."""
        place = bisect_right(self._times, wall_time)
        return self._steps[place - 1] if place else None

    def since(self, wall_time: float) -> float:
        """Give when the last step at or before a time was logged; minus infinity before the first."""
        place = bisect_right(self._times, wall_time)
        return self._times[place - 1] if place else -math.inf

    def marks(self, epoch: int) -> Sequence[Mark]:
        """Give where an epoch ended, oldest first."""
        found = self._marks.get(epoch, [])
        return [*found, self._open] if self._open and self._open.epoch == epoch else found

    @property
    def epochs(self) -> int | None:
        """The latest epoch that ended; None when none is marked."""
        return self._open.epoch if self._open else max(self._marks, default=None)

    def _events(self, data: bytes) -> Iterator[Any]:
        from google.protobuf.message import DecodeError
        from tensorboard.compat.proto.event_pb2 import Event

        place = 0
        while place + _HEADER.size <= len(data):
            start = place + _HEADER.size
            end = start + _HEADER.unpack_from(data, place)[0]
            if end + _FOOTER > len(data):
                return
            place = end + _FOOTER
            self._offset += place - start + _HEADER.size
            try:
                yield Event.FromString(data[start:end])
            except DecodeError:  # one record that makes no sense tells nothing of the others
                continue

    def _take(self, event: Any) -> None:
        self.last = now = event.wall_time
        tags = [value.tag for value in event.summary.value]
        if any(self._counts_steps(tag) for tag in tags):
            self._step(event.step, now)
        elif any(self._counts_epochs(tag) for tag in tags) and self._steps:
            self._close(math.inf)
            self._open = Mark(event.step, self._steps[-1], now, math.inf)

    def _step(self, step: int, now: float) -> None:
        self._close(now)
        while self._times and self._times[-1] > now:
            for numbers in (self._times, self._steps, self._numbers):
                numbers.pop()
        if not self._steps or self._steps[-1] != step:
            self._times.append(now)
            self._steps.append(step)
            self._numbers.append(self._count)
            self._count += 1
            self._thin()

    def _thin(self) -> None:
        """Forget older steps evenly, once there are too many."""
        while len(self._numbers) > LIMIT:
            self._stride *= 2
            exact = len(self._numbers) - LIMIT // 4
            kept = [place for place, n in enumerate(self._numbers) if place >= exact or n % self._stride == 0]
            self._times = array("d", [self._times[place] for place in kept])
            self._steps = array("q", [self._steps[place] for place in kept])
            self._numbers = array("q", [self._numbers[place] for place in kept])

    def _close(self, until: float) -> None:
        """Note when the training went on after the end of an epoch."""
        if self._open is not None:
            mark = Mark(self._open.epoch, self._open.step, self._open.at, until)
            self._marks.setdefault(mark.epoch, []).append(mark)
            self._open = None
