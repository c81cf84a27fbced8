"""From the store to the scorer and back: every ready sample gets exactly one score."""

from __future__ import annotations

import logging
from collections import Counter

from watcher.nouns import Sample
from watcher.record import runs, samples
from watcher.record.store import Store
from watcher.score import Job, Scored, Scorer, ScorerDown

log = logging.getLogger(__name__)
CRASHES = 2
"""So many crashes alone in a batch make an image `undecodable`."""


class Scoring:
    """Hands batches to the scorer, one at a time, and keeps what comes back."""

    def __init__(self, store: Store, scorer: Scorer, batch_size: int, max_pixels: int) -> None:
        self._store = store
        self._scorer = scorer
        self._batch_size = batch_size
        self._max_pixels = max_pixels
        self._out: list[Sample] = []
        self._batch = 0
        self._not_before = 0.0
        self._crashes: Counter[int] = Counter()
        self.problem = ""
        self.hopeless = False
        """Nothing but the user can mend it; samples stay pending."""

    def advance(self, now: float) -> None:
        """Submit the next batch when the scorer is free."""
        self._scorer.tick(now)
        if self._scorer.busy or self._out or now < self._not_before:
            return
        with self._store.read() as db:
            self._out = samples.waiting(db, 1 if self._crashes else self._batch_size)
        if self._out:
            self._batch += 1
            self._scorer.submit(self._batch, [self._job(sample) for sample in self._out])

    def idle(self, _now: float) -> bool:
        """Tell whether no sample waits for a score."""
        with self._store.read() as db:
            return not self._out and not samples.waiting(db, 1)

    def keep(self, result: Scored, now: float) -> None:
        """Store a batch's scores and the scorer's health in one transaction."""
        with self._store.change("keep scores") as db:
            samples.keep_scores(db, result.identity, result.scores, now)
            if self.problem:
                runs.set_fact(db, "scorer", {"state": "ok", "reason": ""}, now)
        for score in result.scores:
            self._crashes.pop(score.sample_id, None)
        self._out, self.problem, self.hopeless = [], "", False

    def fail(self, down: ScorerDown, now: float) -> None:
        """Note why the scorer is down; its batch is tried again, image by image after a crash."""
        log.warning("scorer: %s", down.reason)
        self.problem, self.hopeless = down.reason, down.permanent
        with self._store.change("scorer down") as db:
            runs.set_fact(db, "scorer", {"state": "failing", "reason": down.reason}, now)
            if down.batch is not None and not down.permanent:
                for sample in self._blame():
                    reason = f"crashed the scorer: {down.reason}"
                    samples.set_state(db, sample.id or 0, "undecodable", reason)
        self._out = []
        self._not_before = now + (30.0 if down.permanent else 1.0)

    def _blame(self) -> list[Sample]:
        """Count a crash against each image of the batch; gives an image that crashed alone too often."""
        self._crashes.update(sample.id for sample in self._out if sample.id is not None)
        alone = self._out[0] if len(self._out) == 1 else None
        if alone is None or alone.id is None or self._crashes[alone.id] <= CRASHES:
            return []
        del self._crashes[alone.id]
        return [alone]

    def _job(self, sample: Sample) -> Job:
        return Job(
            sample_id=sample.id or 0,
            path=sample.path,
            tile=sample.tile,
            prompt=sample.prompt or "",
            max_pixels=self._max_pixels,
        )
