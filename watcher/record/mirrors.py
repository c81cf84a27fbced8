"""What trackers have been shown: of which evaluation which revision, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects.sqlite import insert as upsert

from watcher.names import is_trainers
from watcher.nouns import Evaluation
from watcher.record import evaluations as store
from watcher.record.tables import evaluations, mirrors


@dataclass(frozen=True, slots=True)
class Shown:
    """One evaluation that a tracker shows; it may have been superseded since."""

    id: int
    revision: int
    step: int
    place: str


def behind(db: Connection, tracker: str) -> dict[str, int]:
    """Give for every run the lowest step that a tracker does not show as it is now, by run id."""
    done = (mirrors.c.evaluation_id == evaluations.c.id) & (mirrors.c.tracker == tracker)
    query = select(evaluations.c.run_id, func.min(evaluations.c.step)).outerjoin(mirrors, done)
    query = query.where(evaluations.c.state == "closed")
    query = query.where(func.coalesce(mirrors.c.revision, 0) < evaluations.c.revision)
    return {row[0]: row[1] for row in db.execute(query.group_by(evaluations.c.run_id))}


def shown(db: Connection, tracker: str, run_id: str) -> list[Shown]:
    """Give what a tracker shows of a run."""
    columns = (evaluations.c.id, mirrors.c.revision, evaluations.c.step, mirrors.c.place)
    query = select(*columns).join(mirrors, mirrors.c.evaluation_id == evaluations.c.id)
    mine = (evaluations.c.run_id == run_id, mirrors.c.tracker == tracker)
    return [Shown(*row) for row in db.execute(query.where(*mine))]


def closed_since(db: Connection, run_id: str, step: int) -> list[Evaluation]:
    """Give a run's closed evaluations at or after a step with their metrics, by step.

    Without what the trainer logs: it shows that itself.
    """
    mine = (evaluations.c.run_id == run_id, evaluations.c.state == "closed", evaluations.c.step >= step)
    ids = db.execute(select(evaluations.c.id).where(*mine).order_by(evaluations.c.step, evaluations.c.variant))
    return [_own(store.get(db, evaluation_id)) for evaluation_id in ids.scalars()]


def _own(evaluation: Evaluation) -> Evaluation:
    metrics = {name: value for name, value in evaluation.metrics.items() if not is_trainers(name)}
    return replace(evaluation, metrics=metrics)


def show(db: Connection, tracker: str, place: str, run_id: str, since: int | None, found: Sequence[Evaluation]) -> None:
    """Note that a tracker shows these evaluations of a run, and with `since` from that step on no others."""
    if since is not None:
        later = select(evaluations.c.id).where(evaluations.c.run_id == run_id, evaluations.c.step >= since)
        db.execute(delete(mirrors).where(mirrors.c.tracker == tracker, mirrors.c.evaluation_id.in_(later)))
    rows = [{"evaluation_id": one.id, "tracker": tracker, "revision": one.revision, "place": place} for one in found]
    if rows:
        new = upsert(mirrors)
        changed = {"revision": new.excluded.revision, "place": new.excluded.place}
        db.execute(new.on_conflict_do_update(index_elements=["evaluation_id", "tracker"], set_=changed), rows)
