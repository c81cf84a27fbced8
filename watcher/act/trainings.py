"""Which processes train the runs that are watched: so that scoring leaves their GPUs alone."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from watcher.act import processes
from watcher.act.backend import ProcessBackend
from watcher.act.candidates import roots
from watcher.act.ties import Output
from watcher.errors import ActError

log = logging.getLogger(__name__)
PATIENCE = 3.0
"""Seconds; a run on a file system that hangs is not waited for any longer, nor are those after it."""


@dataclass(frozen=True, slots=True)
class Training:
    """A run whose processes are looked for."""

    name: str
    output: Output
    backend: ProcessBackend


class Trainings:
    """Gives the processes of runs, the run's name by pid, as they are now and as far as that can be found in time.

    For looking only: what is found is never signalled, so it may be less sure than a stop wants it. Whoever asks
    waits for no longer than `patience` seconds.
    """

    def __init__(self, runs: Callable[[], Sequence[Training]], patience: float = PATIENCE) -> None:
        self._runs = runs
        self._patience = patience
        self._found: dict[int, str] = {}
        self._thread: threading.Thread | None = None

    def __call__(self) -> dict[int, str]:
        """Look in a thread of its own; while an earlier look hangs, what that had found is given."""
        if self._thread is None or not self._thread.is_alive():
            self._found = {}
            work = (tuple(self._runs()), self._found)
            self._thread = threading.Thread(target=_find, args=work, name="trainings", daemon=True)
            self._thread.start()
            self._thread.join(self._patience)
        if self._thread.is_alive():
            log.warning("scorer: the processes of some runs are not found yet; the device is chosen without them")
        return self._found.copy()


def _find(runs: Sequence[Training], found: dict[int, str]) -> None:
    """Add what is found run by run."""
    try:
        known = processes.everything()
    except OSError as error:
        log.warning("scorer: processes cannot be read, so GPUs of runs are not known by name: %s", error)
        return
    for run in runs:
        try:
            tops, _ = roots(run.output, run.backend, known)
        except (ActError, OSError):  # unclear which run it is: on a GPU it counts as a stranger
            continue
        for pid in processes.descendants(tops, known):
            if known[pid].alive:
                found.setdefault(pid, run.name)
