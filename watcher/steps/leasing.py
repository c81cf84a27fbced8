"""Acting for runs under control: the daemon takes their leases, and leaves runs alone for which another one acts."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from watcher.act import Launch, launches_in, launches_of
from watcher.control.lease import RENEWED, Lease, said
from watcher.nouns import Run

log = logging.getLogger(__name__)


class Leasing:
    """Keeps the leases of all runs that rules may act on and that were launched under control."""

    def __init__(self, state: Path, watched: Callable[[], Collection[Run]]) -> None:
        self._state = state
        self._watched = watched
        self._leases: dict[Path, Lease] = {}
        self._others: dict[str, str] = {}
        self._next = 0.0

    def other(self, run: Run) -> str | None:
        """Say who acts for a run, where it is not this daemon."""
        return self._others.get(run.id)

    def advance(self, now: float) -> None:
        """Take or renew the leases every few seconds; those of trainings that have ended are forgotten."""
        if self._next - RENEWED <= now < self._next:
            return
        self._next = now + RENEWED
        active = [run for run in self._watched() if run.state == "active" and run.mode == "enforce"]
        in_state = launches_in(self._state) if active else []
        found = {run.id: self._take(run, _launches(run, in_state)) for run in active}
        others = {run_id: other for run_id, other in found.items() if other}
        for run in active:
            if others.get(run.id) != self._others.get(run.id):
                log.info("run %s: %s", run.name, others.get(run.id) or "this daemon acts for it again")
        self._others = others

    def close(self) -> None:
        """Give all leases up, for the next daemon."""
        for lease in self._leases.values():
            lease.give_up()

    def _take(self, run: Run, launches: Iterable[Launch]) -> str:
        """Take the leases of a run's launches; says who has one of them instead."""
        for launch in launches:
            lease = self._leases.setdefault(launch.control, Lease(str(launch.control), "watcher", str(self._state)))
            try:
                other = lease.take()
            except OSError as error:
                log.warning("run %s: its lease in %s cannot be taken: %s", run.name, launch.control, error)
                continue
            if other is not None:
                return said(other)
        return ""


def _launches(run: Run, in_state: Iterable[Launch]) -> Iterable[Launch]:
    return [one for one in launches_of(os.path.realpath(run.path), in_state) if one.has_trainer()]
