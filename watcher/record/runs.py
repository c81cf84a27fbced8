"""Runs, their attempts, their events, and what `status` knows of the daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from watcher.nouns import Run, RunState
from watcher.record.tables import attempts, events, facts, runs


def add(db: Connection, run: Run, reason: str, newest: float | None = None) -> None:
    """Keep a run seen for the first time.

    `reason` says why it has its layout, `newest` gives its newest image's modification time, 0 where there is none; by
    default everything up to its first sight was there.
    """
    db.execute(
        insert(runs).values(
            id=run.id,
            name=run.name,
            path=str(run.path),
            stream=run.stream,
            layout=run.layout,
            reason=reason,
            state=run.state,
            mode=run.mode,
            labels=dict(run.labels),
            first_seen=run.first_seen,
            newest_at_first=run.first_seen if newest is None else newest,
        )
    )
    add_attempt(db, run.id, 1, 0, run.first_seen)


def describe(db: Connection, run: Run, reason: str) -> None:
    """Bring what the configuration and the folder say of a known run up to date."""
    db.execute(
        update(runs)
        .where(runs.c.id == run.id)
        .values(name=run.name, layout=run.layout, reason=reason, mode=run.mode, labels=dict(run.labels))
    )


def set_state(db: Connection, run_id: str, state: RunState, why: str, now: float) -> None:
    """Change a run's state and write down why."""
    db.execute(update(runs).where(runs.c.id == run_id).values(state=state))
    add_event(db, run_id, state, why, now)


def touch(db: Connection, run_id: str, written_at: float) -> None:
    """Note the wall time of a run's newest output."""
    newer = (runs.c.last_output.is_(None)) | (runs.c.last_output < written_at)
    db.execute(update(runs).where(runs.c.id == run_id, newer).values(last_output=written_at))


def all_runs(db: Connection) -> list[Run]:
    """Give every run that was ever seen, oldest first."""
    numbers = select(attempts.c.run_id, func.max(attempts.c.number).label("attempt"))
    latest = numbers.group_by(attempts.c.run_id).subquery()
    query = select(runs, latest.c.attempt).join(latest, latest.c.run_id == runs.c.id)
    return [_run(row) for row in db.execute(query.order_by(runs.c.first_seen, runs.c.id))]


def last_outputs(db: Connection) -> dict[str, float | None]:
    """Give the wall time of every run's newest output, by run id."""
    return {row.id: row.last_output for row in db.execute(select(runs.c.id, runs.c.last_output))}


def _run(row: Row[Any]) -> Run:
    names = ("id", "name", "layout", "stream", "state", "mode", "attempt", "first_seen", "labels")
    return Run(path=Path(row.path), **{name: getattr(row, name) for name in names})


def add_attempt(db: Connection, run_id: str, number: int, first_step: int, began: float) -> None:
    """Begin an attempt: the run went back to `first_step`, and had by a wall time."""
    db.execute(insert(attempts).values(run_id=run_id, number=number, first_step=first_step, at=began))


def attempt_at(db: Connection, run_id: str, step: int) -> int:
    """Give the attempt that a step belongs to: the latest that began at or before it."""
    query = select(func.max(attempts.c.number))
    return db.execute(query.where(attempts.c.run_id == run_id, attempts.c.first_step <= step)).scalar_one_or_none() or 1


def attempts_of(db: Connection, run_id: str) -> dict[int, tuple[int, float]]:
    """Give the step at which each attempt of a run begins, and the wall time by which it had, by its number."""
    rows = db.execute(select(attempts).where(attempts.c.run_id == run_id))
    return {row.number: (row.first_step, row.at) for row in rows}


def newest_attempt(db: Connection, run_id: str) -> int:
    """Give the number of the attempt that a run is in."""
    query = select(func.max(attempts.c.number)).where(attempts.c.run_id == run_id)
    return int(db.execute(query).scalar_one())


def add_event(db: Connection, run_id: str | None, kind: str, text: str, now: float) -> None:
    """Write down something that happened, for `watcher show`."""
    db.execute(insert(events).values(run_id=run_id, kind=kind, text=text, at=now))


def events_of(db: Connection, run_id: str) -> list[Row[Any]]:
    """Give a run's events, oldest first."""
    return list(db.execute(select(events).where(events.c.run_id == run_id).order_by(events.c.id)))


def set_fact(db: Connection, key: str, value: Any, now: float) -> None:
    """Tell `status` something of the living daemon, such as why the scorer is down."""
    new = upsert(facts).values(key=key, value=value, at=now)
    db.execute(new.on_conflict_do_update(index_elements=["key"], set_={"value": value, "at": now}))


def fact(db: Connection, key: str) -> Any:
    """Give what was told under a key; None where nothing was."""
    return db.execute(select(facts.c.value).where(facts.c.key == key)).scalar()


def forget_facts(db: Connection, prefix: str) -> None:
    """Drop what an earlier daemon told under keys that begin so."""
    db.execute(delete(facts).where(facts.c.key.startswith(prefix, autoescape=True)))


def all_facts(db: Connection) -> dict[str, Any]:
    """Give what the daemon told, by key."""
    return {row.key: row.value for row in db.execute(select(facts))}
