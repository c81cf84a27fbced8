"""What a run's evaluations are compared with: the base model's images, or what a user has chosen instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, select

from watcher.nouns import Evaluation
from watcher.record import evaluations, runs
from watcher.record.tables import evaluations as table
from watcher.record.tables import facts

BASE = "base"
"""The variant of the base model's images."""
KEY = "baseline:"


@dataclass(frozen=True, slots=True)
class Choice:
    """What a user has chosen as a run's baseline."""

    run_id: str
    """The run that the baseline is of, perhaps the same one."""
    step: int


def choose(db: Connection, run_id: str, choice: Choice, now: float) -> None:
    """Set what a run is compared with."""
    runs.set_fact(db, KEY + run_id, {"run": choice.run_id, "step": choice.step}, now)


def clear(db: Connection, run_id: str) -> bool:
    """Go back to what the trainer gives; tells whether anything was chosen."""
    gone = db.execute(delete(facts).where(facts.c.key == KEY + run_id))
    return bool(gone.rowcount)


def chosen(db: Connection, run_id: str) -> Choice | None:
    """Give what a user has chosen for a run."""
    found: Mapping[str, Any] | None = runs.fact(db, KEY + run_id)
    return None if found is None else Choice(str(found["run"]), int(found["step"]))


def of(db: Connection, run_id: str) -> Evaluation | None:
    """Give the evaluation that a run is compared with, where it is closed.

    What was chosen, else the base model's images, else step 0, which is the base model as well.
    """
    if (choice := chosen(db, run_id)) is not None:
        return at(db, choice.run_id, choice.step)
    return _lowest(db, run_id, BASE) or at(db, run_id, 0)


def serving(db: Connection, run_id: str) -> set[int]:
    """Give the ids of a run's evaluations that it, or any other run by a user's choice, is compared with."""
    values = db.execute(select(facts.c.value).where(facts.c.key.startswith(KEY))).scalars()
    steps = [int(value["step"]) for value in values if value["run"] == run_id]
    return {found.id for found in (of(db, run_id), *(at(db, run_id, step) for step in steps)) if found is not None}


def at(db: Connection, run_id: str, step: int) -> Evaluation | None:
    """Give a run's closed evaluation of the main variant at a step."""
    # The newest attempt is chosen here: to have them in order SQLite would go through all of the run's evaluations.
    query = select(table.c.attempt, table.c.id).where(*_closed(run_id, ""), table.c.step == step)
    found = max(db.execute(query), key=lambda row: row.attempt, default=None)
    return None if found is None else evaluations.get(db, found.id)


def newest(db: Connection, run_id: str) -> Evaluation | None:
    """Give a run's newest closed evaluation of the main variant."""
    query = select(table.c.id).where(*_closed(run_id, ""))
    found = db.execute(query.order_by(table.c.step.desc()).limit(1)).scalar()
    return None if found is None else evaluations.get(db, found)


def _lowest(db: Connection, run_id: str, variant: str) -> Evaluation | None:
    found = db.execute(select(table.c.id).where(*_closed(run_id, variant)).order_by(table.c.step).limit(1)).scalar()
    return None if found is None else evaluations.get(db, found)


def _closed(run_id: str, variant: str) -> tuple[Any, ...]:
    return (table.c.run_id == run_id, table.c.variant == variant, table.c.state == "closed")
