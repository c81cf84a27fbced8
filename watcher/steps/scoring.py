"""From the store to the scorer and back: every ready sample gets exactly one score."""

from __future__ import annotations

import logging
from collections import deque

from sqlalchemy import Connection

from watcher.names import MAIN
from watcher.nouns import Sample
from watcher.record import runs, samples
from watcher.record.scores import keep_scores
from watcher.record.store import Store
from watcher.score import UNDER_WAY, Job, Scored, Scorer, ScorerDown, is_fallback
from watcher.steps.rest import Rest
from watcher.steps.suspects import Suspects

log = logging.getLogger(__name__)
HOPELESS = 6
"""So many failures in a row that no image is to blame for will not pass by themselves."""
FIRST_PAUSE = 1.0
FIRST_PAUSE_FOR_USER = 30.0
LONGEST_PAUSE = 60.0
"""Seconds; the pause after a failure doubles up to this until something is scored."""
DOUBLINGS = 6
"""After so many the pause is the longest in any case; 2 to the power of a day's failures would be no number."""
PACE = 20
"""So many last batches say how fast scoring is."""


class Scoring:
    """Hands batches to the scorer, as many as it has room for, and keeps what comes back of each."""

    def __init__(self, store: Store, scorer: Scorer, batch_size: int, max_pixels: int) -> None:
        self._store = store
        self._scorer = scorer
        self._batch_size = batch_size
        self._max_pixels = max_pixels
        self._rest = Rest(store)
        self._out: dict[int, list[Sample]] = {}
        """What is with the scorer, or back and not kept yet, by the number of its batch."""
        self._batch = 0
        self._not_before = 0.0
        self._suspects = Suspects()
        self._failures = 0
        """In a row."""
        self._blameless = 0
        """Those of them that no image is to blame for."""
        self._working: dict[str, object] = {"state": "idle", "reason": ""}
        self._pace: deque[tuple[int, float]] = deque(maxlen=PACE)
        """Images and seconds of the last batches."""
        self._paced_on = ""
        self.problem = ""
        self.hopeless = False
        """Nothing but the user can mend it; samples stay pending."""

    def advance(self, now: float) -> None:
        """Submit batches while the scorer has room."""
        self._scorer.tick(now)
        while self._may_submit(now) and (chosen := self._choose(now)):
            self._batch += 1
            self._out[self._batch] = chosen
            self._scorer.submit(self._batch, [self._job(sample) for sample in chosen])

    def _may_submit(self, now: float) -> bool:
        if not self._scorer.room or len(self._out) >= UNDER_WAY or now < self._not_before:
            return False
        on_trial = any(self._suspects.among(batch) for batch in self._out.values())
        return not on_trial and not self._rest.lasts(now)

    def _choose(self, now: float) -> list[Sample]:
        """Choose the next batch; nothing where nothing waits, or what is next is a trial that has to wait."""
        out = {sample.id for batch in self._out.values() for sample in batch}
        with self._store.read() as db:
            found = samples.waiting(db, self._batch_size + len(out) + len(self._suspects))
        waiting = [sample for sample in found if sample.id not in out]
        if not waiting:
            self._rest.begin(now)
            if not out:
                self._suspects.clear_all()
            return []
        chosen = self._suspects.choose(waiting, self._batch_size)
        return [] if out and self._suspects.among(chosen) else chosen

    def idle(self, _now: float) -> bool:
        """Tell whether no sample waits for a score."""
        with self._store.read() as db:
            return not self._out and not samples.waiting(db, 1)

    def keep(self, result: Scored, now: float) -> None:
        """Store a batch's scores and the scorer's health in one transaction."""
        slower = is_fallback(result.device)
        named = {"device": result.device, "identity": result.identity, "fallback": slower}
        others = {name: identity for name, identity in result.identities.items() if name != MAIN}
        working: dict[str, object] = {"state": "ok", "reason": "", **named}
        working |= {"others": others, "faults": dict(result.faults)}
        with self._store.change("keep scores") as db:
            keep_scores(db, result.identities, result.scores, now)
            if working != self._working:
                runs.set_fact(db, "scorer", working, now)
            if result.seconds > 0:
                self._tell_pace(db, result, now)
        if working != self._working:
            shown = ", ".join(result.identities.values())
            log.log(logging.WARNING if slower else logging.INFO, "scorer: %s on %s", shown, result.device)
        self._suspects.clear([score.sample_id for score in result.scores])
        self._out.pop(result.batch, None)
        self.problem, self.hopeless, self._working = "", False, working
        self._failures = self._blameless = 0

    def _tell_pace(self, db: Connection, result: Scored, now: float) -> None:
        """Note how many images a minute are scored on this device, for `status`."""
        if result.device != self._paced_on:
            self._pace.clear()
        self._paced_on = result.device
        self._pace.append((sum(score.scorer == MAIN for score in result.scores), result.seconds))
        images, seconds = (sum(column) for column in zip(*self._pace, strict=True))
        runs.set_fact(db, "lag:pace", {"images_per_minute": 60 * images / seconds, "device": result.device}, now)

    def fail(self, down: ScorerDown, now: float) -> None:
        """Note why the scorer is down; its batches are tried again, and an image that is to blame is given up."""
        log.warning("scorer: %s", down.reason)
        suspected = self._suspected(down)
        guilty = self._suspects.guilty([batch for _, batch in suspected])
        with self._store.change("scorer down") as db:
            runs.set_fact(db, "scorer", {"state": "failing", "reason": down.reason}, now)
            for image in guilty:
                samples.set_state(db, image, "undecodable", f"crashed the scorer: {down.reason}")
        self._suspects.crashed(suspected)
        self._suspects.clear(guilty)
        for number in (down.batch, *down.others):
            self._out.pop(number, None)
        self._blameless += not suspected
        self.problem, self._working = down.reason, {}
        self.hopeless = down.permanent or self._blameless >= HOPELESS
        first = FIRST_PAUSE_FOR_USER if down.permanent else FIRST_PAUSE
        self._not_before = now + min(LONGEST_PAUSE, first * 2 ** min(self._failures, DOUBLINGS))
        self._failures += 1

    def _suspected(self, down: ScorerDown) -> list[tuple[int, list[Sample]]]:
        """Give the batches, with their numbers, that have the image which is to blame, if one is."""
        if not down.blame or down.permanent:
            return []
        numbers = (down.batch, *(down.others if down.blame_others else ()))
        return [(number, self._out[number]) for number in numbers if number in self._out]

    def _job(self, sample: Sample) -> Job:
        return Job(
            sample_id=sample.id or 0,
            path=sample.path,
            tile=sample.tile,
            prompt=sample.wording or sample.prompt or "",
            max_pixels=self._max_pixels,
            mask=sample.mask,
        )
