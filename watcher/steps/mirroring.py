"""From the store to trackers: closed evaluations are shown elsewhere; a failing tracker holds nothing up."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from watcher.errors import StepError
from watcher.nouns import Evaluation, Run
from watcher.record import mirrors, runs
from watcher.record.store import Store
from watcher.record.trackers import Tracker

log = logging.getLogger(__name__)
RETRY = 30.0
"""Seconds until a run whose tracker failed is tried again."""
SHORT = 50
"""A curve of so many evaluations may be written again at once."""
REST = 0.1
"""Seconds of rest for each evaluation of a longer one: a past that is scored backwards would else be written as often
as it has evaluations."""


class Mirroring:
    """Brings every tracker up to date with the store, each run by itself."""

    def __init__(
        self,
        store: Store,
        trackers: Mapping[str, Tracker],
        logging_folder: Callable[[Run], Path | None],
        state: Path,
    ) -> None:
        self._store = store
        self._trackers = trackers
        self._logging_folder = logging_folder
        self._state = state
        self._not_before: dict[tuple[str, str], float] = {}
        self._failing: set[tuple[str, str]] = set()

    def advance(self, now: float) -> None:
        """Write what the trackers do not have yet."""
        for name in self._trackers:
            with self._store.read() as db:
                behind = mirrors.behind(db, name)
                known = {run.id: run for run in runs.all_runs(db)} if behind else {}
            for run_id, since in behind.items():
                if now >= self._not_before.get((name, run_id), 0.0):
                    self._try(name, known[run_id], since, now)

    def idle(self, now: float) -> bool:
        """Tell whether the trackers have everything, but for runs whose tracker failed."""
        resting = {key for key, until in self._not_before.items() if now < until}
        with self._store.read() as db:
            behind = {(name, run_id) for name in self._trackers for run_id in mirrors.behind(db, name)}
        return not behind - (self._failing & resting)

    def _try(self, name: str, run: Run, since: int, now: float) -> None:
        """Bring one run up to date; what goes wrong with it holds up no other."""
        self._failing.discard((name, run.id))
        try:
            rest = self._bring_up(name, run, since)
        except (StepError, OSError) as error:
            log.warning("run %s: tracker %s: %s; trying again in %.0f s", run.name, name, error, RETRY)
            rest = RETRY
            self._failing.add((name, run.id))
        self._not_before[name, run.id] = now + rest

    def _bring_up(self, name: str, run: Run, since: int) -> float:
        """Write what is new and, where that is not the end of the curve, what comes after it; gives seconds of rest."""
        tracker = self._trackers[name]
        place = tracker.place(run, self._logging_folder(run), self._state)
        with self._store.read() as db:
            shown = mirrors.shown(db, name, run.id)
            if any(one.place != place for one in shown) or not tracker.holds(place):
                shown, since = [], 0  # a curve is in one place: all of it moves
            found = mirrors.closed_since(db, run.id, since)
        again = not shown or any(one.step >= since for one in shown)
        _write(tracker, place, found, (since if shown else 0) if again else None)
        with self._store.change("mirror") as db:
            mirrors.show(db, name, place, run.id, since, found)
        return REST * len(found) if again and len(found) > SHORT else 0.0


def _write(tracker: Tracker, place: str, found: Sequence[Evaluation], since: int | None) -> None:
    try:
        tracker.write(place, found, since)
    except (StepError, OSError):
        raise
    except Exception as error:  # a tracker's bug must not end the daemon
        raise StepError(f"a bug: {type(error).__name__}: {error}") from error
