"""Windows of what a run has logged: those that are over, and where each stands in the training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from watcher.judge import windows, without
from watcher.nouns import Clock, Evaluation, Run, Window
from watcher.record import runs, scalars
from watcher.record import windows as kept
from watcher.record.scalars import Number

LEFT_OUT = 100
"""So many windows a metric may be left out of before it is missed, once it was logged."""


def over(db: Connection, run: Run, clock: Clock, last: Window | None) -> list[Window]:
    """Give the windows after the last one that are over, of what a run has logged."""
    begin = 0 if last is None else last.end + 1
    attempts = _Attempts(runs.attempts_of(db, run.id))
    logged = (one for one in scalars.since(db, run.id, begin, clock.names) if attempts.holds(one))
    return windows(logged, clock, begin, attempts.at)


def missed(db: Connection, run: Run, clock: Clock, last: Window | None) -> list[Window]:
    """Give the windows after the last one in which a run has logged other metrics, and none of a clock's.

    Of metrics that it has never logged; and of those that it has not for `LEFT_OUT` windows: some are only logged now
    and then, and are not missed between.
    """
    if last is None or not last.values:
        begin = 0 if last is None else last.end + 1
    else:
        begin = last.end + LEFT_OUT * clock.every + 1
    newest = scalars.furthest(db, run.id)
    if newest is None or scalars.since(db, run.id, 0 if last is None else last.end + 1, clock.names):
        return []
    return without(newest.step, newest.at, clock, begin, _Attempts(runs.attempts_of(db, run.id)).at)


def judged(db: Connection, run: Run, clock: Clock) -> list[Window]:
    """Give a run's windows as they were judged; where no rule of the daemon has had these, of what is left of it."""
    return kept.of_run(db, run.id, clock) or over(db, run, clock, None)


def place(run: Run, window: Window) -> Evaluation:
    """Give a window as the place in a training that a decision has to know."""
    return Evaluation(
        id=0,
        run_id=run.id,
        attempt=window.attempt,
        step=window.step,
        variant="",
        state="closed",
        history=window.last_at <= run.first_seen,
        complete=True,
        first_at=window.first_at,
        last_at=window.last_at,
        metrics=window.values,
    )


@dataclass(frozen=True, slots=True)
class _Attempts:
    """Where the attempts of a run begin: step and wall time, by number."""

    known: Mapping[int, tuple[int, float]]

    def holds(self, number: Number) -> bool:
        """Tell whether a number is not from before a later attempt came to its step."""
        return all(one == 1 or number.step < step or number.at >= at for one, (step, at) in self.known.items())

    def at(self, step: int) -> int:
        """Give the attempt that a step belongs to."""
        return max((one for one, (first, _) in self.known.items() if first <= step), default=1)
