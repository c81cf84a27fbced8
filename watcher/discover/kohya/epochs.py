"""Which step an epoch's samples are of, by the scalars that the training logs.

sd-scripts logs `loss/epoch_average` (`loss/epoch` before 2025) at the end of each epoch, with the epoch in the place
of the step, right before it saves and samples, and nothing until it has sampled. So samples of epoch 3 belong to the
event file that stood still, at the time they were written, at the end of its epoch 3; their step is the last one
before that. This tells several trainings that share a logging folder apart, holds for all images of an epoch alike,
and waits for the epoch's end to be seen rather than trust whichever step was seen last.

That the end is on disk before the images are: accelerate's TensorBoard tracker flushes each clock, and the writer then
closes its file. Where TensorFlow's own writer is used over a network, others may see it later than the images: an
image whose epoch has not ended in the file yet is left for later, for `PATIENCE` seconds.

Source: sd-scripts, `train_network.py`: `epoch_logging`, `step_logging` (`accelerator.clock` in older scripts).
musubi-tuner does the same, `training/trainer_base.py`: `_run_training_loop`.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from watcher.discover.events import PREFIX
from watcher.discover.kohya.training import Training
from watcher.discover.layout import Place
from watcher.discover.steps import StepClock

SLACK = 2.0
"""Seconds by which the clocks of images and of events may differ."""
LONGEST = 6 * 3600.0
"""Seconds; no sampling takes longer."""
PATIENCE = 120.0
"""Seconds for which an image waits for its epoch's end to be seen."""
STAMP = 14
"""Digits of the time that ends the name of a start's folder."""
Know = Callable[[Place], Training]
"""Puts together what is known of a training."""


def counts_steps(tag: str) -> bool:
    """Tell the scalars that are logged at the optimizer's step; validation losses once were logged beyond it."""
    return tag.startswith("lr/") or tag in ("loss", "loss/current", "loss/average")


def counts_epochs(tag: str) -> bool:
    """Tell the scalar that is logged at the end of an epoch."""
    return tag in ("loss/epoch", "loss/epoch_average")


@dataclass(frozen=True, slots=True)
class EventFile:
    """An event file of one start; wall times."""

    path: Path
    start: float
    changed: float
    size: int
    """Bytes."""
    pid: int
    """Of the process that writes it, on its own machine."""


def event_files(known: Training) -> list[EventFile]:
    """Give the event files of all starts that could be this training's, by time."""
    base = known.path("logging_dir")
    folders = () if base is None else _starts(base, known.text("log_prefix"))
    found = [file for start in folders for folder in (start, *_folders(start)) for file in _files(folder)]
    return sorted(found, key=lambda file: (file.start, file.path))


class EpochSteps:
    """The ends of one training's epochs, read as far as they are asked for.

    The loop asks for those of checkpoints while others look for images beside it: one answers after the other, as what
    was read of a file must not be read twice.
    """

    def __init__(self, place: Place, know: Know) -> None:
        self._place, self._know = place, know
        self._lock = threading.Lock()
        self._seen_until = -math.inf
        self._files: list[EventFile] = []
        self._clocks: dict[Path, tuple[EventFile | None, StepClock]] = {}

    def find(self, epoch: int, written_at: float) -> int | None:
        """Give the step at the end of the epoch whose samples or checkpoint were written then; None if unsure."""
        with self._lock:
            ends = [
                (file, clock.last, mark.step)
                for file, clock in self._at(written_at)
                for mark in clock.marks(epoch)
                if mark.at - SLACK <= written_at <= mark.until + SLACK
            ]
        # The last epoch of a training that is over stands open for ever: one begun after it ended is meant.
        ends = [one for one in ends if not any(other[0].start > one[1] for other in ends)]
        steps = {step for _, _, step in ends}
        return steps.pop() if len(steps) == 1 else None

    def is_late(self, epoch: int, written_at: float) -> bool:
        """Tell whether the end of the epoch may be seen yet: a file has stopped short of it."""
        if time.time() - written_at > PATIENCE:
            return False
        with self._lock:
            if not any(_is_short(clock, epoch, written_at) for _, clock in self._at(written_at)):
                return False
            self._seen_until = -math.inf
        return True

    def last(self, written_at: float) -> int | None:
        """Give the last step logged by then, for scripts that do not mark the ends of epochs; None if unsure."""
        with self._lock:
            clocks = [clock for _, clock in self._at(written_at) if clock.at(written_at) is not None]
            return clocks[0].at(written_at) if len(clocks) == 1 and clocks[0].epochs is None else None

    def _at(self, written_at: float) -> list[tuple[EventFile, StepClock]]:
        """Give the files that were written around a time, as they are now.

        What an image needs was on disk before it was: files are looked at again only for later images, by the images'
        own times, as this machine's clock may be another.
        """
        if written_at > self._seen_until:
            self._files, self._seen_until = event_files(self._know(self._place)), written_at
        near = [one for one in self._files if one.start - SLACK <= written_at <= one.changed + LONGEST]
        return [(one, clock) for one in near if (clock := self._clock(one)).last > -math.inf]

    def _clock(self, file: EventFile) -> StepClock:
        seen, clock = self._clocks.get(file.path) or (None, StepClock(file.path, counts_steps, counts_epochs))
        if seen != file:
            clock.read()
        self._clocks[file.path] = (file, clock)
        return clock


def _is_short(clock: StepClock, epoch: int, written_at: float) -> bool:
    """Tell whether a file has been written to by a time, and not yet to the end of an epoch."""
    return clock.at(written_at) is not None and clock.last <= written_at + SLACK and (clock.epochs or 0) < epoch


@lru_cache(maxsize=1024)
def epoch_steps(folder: Path, stream: str, know: Know) -> EpochSteps:
    """Give the ends of a training's epochs; the same object for the same training."""
    return EpochSteps(Place(folder, stream), know)


def _starts(base: Path, prefix: str) -> Iterator[Path]:
    """Give the folders `{log_prefix}{YYYYmmddHHMMSS}` of a logging folder."""
    for path in _folders(base):
        stamp = path.name.removeprefix(prefix)
        if path.name.startswith(prefix) and len(stamp) == STAMP and stamp.isdecimal():
            yield path


def _folders(base: Path) -> list[Path]:
    try:
        with os.scandir(base) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir())
    except OSError:
        return []


def _files(folder: Path) -> Iterator[EventFile]:
    """Give a folder's event files: `events.out.tfevents.{start}.{host}.{pid}.{number}`, a host may have dots."""
    for path in sorted(folder.glob(f"{PREFIX}*")):
        parts = path.name.removeprefix(PREFIX).split(".")
        try:
            start, info = float(parts[0]), path.stat()
        except (OSError, ValueError):
            continue
        pid = parts[-2] if len(parts) > 3 and parts[-2].isdecimal() else "0"
        yield EventFile(path, start, info.st_mtime, info.st_size, int(pid))
