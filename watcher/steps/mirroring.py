"""From the store to trackers: closed evaluations are shown elsewhere; a failing tracker holds nothing up."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Row

from watcher.errors import StepError
from watcher.nouns import Evaluation, Run, Sample, Setup
from watcher.record import mirrors, runs, samples
from watcher.record.mirrors import Shown
from watcher.record.scores import scores_of
from watcher.record.store import Store
from watcher.record.trackers import LowImage, Tracker
from watcher.steps.rest import NEVER, Rest
from watcher.steps.routing import lowest

log = logging.getLogger(__name__)
RETRY = 30.0
"""Seconds until a run whose tracker failed is tried again; doubled with every failure after it, up to `LONGEST`."""
LONGEST = 600.0
SHORT = 50
"""A curve of so many evaluations may be written again at once."""
REST = 0.1
"""Seconds of rest for each evaluation of a longer one: a past that is scored backwards would else be written as often
as it has evaluations."""
Key = tuple[str, str]
"""A tracker's name and a run's id."""


class Mirroring:
    """Brings every tracker up to date with the store, each run by itself."""

    def __init__(
        self,
        store: Store,
        trackers: Mapping[str, Tracker],
        setup: Callable[[Run], Setup],
        state: Path,
    ) -> None:
        self._store = store
        self._trackers = trackers
        self._setup = setup
        self._state = state
        self._not_before: dict[Key, float] = {}
        self._failing: dict[Key, tuple[int, str]] = {}
        """How often in a row each failed, and why."""
        self._told: dict[str, dict[str, Any]] = {}
        self._bugs: dict[str, str] = {}
        self._rest = Rest(store)

    def advance(self, now: float) -> None:
        """Write what the trackers do not have yet."""
        for name, tracker in self._trackers.items():
            self._tend(name, tracker)
        if not self._trackers or self._rest.lasts(now):
            return
        until = NEVER
        for name in self._trackers:
            with self._store.read() as db:
                behind = mirrors.behind(db, name)
                known = {run.id: run for run in runs.all_runs(db)} if behind else {}
            for key in [key for key in self._failing if key[0] == name and key[1] not in behind]:
                del self._failing[key]  # there is nothing left that could fail
            for run_id, since in behind.items():
                if now >= self._not_before.get((name, run_id), 0.0):
                    self._try(name, known[run_id], since, now)
                until = min(until, self._not_before[name, run_id])
            self._tell(name, now)
        self._rest.begin(now, until)

    def idle(self, now: float) -> bool:
        """Tell whether the trackers have everything, but for runs whose tracker failed."""
        resting = {key for key, until in self._not_before.items() if now < until}
        with self._store.read() as db:
            behind = {(name, run_id) for name in self._trackers for run_id in mirrors.behind(db, name)}
        return not behind - (self._failing.keys() & resting)

    def _tend(self, name: str, tracker: Tracker) -> None:
        try:
            tracker.tend()
        except Exception as error:  # noqa: BLE001 - a tracker's bug must not end the daemon
            bug = f"a bug: {type(error).__name__}: {error}"
            if self._bugs.get(name) != bug:
                log.warning("tracker %s: %s", name, bug)
                self._bugs[name] = bug

    def _try(self, name: str, run: Run, since: int, now: float) -> None:
        """Bring one run up to date; what goes wrong with it holds up no other."""
        key = (name, run.id)
        try:
            rest = self._bring_up(name, run, since)
        except (StepError, OSError) as error:
            rest = self._fail(key, error)
            log.warning("run %s: tracker %s: %s; trying again in %.0f s", run.name, name, error, rest)
        self._not_before[key] = now + rest

    def _fail(self, key: Key, error: StepError | OSError) -> float:
        """Note a failure; gives the seconds until the next try, the longest where only the user can mend it."""
        times, _ = self._failing.get(key, (0, ""))
        self._failing[key] = (times + 1, str(error))
        only_user = isinstance(error, StepError) and error.permanent
        return LONGEST if only_user else min(LONGEST, RETRY * 2.0**times)

    def _tell(self, name: str, now: float) -> None:
        """Let `status` know whether a tracker works, once for every change."""
        reasons = sorted({reason for (tracker, _), (_, reason) in self._failing.items() if tracker == name})
        told = {"state": "failing" if reasons else "ok", "reason": "; ".join(reasons[:2])}
        if told != self._told.get(name, {"state": "ok", "reason": ""}):
            with self._store.change("mirror") as db:
                runs.set_fact(db, f"tracker:{name}", told, now)
            self._told[name] = told

    def _bring_up(self, name: str, run: Run, since: int) -> float:
        """Write what is new and, where that is not the end of the curve, what comes after it; gives seconds of rest."""
        tracker = self._trackers[name]
        place = tracker.place(run, self._setup(run), self._state)
        with self._store.read() as db:
            shown = mirrors.shown(db, name, run.id)
            if any(one.place != place for one in shown) or not tracker.holds(place):
                shown, since = [], 0  # a curve is in one place: all of it moves
            found = mirrors.closed_since(db, run.id, since)
        bring = self._replace if tracker.takes_back else self._add
        return bring(name, run, place, shown, found, since)

    def _replace(
        self, name: str, run: Run, place: str, shown: list[Shown], found: list[Evaluation], since: int
    ) -> float:
        """Let what is found take the place of all that is shown from its first step on."""
        again = not shown or any(one.step >= since for one in shown)
        self._write(name, place, found, (since if shown else 0) if again else None)
        with self._store.change("mirror") as db:
            mirrors.show(db, name, place, run.id, since, found)
        self._failing.pop((name, run.id), None)
        return REST * len(found) if again and len(found) > SHORT else 0.0

    def _add(self, name: str, run: Run, place: str, shown: list[Shown], found: list[Evaluation], _since: int) -> float:
        """Add what is new or was revised to what is shown; what is on its way is looked at again on the next pass."""
        known = {one.id: one.revision for one in shown}
        done = self._write(name, place, [one for one in found if known.get(one.id, 0) < one.revision], None)
        if done:
            with self._store.change("mirror") as db:
                mirrors.show(db, name, place, run.id, None if shown else 0, done)
            self._failing.pop((name, run.id), None)
        return 0.0

    def _write(self, name: str, place: str, found: Sequence[Evaluation], since: int | None) -> Sequence[Evaluation]:
        try:
            return self._trackers[name].write(place, found, since, self._lowest)
        except (StepError, OSError):
            raise
        except Exception as error:  # a tracker's bug must not end the daemon
            raise StepError(f"a bug: {type(error).__name__}: {error}") from error

    def _lowest(self, evaluation: Evaluation, number: int) -> list[LowImage]:
        with self._store.read() as db:
            found = samples.in_evaluation(db, evaluation.id)
            scores = scores_of(db, evaluation.id)
        return lowest_images(found, scores, number)


def lowest_images(found: Sequence[Sample], scores: Mapping[int, Row[Any]], number: int) -> list[LowImage]:
    """Give the lowest image of each of the prompts that score lowest; `scores` are by sample id."""
    images: dict[str, LowImage] = {}
    for sample in found:
        score = scores.get(sample.id or 0)
        if sample.state == "scored" and score is not None and "blank" not in score.health:
            prompt = sample.prompt or sample.key
            image = LowImage(sample.path, sample.tile, sample.digest, prompt, score.cosine)
            images[prompt] = min(images.get(prompt, image), image, key=lambda one: one.cosine)
    return [images[prompt] for prompt, _ in lowest(found, scores, number)]
