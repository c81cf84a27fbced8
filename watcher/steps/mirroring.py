"""From the store to trackers: closed evaluations are shown elsewhere; a failing tracker holds nothing up."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from watcher.errors import StepError
from watcher.nouns import Evaluation, Run
from watcher.record import evaluations, runs
from watcher.record.store import Store
from watcher.record.trackers import Tracker

log = logging.getLogger(__name__)
RETRY = 30.0
"""Seconds until a tracker that failed is tried again."""


class Mirroring:
    """Brings every tracker up to date with the store."""

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
        self._not_before: dict[str, float] = {}

    def advance(self, now: float) -> None:
        """Write what the trackers do not have yet."""
        for name, tracker in self._trackers.items():
            if now >= self._not_before.get(name, 0.0):
                self._bring_up(name, tracker, now)

    def _bring_up(self, name: str, tracker: Tracker, now: float) -> None:
        with self._store.read() as db:
            found = evaluations.unmirrored(db, name)
            known = {run.id: run for run in runs.all_runs(db)} if found else {}
        try:
            for evaluation in found:
                self._write(name, tracker, known[evaluation.run_id], evaluation)
        except (StepError, OSError) as error:
            log.warning("tracker %s: %s; trying again in %.0f s", name, error, RETRY)
            self._not_before[name] = now + RETRY

    def _write(self, name: str, tracker: Tracker, run: Run, evaluation: Evaluation) -> None:
        place = tracker.write(run, evaluation, self._logging_folder(run), self._state)
        with self._store.change("mirror") as db:
            evaluations.mirror(db, evaluation, name, place)
