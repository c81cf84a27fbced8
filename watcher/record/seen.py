"""How far a run's evaluations go that rules see, so that one can tell whether they only grew, without counting them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from watcher.record.tables import evaluations


@dataclass(frozen=True, slots=True)
class Extent:
    """What rules see of a run: up to which evaluation, and which of those before it are open again.

    What was seen before changes in three ways, and each changes the name: a run that goes back supersedes the last of
    them along with the others, one that is open again is named, and one that is closed again, which has another
    revision, is judged as it is closed. So a state made of what `before` names lacks the newest and nothing else.
    """

    newest: int
    """The last one's id."""
    all: str
    """Names all of them."""
    before: str
    """Names all but the newest; empty where there are none."""


def extent(db: Connection, run_id: str) -> Extent | None:
    """Tell how far the evaluations go that rules see of a run; None where there are none."""
    mine = (evaluations.c.run_id == run_id, evaluations.c.variant == "")
    known = select(evaluations.c.id, evaluations.c.revision)
    order = (evaluations.c.step.desc(), evaluations.c.attempt.desc())
    last = db.execute(known.where(*mine, evaluations.c.state == "closed").order_by(*order).limit(2)).all()
    if not last:
        return None
    # Those that were never closed have never been seen.
    again = known.where(*mine, evaluations.c.state == "open", evaluations.c.revision > 0)
    without = db.execute(again.order_by(evaluations.c.id)).all()
    return Extent(last[0].id, _named(last[:1], without), _named(last[1:], without))


def _named(last: Sequence[Any], without: Sequence[Any]) -> str:
    return " without ".join(",".join(f"{row.id}:{row.revision}" for row in rows) for rows in (last, without) if rows)
