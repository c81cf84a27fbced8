"""What `status` asks of the store for every run at once, so that a thousand runs take no longer to ask for than one."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from watcher.nouns import SampleState
from watcher.record.tables import evaluations, metrics, samples

OTHERS: tuple[SampleState, ...] = ("ready", "unscorable", "undecodable")
"""The states of samples that are not scored."""


def trends(db: Connection, metric: str, last: int) -> dict[str, list[float]]:
    """Give the last values of a metric by run id, oldest first; only of what rules see."""
    newest_first = func.row_number().over(partition_by=evaluations.c.run_id, order_by=evaluations.c.step.desc())
    query = select(evaluations.c.run_id, metrics.c.value, newest_first.label("place"))
    query = query.join(metrics, metrics.c.evaluation_id == evaluations.c.id)
    seen = (evaluations.c.state == "closed", evaluations.c.variant == "", metrics.c.name == metric)
    ranked = query.where(*seen).subquery()
    found: dict[str, list[float]] = {}
    for row in db.execute(select(ranked).where(ranked.c.place <= last).order_by(ranked.c.place.desc())):
        found.setdefault(row.run_id, []).append(row.value)
    return found


def reasons(db: Connection) -> dict[str, dict[str, int]]:
    """Give how often each reason stands beside current samples without a score, by run id."""
    without = (samples.c.current, samples.c.state.in_(("unscorable", "undecodable")))
    query = select(samples.c.run_id, samples.c.reason, func.count()).where(*without)
    found: dict[str, dict[str, int]] = {}
    for run_id, reason, number in db.execute(query.group_by(samples.c.run_id, samples.c.reason)):
        found.setdefault(run_id, {})[reason] = number
    return found


def counts(db: Connection) -> dict[str, dict[str, int]]:
    """Give how many current samples are in which state, by run id.

    Nearly all are scored: those are counted as what the others leave, by an index alone and not by reading a million
    rows.
    """
    everything = select(samples.c.run_id, func.count()).where(samples.c.current).group_by(samples.c.run_id)
    found = {run_id: {"scored": number} for run_id, number in db.execute(everything)}
    others = select(samples.c.run_id, samples.c.state, func.count())
    others = others.where(samples.c.current, samples.c.state.in_(OTHERS)).group_by(samples.c.run_id, samples.c.state)
    for run_id, state, number in db.execute(others):
        found[run_id][state] = number
        found[run_id]["scored"] -= number
    return found
