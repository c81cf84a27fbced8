"""Windows of trainers' numbers as they were judged: numbers are thinned out, and taken back, and these are not."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, Select, func, insert, select, update

from watcher.nouns import Clock, Window
from watcher.record.number_tables import windows
from watcher.record.tables import runs

NOTHING = {"": math.nan}
"""Stands for the values of a window that has none."""
_ORDER = (windows.c.end_step, windows.c.attempt, windows.c.name)


def keep(db: Connection, run_id: str, clock: Clock, found: Iterable[Window]) -> None:
    """Keep windows as they are judged."""
    rows = [
        {
            "run_id": run_id,
            "clock": str(clock),
            "attempt": one.attempt,
            "end_step": one.end,
            "name": name,
            "value": None if math.isnan(value) else value,
            "step": one.step,
            "first_at": one.first_at,
            "last_at": one.last_at,
        }
        for one in found
        for name, value in (one.values or NOTHING).items()
    ]
    if rows:
        db.execute(insert(windows), rows)


def newest(db: Connection, run_id: str, clock: Clock) -> Window | None:
    """Give the last window that no later attempt has replaced; None before the first."""
    mine = (windows.c.run_id == run_id, windows.c.clock == str(clock), windows.c.superseded.is_(False))
    last = select(windows.c.end_step).where(*mine).order_by(windows.c.end_step.desc()).limit(1).scalar_subquery()
    found = _read(db, select(windows).where(*mine, windows.c.end_step == last))
    return found[-1] if found else None


def of_run(db: Connection, run_id: str, clock: Clock, *, replaced: bool = False) -> list[Window]:
    """Give a run's windows in their order; with `replaced` also those that a later attempt has replaced."""
    mine = (windows.c.run_id == run_id, windows.c.clock == str(clock))
    live = () if replaced else (windows.c.superseded.is_(False),)
    return _read(db, select(windows).where(*mine, *live))


def judged_runs(db: Connection) -> set[str]:
    """Give the ids of the runs that have a window."""
    has_one = select(windows.c.run_id).where(windows.c.run_id == runs.c.id).exists()  # of each, no more is read
    return set(db.execute(select(runs.c.id).where(has_one)).scalars())


def supersede(db: Connection, run_id: str, step: int) -> None:
    """Take every window that a step or a later one belongs to out of the rules' sight; it stays in the store."""
    later = (windows.c.run_id == run_id, windows.c.end_step >= step)
    db.execute(update(windows).where(*later).values(superseded=True))


def newest_at(db: Connection, run_id: str, step: int) -> float | None:
    """Give when the last number was logged of the windows from a step on that rules see; None without any."""
    mine = (windows.c.run_id == run_id, windows.c.step >= step, windows.c.superseded.is_(False))
    return db.execute(select(func.max(windows.c.last_at)).where(*mine)).scalar()


def _read(db: Connection, query: Select[Any]) -> list[Window]:
    rows = db.execute(query.order_by(*_ORDER)).all()
    return [_window(list(some)) for _, some in groupby(rows, key=lambda row: (row.end_step, row.attempt))]


def _window(rows: list[Row[Any]]) -> Window:
    first = rows[0]
    values = {row.name: math.nan if row.value is None else row.value for row in rows if row.name}
    return Window(first.attempt, first.end_step, first.step, first.first_at, first.last_at, values)
