"""Rule states and decisions: where each rule stands for each run, and what it decided when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from watcher.nouns import Evaluation, Verdict
from watcher.record.tables import actions, decisions, rule_states


def state_of(db: Connection, run_id: str, rule: str) -> dict[str, Any] | None:
    """Give where a rule stands for a run; None where it has not judged it, or is gone."""
    mine = (rule_states.c.run_id == run_id, rule_states.c.rule == rule)
    return db.execute(select(rule_states.c.state).where(*mine)).scalar_one_or_none()


def states_of(db: Connection, run_id: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Give where the rules stand for a run, by their names and content hashes."""
    rows = db.execute(select(rule_states).where(rule_states.c.run_id == run_id))
    return {(row.rule, row.hash): row.state for row in rows}


def keep_states(db: Connection, run_id: str, states: Mapping[tuple[str, str], Mapping[str, Any]], now: float) -> None:
    """Store where rules stand for a run, by their names and content hashes."""
    rows = [
        {"run_id": run_id, "rule": rule, "hash": content, "state": dict(state), "at": now}
        for (rule, content), state in states.items()
    ]
    if rows:
        new = upsert(rule_states)
        renewed = {name: new.excluded[name] for name in ("hash", "state", "at")}
        db.execute(new.on_conflict_do_update(index_elements=["run_id", "rule"], set_=renewed), rows)


def states(db: Connection) -> dict[str, dict[str, dict[str, Any]]]:
    """Give every stored rule state, by run id and rule name."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in db.execute(select(rule_states).order_by(rule_states.c.rule)):
        found.setdefault(row.run_id, {})[row.rule] = row.state
    return found


def forget_states(db: Connection, rules: Mapping[str, str]) -> None:
    """Drop states of rules that are gone or changed; `rules` maps names to content hashes."""
    for row in db.execute(select(rule_states)).all():
        if rules.get(row.rule) != row.hash:
            same = (rule_states.c.run_id == row.run_id, rule_states.c.rule == row.rule)
            db.execute(delete(rule_states).where(*same))


def open_decision(db: Connection, run_id: str, rule: str) -> Row[Any] | None:
    """Give the decision of a rule that fired for a run and is not resolved yet."""
    mine = (decisions.c.run_id == run_id, decisions.c.rule == rule, decisions.c.resolved_at.is_(None))
    return db.execute(select(decisions).where(*mine)).one_or_none()


def open_of(db: Connection, run_id: str) -> dict[str, Row[Any]]:
    """Give a run's decisions that are not resolved yet, by rule."""
    mine = (decisions.c.run_id == run_id, decisions.c.resolved_at.is_(None))
    return {row.rule: row for row in db.execute(select(decisions).where(*mine))}


def resolution_behind(db: Connection, action_id: int) -> str | None:
    """Say why the decision behind an action is resolved; None where it is open, or there is none."""
    query = select(decisions.c.resolution).join(actions, actions.c.decision_id == decisions.c.id)
    return db.execute(query.where(actions.c.id == action_id, decisions.c.resolved_at.is_not(None))).scalar_one_or_none()


def all_open(db: Connection) -> list[Row[Any]]:
    """Give every unresolved decision."""
    return list(db.execute(select(decisions).where(decisions.c.resolved_at.is_(None))))


def decide(
    db: Connection, verdict: Verdict, content: str, evaluation: Evaluation, now: float, rule_text: str = ""
) -> int:
    """Write down that a rule, as it is written now, fires for a run at an evaluation; gives the decision's id."""
    new = insert(decisions).values(
        run_id=evaluation.run_id,
        rule=verdict.rule,
        hash=content,
        attempt=evaluation.attempt,
        step=evaluation.step,
        by_epoch=evaluation.by_epoch,
        state="firing",
        reason=verdict.reason,
        numbers=dict(verdict.numbers),
        rule_text=rule_text,
        resolution="",
        at=now,
        told_at=now,
        told=1,
    )
    return int(db.execute(new.returning(decisions.c.id)).scalar_one())


def resolve(db: Connection, decision_id: int, reason: str, now: float) -> None:
    """Write down that what a rule complained of is over."""
    values = {"state": "resolved", "resolved_at": now, "resolution": reason}
    db.execute(update(decisions).where(decisions.c.id == decision_id).values(**values))


def told(db: Connection, decision_id: int, now: float) -> None:
    """Count a reminder of a decision."""
    values = {"told_at": now, "told": decisions.c.told + 1}
    db.execute(update(decisions).where(decisions.c.id == decision_id).values(**values))


def of_run(db: Connection, run_id: str) -> list[Row[Any]]:
    """Give a run's decisions, oldest first."""
    return list(db.execute(select(decisions).where(decisions.c.run_id == run_id).order_by(decisions.c.id)))
