"""From scores to metrics: an evaluation is closed, and judged, in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from watcher.names import MAIN, is_trainers
from watcher.nouns import Evaluation, Run
from watcher.record import baselines, evaluations, lag, runs, scalars, vectors
from watcher.record.evaluations import OpenEvaluation
from watcher.record.store import Store
from watcher.settle import EvaluationView, SettleSettings, closes_at, closing, is_complete
from watcher.steps.judging import Judging
from watcher.steps.measuring import Measured, measure, one_identity_each
from watcher.steps.rest import NEVER, Rest

log = logging.getLogger(__name__)
SOON = 1.0
"""Seconds after which an evaluation that waits for its trainer's logs is looked at again at the latest."""
Expected = Callable[[Run, Evaluation], int | None]


class Closing:
    """Closes evaluations in the order of their steps."""

    def __init__(
        self,
        store: Store,
        settings: SettleSettings,
        judging: Judging,
        expected: Expected,
        closed: Callable[[Run], None],
        looked_into: Callable[[Run], bool],
        looks: Callable[[], object],
        scorers: Sequence[str] = (MAIN,),
        logs_read: Callable[[Run, float, float], bool] = lambda _run, _since, _now: True,
        numbers: Sequence[str] = (),
    ) -> None:
        self._store = store
        self._closed = closed
        self._settings = settings
        self._judging = judging
        self._expected = expected
        self._looked_into = looked_into
        self._rest = Rest(store, looks)
        self._scorers = scorers
        self._logs_read = logs_read
        self._numbers = numbers
        """Metrics that the trainer logs itself."""

    def look_at(self, numbers: Sequence[str]) -> None:
        """Give evaluations these numbers of their trainers from now on."""
        self._numbers = numbers

    def advance(self, now: float) -> int:
        """Close what is ready to be closed; gives how many evaluations were closed."""
        if self._rest.lasts(now):
            return 0
        with self._store.read() as db:
            found = evaluations.opened(db)
            known = {run.id: run for run in runs.all_runs(db)} if found else {}
        closed, until = 0, NEVER
        blocked: set[tuple[str, str]] = set()
        for candidate in found:
            line = (candidate.evaluation.run_id, candidate.evaluation.variant)
            if line in blocked:
                continue
            due = self._try(known[candidate.evaluation.run_id], candidate, now)
            closed += due is None
            if due is not None:
                until = min(until, due)
                if not candidate.evaluation.history:
                    # A later evaluation must not be judged as if this one did not exist.
                    blocked.add(line)
        self._rest.begin(now, until)
        return closed

    def _try(self, run: Run, candidate: OpenEvaluation, now: float) -> float | None:
        """Close one evaluation, or give the wall time at which time alone would."""
        if candidate.pending or not self._looked_into(run):  # how many images there will be is found out by a look
            return NEVER
        expected = self._expected(run, candidate.evaluation)
        view = _view(candidate, expected, self._gap(run) if expected is None else 0.0)
        because = closing(view, self._settings, now)
        if not because:
            return closes_at(view, self._settings)
        if not self._logs_read(run, candidate.last_arrival, now):  # what the trainer logged by then belongs to it
            return now + SOON
        return None if self._close(run, candidate, expected, because, now) else NEVER

    def _gap(self, run: Run) -> float:
        with self._store.read() as db:
            return evaluations.usual_gap(db, run.id)

    def _close(self, run: Run, candidate: OpenEvaluation, expected: int | None, because: str, now: float) -> bool:
        """Close an evaluation; gives whether it is, or waits for scores that are of one model."""
        with self._store.change("close evaluation") as db:
            usual = evaluations.usual_keys(db, candidate.evaluation)
            closed = self.close(
                db, candidate.evaluation, lambda found: is_complete(found.present, expected, usual), because
            )
            if closed is None:
                return False
            vectors.retire(db, closed, baselines.serving(db, run.id))
            self._judging.judge(db, run, closed, now)
        self._closed(run)
        log.info("run %s: %s closed (%s): %s", run.name, closed, because, _brief(closed))
        return True

    def close(
        self, db: Connection, evaluation: Evaluation, is_whole: Callable[[Measured], bool], because: str
    ) -> Evaluation | None:
        """Close an evaluation with the metrics of its newest scores; None where they are not of one model yet."""
        identities = one_identity_each(db, evaluation, self._scorers)
        if identities is None:
            return None
        main = identities.pop(MAIN, "")
        named = replace(evaluation, identity=main, others=identities)
        found = measure(db, named)
        metrics = {**found.metrics, **_lag(db, named), **self._logged(db, named)}
        return evaluations.close(db, named, metrics, complete=not found.lost and is_whole(found), because=because)

    def _logged(self, db: Connection, evaluation: Evaluation) -> dict[str, float]:
        """Give what the trainer logged by an evaluation's step; of what was closed before it stays as it was then."""
        if evaluation.variant:
            return {}
        found = scalars.at_step(db, evaluation.run_id, evaluation.step, self._numbers)
        before = _before(db, evaluation)
        return {**found, **before} if evaluation.state == "closed" else {**before, **found}


def _before(db: Connection, evaluation: Evaluation) -> dict[str, float]:
    """Give the trainer's numbers that an evaluation had when it was closed before; what they came from may be gone."""
    old = evaluations.get(db, evaluation.id).metrics
    return {name: value for name, value in old.items() if is_trainers(name)}


def _lag(db: Connection, evaluation: Evaluation) -> dict[str, float]:
    """Give how far scoring lagged behind; of what was closed before it stays as it was then."""
    if evaluation.state == "open":
        return lag.lag_of(db, evaluation)
    return {name: value for name, value in evaluation.metrics.items() if name == lag.METRIC}


def _view(candidate: OpenEvaluation, expected: int | None, gap: float) -> EvaluationView:
    return EvaluationView(
        images=candidate.images,
        expected=expected,
        opened_at=candidate.opened_at,
        last_arrival=candidate.last_arrival,
        usual_gap=gap,
        later_step_started=candidate.later_step_started,
    )


def _brief(evaluation: Evaluation) -> str:
    mean = evaluation.metrics.get("clip/mean")
    images = int(evaluation.metrics.get("clip/images", 0))
    return "no scored image" if mean is None else f"clip/mean {mean:.4f} over {images} image{'s' * (images != 1)}"
