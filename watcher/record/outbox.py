"""The outbox: a notice is written with the change that caused it, and ticked off after it was delivered."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from watcher.nouns import Notice
from watcher.record.tables import deliveries, outbox


@dataclass(frozen=True, slots=True)
class Delivery:
    """One notice on its way to one target."""

    id: int
    target: str
    attempts: int
    notice: Notice


def post(db: Connection, notice: Notice, targets: Sequence[str], now: float) -> None:
    """Write a notice for some targets; a notice with the same key is there already and stays as it is."""
    new = upsert(outbox).values(key=notice.key, notice=asdict(notice), at=now)
    row = db.execute(new.on_conflict_do_nothing().returning(outbox.c.id)).one_or_none()
    if row is None:
        return
    values = {"outbox_id": row.id, "state": "pending", "attempts": 0, "next_at": now, "error": ""}
    rows = [{**values, "target": target} for target in targets]
    if rows:
        db.execute(insert(deliveries), rows)


def due(db: Connection, now: float, targets: Collection[str]) -> list[Delivery]:
    """Give for each of some targets the oldest notice that is due, where there is one."""
    waiting = (deliveries.c.state == "pending", deliveries.c.next_at <= now, deliveries.c.target.in_(targets))
    oldest = select(func.min(deliveries.c.id)).where(*waiting).group_by(deliveries.c.target)
    query = select(deliveries, outbox.c.notice).join(outbox, outbox.c.id == deliveries.c.outbox_id)
    query = query.where(deliveries.c.id.in_(oldest)).order_by(deliveries.c.id)
    return [Delivery(row.id, row.target, row.attempts, Notice(**row.notice)) for row in db.execute(query)]


def told(db: Connection, key: str) -> list[tuple[Notice, dict[str, str]]]:
    """Give the notices whose keys begin like this, oldest first, each with how its delivery to every target stands."""
    found: dict[int, tuple[Notice, dict[str, str]]] = {}
    query = select(outbox, deliveries.c.target, deliveries.c.state).outerjoin(
        deliveries, outbox.c.id == deliveries.c.outbox_id
    )
    mine = query.where(outbox.c.key.startswith(key, autoescape=True))
    for row in db.execute(mine.order_by(outbox.c.id, deliveries.c.id)):
        _, targets = found.setdefault(row.id, (Notice(**row.notice), {}))
        if row.target is not None:
            targets[row.target] = row.state
    return list(found.values())


def next_after(db: Connection, now: float) -> float:
    """Give the wall time at which the next delivery that was put off is due; infinity where none was."""
    later = (deliveries.c.state == "pending", deliveries.c.next_at > now)
    found = db.execute(select(func.min(deliveries.c.next_at)).where(*later)).scalar()
    return float("inf") if found is None else float(found)


def delivered(db: Connection, delivery_id: int) -> None:
    """Tick off a delivery that succeeded."""
    done = update(deliveries).where(deliveries.c.id == delivery_id)
    db.execute(done.values(state="delivered", attempts=deliveries.c.attempts + 1, error=""))


def try_again(db: Connection, delivery_id: int, error: str, at: float) -> None:
    """Put a failed delivery off until a wall time."""
    row = update(deliveries).where(deliveries.c.id == delivery_id)
    db.execute(row.values(attempts=deliveries.c.attempts + 1, error=error, next_at=at))


def give_up(db: Connection, delivery_id: int, error: str) -> None:
    """Mark a delivery that cannot succeed."""
    row = update(deliveries).where(deliveries.c.id == delivery_id)
    db.execute(row.values(state="failed", attempts=deliveries.c.attempts + 1, error=error))


def give_up_others(db: Connection, targets: Collection[str], error: str) -> None:
    """Mark what waits for a target that is none of these."""
    rows = update(deliveries).where(deliveries.c.state == "pending", deliveries.c.target.not_in(targets))
    db.execute(rows.values(state="failed", error=error))


def second_chance(db: Connection, targets: Collection[str], since: float, now: float) -> None:
    """Let what failed for these targets be tried again when it was posted after a wall time."""
    recent = select(outbox.c.id).where(outbox.c.at >= since)
    rows = update(deliveries).where(
        deliveries.c.state == "failed", deliveries.c.target.in_(targets), deliveries.c.outbox_id.in_(recent)
    )
    db.execute(rows.values(state="pending", next_at=now))
