"""Runs that a person wants scored again: their samples are marked at once, their metrics change when all are scored.

Until then the old metrics stand, so that nobody sees half a change.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, func, select, update

from watcher import inside
from watcher.nouns import Evaluation, Run
from watcher.record import evaluations, runs
from watcher.record.tables import evaluations as table
from watcher.record.tables import facts, samples

KEY = "again:"
WHY = "asked for by `watcher score --again`"


@dataclass(frozen=True, slots=True)
class Asked:
    """The closed and superseded evaluations of a run that are to be scored again."""

    run_id: str
    evaluations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Old:
    """A scored sample, and its file as it was."""

    id: int
    path: str
    size: int
    mtime: float
    evaluation: Evaluation

    def is_there(self) -> bool:
        """Tell whether its file is; where a later attempt has replaced it, another one may bear its name."""
        if inside.holder(Path(self.path)):
            return True
        try:
            info = Path(self.path).stat()
        except (OSError, ValueError):
            return False
        return self.evaluation.state != "superseded" or (info.st_size, info.st_mtime) == (self.size, self.mtime)


def scored(db: Connection, run_id: str, step: int | None, *, superseded: bool) -> list[Old]:
    """Give a run's scored samples, by step; those that a later attempt replaced only if wanted."""
    known = {one.id: one for one in evaluations.of_run(db, run_id) if step in (None, one.step)}
    mine = (samples.c.run_id == run_id, samples.c.current, samples.c.state == "scored")
    rows = db.execute(select(samples).where(*mine).order_by(samples.c.step, samples.c.id)).all()
    found = [
        Old(row.id, row.path, row.size, row.mtime, known[row.evaluation_id])
        for row in rows
        if row.evaluation_id in known
    ]
    return [one for one in found if superseded or one.evaluation.state != "superseded"]


def ask(db: Connection, run: Run, chosen: Collection[Old], now: float) -> None:
    """Mark samples to be scored again; an archived run becomes active."""
    for one in chosen:
        db.execute(update(samples).where(samples.c.id == one.id).values(state="ready", reason=""))
    ids = {one.evaluation.id for one in chosen if one.evaluation.state != "open"}
    before = next((asked.evaluations for asked in all_asked(db) if asked.run_id == run.id), ())
    if ids or before:
        runs.set_fact(db, KEY + run.id, sorted({*before, *ids}), now)
    if run.state == "archived":
        runs.set_state(db, run.id, "active", WHY, now)


def all_asked(db: Connection) -> list[Asked]:
    """Give what was asked for and is not done."""
    rows = db.execute(select(facts.c.key, facts.c.value).where(facts.c.key.startswith(KEY, autoescape=True)))
    return [Asked(row.key.removeprefix(KEY), tuple(row.value)) for row in rows]


def waiting(db: Connection, asked: Asked) -> int:
    """Count the samples of these evaluations that still want a score."""
    mine = (samples.c.evaluation_id.in_(asked.evaluations), samples.c.current, samples.c.state == "ready")
    return int(db.execute(select(func.count()).select_from(samples).where(*mine)).scalar_one())


def open_again(db: Connection, asked: Asked) -> Iterator[Evaluation]:
    """Give these evaluations by step, as they stand; those that a late image has opened close by themselves."""
    ids = db.execute(
        select(table.c.id)
        .where(table.c.id.in_(asked.evaluations), table.c.state != "open")
        .order_by(table.c.step, table.c.id)
    )
    yield from (evaluations.get(db, number) for number in ids.scalars().all())


def keep_superseded(db: Connection, evaluation: Evaluation) -> None:
    """Leave a superseded evaluation out of the rules' sight, whatever was measured anew."""
    db.execute(update(table).where(table.c.id == evaluation.id).values(state="superseded"))


def done(db: Connection, run_id: str) -> None:
    """Forget what was asked for: it is done."""
    runs.forget_facts(db, KEY + run_id)
