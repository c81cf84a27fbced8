"""The step of a sample whose name holds an epoch only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from watcher.discover.kohya.epochs import Know, epoch_steps
from watcher.discover.layout import Facts, Place

Saved = Callable[[Place, int, float], int | None]
"""Gives what checkpoints say of the step at the end of an epoch whose samples were written at a wall time."""


def dated(place: Place, facts: Facts, written_at: float, know: Know, saved: Saved) -> Facts | None:
    """Give the step of an epoch, where it is known; None while it may be known in a moment."""
    if not facts.epoch:
        return facts
    epoch, ends = int(facts.epoch), epoch_steps(place.folder, place.stream, know)
    step = ends.find(epoch, written_at)
    if step is None:
        step = _saved_step(place, epoch, written_at, saved, changed(place.folder))
    if step is None and ends.is_late(epoch, written_at):
        return None
    if step is None:
        step = ends.last(written_at)
    return facts if step is None else replace(facts, step=step, by_epoch=False)


@lru_cache(maxsize=2**15)
def _saved_step(place: Place, epoch: int, written_at: float, saved: Saved, _changed_ns: int) -> int | None:
    """Look at checkpoints again for an image only once there are others."""
    return saved(place, epoch, written_at)


def changed(path: Path) -> int:
    """Give a path's modification time in nanoseconds; 0 when it is gone."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
