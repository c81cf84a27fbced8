"""Which step a training was at at a wall time, by all its event files: for pictures that say only their epoch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from watcher.discover import events
from watcher.discover.steps import StepClock

OWN = re.compile(r"watcher(-.+-[0-9a-f]{12})?")
"""Folders that this program itself writes event files into."""


def step_at(folder_files: Sequence[Path], at: float) -> int | None:
    """Give the step of the last scalar that a training logged at or before a wall time; None before the first.

    Scalars that count epochs or samples in the place of steps are left aside, and so is what this program itself wrote.
    Only what has come since the last question is read, and nothing of files that are known up to the time asked for.
    """
    found = [clock for file in folder_files if (clock := _read(file, at)) and clock.at(at) is not None]
    return max(found, key=lambda clock: clock.since(at)).at(at) if found else None


def has_logged_since(folder_files: Sequence[Path], at: float) -> bool:
    """Tell whether a training has logged scalars after a wall time: what it logged before that is then all there."""
    return any(clock.last > at for file in folder_files if (clock := _read(file, at)))


def counts_steps(tag: str) -> bool:
    """Tell whether a scalar is logged at the optimizer's step, by its tag.

    Means over an epoch are logged at the epoch (sd-scripts `loss/epoch`, diffusion-pipe `train/epoch_loss`), and
    DeepSpeed's own (`Train/Samples/lr`) at the number of samples.
    """
    return "epoch" not in tag.lower() and not tag.startswith("Train/Samples/")


def is_own(file: Path) -> bool:
    """Tell whether an event file is this program's and not the trainer's."""
    return OWN.fullmatch(file.parent.name) is not None


class _Clock(StepClock):
    """An event file that may hold pictures too: read record by record, and only its scalars count."""

    def read(self) -> None:
        try:
            if self._path.stat().st_size == self._offset:
                return
            if self._path.stat().st_size < self._offset:  # another file by the same name
                self._forget()
            for offset, event in events.read(self._path, self._offset):
                self._take(event)
                self._offset = offset
        except (OSError, ValueError):  # gone, or broken from here on: what came before holds
            return

    def _take(self, event: Any) -> None:
        if any(self._counts_steps(one.tag) for one in events.scalars(event)):
            self.last = event.wall_time
            self._step(event.step, event.wall_time)


def _read(file: Path, at: float) -> _Clock | None:
    if is_own(file):
        return None
    try:
        clock = _clock(file, file.stat().st_ino)
    except OSError:
        return None
    if clock.last <= at:
        clock.read()
    return clock


@lru_cache(maxsize=1024)
def _clock(file: Path, inode: int) -> _Clock:  # noqa: ARG001 - what it is kept by
    return _Clock(file, counts_steps)
