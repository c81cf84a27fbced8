"""Actions: each with the state it has reached, stored before the next is begun."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from watcher.nouns import FINAL, RATES, Command
from watcher.record.tables import actions


def plan(db: Connection, command: Command, decision_id: int | None) -> int:
    """Store a new action; gives its id."""
    values = {name: getattr(command, name) for name in _FIELDS if name != "id"}
    new = insert(actions).values(decision_id=decision_id, **values)
    return int(db.execute(new.returning(actions.c.id)).scalar_one())


def keep(db: Connection, command: Command) -> None:
    """Store how far an action has come."""
    changing = ("state", "changed_at", "identity", "progress", "proof")
    values = {name: getattr(command, name) for name in changing}
    db.execute(update(actions).where(actions.c.id == command.id).values(**values))


def unfinished(db: Connection) -> list[Command]:
    """Give every action that is under way, oldest first."""
    query = select(actions).where(actions.c.state.not_in(FINAL)).order_by(actions.c.id)
    return [_command(row) for row in db.execute(query)]


def of_run(db: Connection, run_id: str) -> list[Command]:
    """Give a run's actions, oldest first."""
    query = select(actions).where(actions.c.run_id == run_id).order_by(actions.c.id)
    return [_command(row) for row in db.execute(query)]


def of_decision(db: Connection, decision_id: int) -> list[Command]:
    """Give the actions of a decision, oldest first."""
    query = select(actions).where(actions.c.decision_id == decision_id).order_by(actions.c.id)
    return [_command(row) for row in db.execute(query)]


def get(db: Connection, action_id: int) -> Command:
    """Give an action as it stands now."""
    return _command(db.execute(select(actions).where(actions.c.id == action_id)).one())


def stopped_at(db: Connection, run_id: str, since: float) -> float | None:
    """Give the wall time at which a run was last proved to be stopped, by whomever; None if not since then."""
    stops = (actions.c.run_id == run_id, actions.c.kind == "stop", actions.c.state == "verified")
    ends = (*stops, actions.c.changed_at >= since)
    return db.execute(select(func.max(actions.c.changed_at)).where(*ends)).scalar()


def stops_since(db: Connection, since: float) -> int:
    """Count the stops that were carried out, or are under way, since a wall time."""
    spent = (actions.c.kind == "stop", actions.c.created_at >= since)
    query = select(func.count()).select_from(actions).where(*spent)
    return db.execute(query.where(actions.c.state.not_in(("cancelled", "refused")))).scalar_one()


def changes_of(db: Connection, run_id: str) -> int:
    """Count the changes of a run's rate that rules have ordered and that were carried out, or are under way."""
    mine = (actions.c.run_id == run_id, actions.c.kind.in_(RATES), actions.c.rule != "")
    query = select(func.count()).select_from(actions).where(*mine, actions.c.state.not_in(("planned", *_NOT_DONE)))
    return db.execute(query).scalar_one()


_NOT_DONE = ("cancelled", "refused", "failed")
_FIELDS = tuple(field.name for field in fields(Command))


def _command(row: Row[Any]) -> Command:
    return Command(**{name: getattr(row, name) for name in _FIELDS})
