"""What a person wanted scored again: once all of it is, the past changes as one, and begins nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable

from sqlalchemy import Connection

from watcher.nouns import Evaluation, Run
from watcher.record import again, baselines, runs, samples, vectors
from watcher.record.again import Asked
from watcher.record.scores import scores_of, send_back
from watcher.record.store import Store
from watcher.steps.judging import Judging
from watcher.steps.rest import Rest

log = logging.getLogger(__name__)
Close = Callable[[Connection, Evaluation, Callable[[object], bool], str], Evaluation | None]
"""Closes an evaluation by its newest scores; None where some of them are of another model and have to come again."""


class Again:
    """Closes evaluations anew whose images were scored again: all those of a run in one transaction.

    Each keeps whether it is complete, unless a file is gone by now. Rules get to know what the past looks like now;
    they may find that what they fired for is over, but nothing is begun, neither alert nor action.
    """

    def __init__(self, store: Store, close: Close, judging: Judging, closed: Callable[[Run], None]) -> None:
        self._store = store
        self._anew = close
        self._judging = judging
        self._closed = closed
        self._rest = Rest(store)

    def advance(self, now: float) -> None:
        """Finish what has all its scores."""
        if self._rest.lasts(now):
            return
        with self._store.read() as db:
            ready = [asked for asked in again.all_asked(db) if not again.waiting(db, asked)]
            known = {run.id: run for run in runs.all_runs(db)} if ready else {}
        for asked in ready:
            self._finish(known[asked.run_id], asked, now)
        self._rest.begin(now)

    def _finish(self, run: Run, asked: Asked, now: float) -> None:
        with self._store.change("scored again") as db:
            found = list(again.open_again(db, asked))
            base = baselines.of(db, run.id)
            found.sort(key=lambda one: base is None or one.id != base.id)  # the others are compared with it
            known = ((samples.scored_in(db, one.id), scores_of(db, one.id)) for one in found)
            if send_back(db, known):  # the model was changed after a part of them was scored
                return
            closed = [self._close(db, one) for one in found]
            again.done(db, run.id)
            for one in found:  # all are measured: what is old by now may be forgotten
                vectors.retire(db, one, baselines.serving(db, run.id))
            self._judging.judge_past(db, run, now)
            runs.add_event(db, run.id, "scored again", f"{len(closed)} evaluations", now)
        self._closed(run)
        log.info("run %s: %d evaluations were scored again", run.name, len(closed))

    def _close(self, db: Connection, evaluation: Evaluation) -> Evaluation | None:
        closed = self._anew(db, evaluation, lambda _images: evaluation.complete, again.WHY)
        if closed is not None and evaluation.state == "superseded":
            again.keep_superseded(db, evaluation)
        return closed
