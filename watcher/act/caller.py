"""What only the caller knows of a run while it is being stopped, and whether anybody vetoes that."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from watcher.act.kept import Checkpoint, Kept, kept
from watcher.act.ties import Output
from watcher.control.folder import beside
from watcher.nouns import HOLD


@dataclass(frozen=True, slots=True)
class Rate:
    """A learning rate that a trainer has logged, at a wall time in seconds."""

    step: int
    value: float
    at: float

    def shows(self, old: float, ratio: float) -> bool:
        """Tell whether it shows a change: it is nearer to `old * ratio` than to `old`, by their ratio."""
        return self.value > 0 and abs(math.log(self.value / (old * ratio))) < abs(math.log(self.value / old))


def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Caller:
    """What only the caller knows of a run; each is asked for when it is needed."""

    checkpoints: Callable[[], list[Checkpoint]]
    """The complete checkpoints."""
    newest: Callable[[], int | None] = _nothing
    """The newest step that is known of the training."""
    recheck: Callable[[], str | None] = _nothing
    """Why the decision no longer holds, or None."""
    behind: Callable[[], str | None] = _nothing
    """Which evaluations have to be judged first, or None."""
    held: Callable[[], str | None] = _nothing
    """Who vetoes every action on the run, when and why, or None; beside the file `HOLD`."""
    rates: Callable[[], Sequence[Rate]] = tuple
    """The learning rates that the trainer has logged, by step."""

    on_gpu: Callable[[Collection[int]], Sequence[tuple[int, int]]] = lambda _pids: ()
    """Which of some processes still hold memory of a GPU, as (GPU, pid)."""

    @property
    def kept(self) -> Kept:
        """Give what survives if the training ends now."""
        return kept(self.checkpoints(), self.newest())

    def new_checkpoint(self, since: float) -> Checkpoint | None:
        """Give the newest complete checkpoint that was written after a wall time; None where there is none."""
        found = [one for one in self.checkpoints() if one[2] > since]
        return found[-1] if found else None


def veto(output: Output, ask: Caller) -> str | None:
    """Look for a veto; where the run's folder is not there, nobody can tell.

    Raises:
        OSError: it cannot be told just now; then nothing is done.

    """
    if held := ask.held():
        return held
    folder = output.folder
    try:
        os.lstat(folder / HOLD)
    except (FileNotFoundError, NotADirectoryError):
        # Where its control folder is beside it, the file system is there, and the training only has not made it yet.
        if folder.is_dir() or Path(beside(str(folder))).is_dir():
            return None
        return f"{folder} is not there (unmounted?), so nobody can tell whether it is held"
    return f"held: {folder / HOLD} exists"
