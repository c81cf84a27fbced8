"""A run that goes back: what it writes anew takes the place of what it had written from that step on."""

from __future__ import annotations

from sqlalchemy import Connection

from watcher.record import evaluations, runs, windows


def begin(db: Connection, run_id: str, step: int, why: str, now: float, began: float) -> int:
    """Begin an attempt at a step, of which `began` (wall time) is the oldest output that shows it; gives its number."""
    number = runs.newest_attempt(db, run_id) + 1
    evaluations.supersede(db, run_id, step)
    windows.supersede(db, run_id, step)
    runs.add_attempt(db, run_id, number, step, began)
    runs.add_event(db, run_id, "attempt", why, now)
    return number
