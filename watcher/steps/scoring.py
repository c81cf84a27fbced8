"""From the store to the scorer and back: every ready sample gets exactly one score."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from itertools import takewhile

from watcher.nouns import Sample
from watcher.record import runs, samples
from watcher.record.store import Store
from watcher.score import Job, Scored, Scorer, ScorerDown

log = logging.getLogger(__name__)
CRASHES = 2
"""An image that was there at more crashes than this, the last of them alone, is `undecodable`."""
HOPELESS = 6
"""So many failures in a row that no image is to blame for will not pass by themselves."""
FIRST_PAUSE = 1.0
FIRST_PAUSE_FOR_USER = 30.0
LONGEST_PAUSE = 60.0
"""Seconds; the pause after a failure doubles up to this until something is scored."""


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
        self._failures = 0
        """In a row."""
        self._blameless = 0
        """Those of them that no image is to blame for."""
        self._working = {"state": "idle", "reason": ""}
        self.problem = ""
        self.hopeless = False
        """Nothing but the user can mend it; samples stay pending."""

    def advance(self, now: float) -> None:
        """Submit the next batch when the scorer is free."""
        self._scorer.tick(now)
        if self._scorer.busy or self._out or now < self._not_before:
            return
        with self._store.read() as db:
            self._out = self._together(samples.waiting(db, self._batch_size))
        if self._out:
            self._batch += 1
            self._scorer.submit(self._batch, [self._job(sample) for sample in self._out])

    def idle(self, _now: float) -> bool:
        """Tell whether no sample waits for a score."""
        with self._store.read() as db:
            return not self._out and not samples.waiting(db, 1)

    def keep(self, result: Scored, now: float) -> None:
        """Store a batch's scores and the scorer's health in one transaction."""
        working = {"state": "ok", "reason": "", "device": result.device, "identity": result.identity}
        with self._store.change("keep scores") as db:
            samples.keep_scores(db, result.identity, result.scores, now)
            if working != self._working:
                runs.set_fact(db, "scorer", working, now)
        if working != self._working:
            log.info("scorer: %s on %s", result.identity, result.device)
        for score in result.scores:
            self._crashes.pop(score.sample_id, None)
        self._out, self.problem, self.hopeless, self._working = [], "", False, working
        self._failures = self._blameless = 0

    def fail(self, down: ScorerDown, now: float) -> None:
        """Note why the scorer is down; its batch is tried again, image by image after a crash."""
        log.warning("scorer: %s", down.reason)
        blamed = down.blame and not down.permanent and down.batch is not None
        guilty = self._guilty() if blamed else []
        with self._store.change("scorer down") as db:
            runs.set_fact(db, "scorer", {"state": "failing", "reason": down.reason}, now)
            for number in guilty:
                samples.set_state(db, number, "undecodable", f"crashed the scorer: {down.reason}")
        if blamed:
            self._crashes.update(sample.id or 0 for sample in self._out)
        for number in guilty:
            del self._crashes[number]
        self._blameless += not blamed
        self._out, self.problem, self._working = [], down.reason, {}
        self.hopeless = down.permanent or self._blameless >= HOPELESS
        first = FIRST_PAUSE_FOR_USER if down.permanent else FIRST_PAUSE
        self._not_before = now + min(LONGEST_PAUSE, first * 2**self._failures)
        self._failures += 1

    def _together(self, waiting: Sequence[Sample]) -> list[Sample]:
        """Choose a batch from the front: an image that was there at a crash goes alone."""
        if waiting and waiting[0].id in self._crashes:
            return [waiting[0]]
        return list(takewhile(lambda sample: sample.id not in self._crashes, waiting))

    def _guilty(self) -> list[int]:
        """Give the image that was alone at this crash, if it was there at too many."""
        return [one.id or 0 for one in self._out if len(self._out) == 1 and self._crashes[one.id or 0] >= CRASHES]

    def _job(self, sample: Sample) -> Job:
        return Job(
            sample_id=sample.id or 0,
            path=sample.path,
            tile=sample.tile,
            prompt=sample.prompt or "",
            max_pixels=self._max_pixels,
        )
