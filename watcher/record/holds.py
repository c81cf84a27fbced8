"""Vetoes that people have put on runs with `watcher hold`: facts, so that they stand while no daemon runs."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import Connection

from watcher.record import runs
from watcher.record.held import PREFIX, Hold


def put(db: Connection, run_id: str, hold: Hold) -> None:
    """Veto every action on a run."""
    runs.set_fact(db, PREFIX + run_id, asdict(hold), hold.at)


def drop(db: Connection, run_id: str) -> None:
    """Take the veto back."""
    runs.forget_facts(db, PREFIX + run_id)


def of_run(db: Connection, run_id: str) -> Hold | None:
    """Give the veto on a run, if there is one."""
    value = runs.fact(db, PREFIX + run_id)
    return Hold(**value) if value else None
