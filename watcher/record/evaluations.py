"""Evaluations and their metrics: opened by samples, closed once whole, superseded when a run goes back."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from watcher.nouns import EMPTY_PROMPT, Evaluation, Sample
from watcher.record import vectors
from watcher.record.tables import evaluations, metrics, runs, samples

CLOCKS = 900.0
"""Seconds by which a file server's clock may differ from ours."""


@dataclass(frozen=True, slots=True)
class OpenEvaluation:
    """What closing is decided by."""

    evaluation: Evaluation
    opened_at: float
    last_arrival: float
    images: int
    pending: int
    """Samples that still want a score."""
    later_step_started: bool


def open_for(db: Connection, sample: Sample, now: float, *, images: int = 0) -> int:
    """Open, or open again, the evaluation that a sample belongs to, with so many more images; gives its id."""
    same = (
        evaluations.c.run_id == sample.run_id,
        evaluations.c.attempt == sample.attempt,
        evaluations.c.step == sample.step,
        evaluations.c.variant == sample.variant,
    )
    row = db.execute(select(evaluations).where(*same)).one_or_none()
    if row is None:
        return _insert(db, sample, now, images)
    db.execute(
        update(evaluations)
        .where(evaluations.c.id == row.id)
        .values(
            state="superseded" if row.state == "superseded" else "open",
            history=row.history and _is_history(db, sample),
            first_at=min(row.first_at, _written_at(sample, now)),
            last_at=max(row.last_at, _written_at(sample, now)),
            last_arrival=now,
            images=row.images + images,
        )
    )
    return int(row.id)


def _insert(db: Connection, sample: Sample, now: float, images: int) -> int:
    new = insert(evaluations).values(
        run_id=sample.run_id,
        attempt=sample.attempt,
        step=sample.step,
        variant=sample.variant,
        epoch=sample.epoch,
        by_epoch=sample.by_epoch,
        state="open",
        history=_is_history(db, sample),
        complete=False,
        first_at=_written_at(sample, now),
        last_at=_written_at(sample, now),
        opened_at=now,
        last_arrival=now,
        revision=0,
        identity="",
        closed_because="",
        images=images,
    )
    return int(db.execute(new.returning(evaluations.c.id)).scalar_one())


def _written_at(sample: Sample, now: float) -> float:
    """Give when an image was written; never later than it was seen, whatever its file server's clock says."""
    return min(sample.mtime, now)


def replaced(db: Connection, evaluation_id: int) -> None:
    """Take one image off an evaluation's count: another takes its place."""
    row = update(evaluations).where(evaluations.c.id == evaluation_id)
    db.execute(row.values(images=evaluations.c.images - 1))


def _is_history(db: Connection, sample: Sample) -> bool:
    """Tell whether an image is from before its run was first seen.

    What was there then is known by the files' own clock; what was brought there since with an old time is history too.
    """
    first = db.execute(select(runs.c.first_seen, runs.c.newest_at_first).where(runs.c.id == sample.run_id)).one()
    return bool(sample.mtime <= first.newest_at_first or sample.mtime < first.first_seen - CLOCKS)


def supersede(db: Connection, run_id: str, step: int) -> None:
    """Take every evaluation at or after a step out of the rules' sight; it stays in the store, without embeddings."""
    later = (evaluations.c.run_id == run_id, evaluations.c.step >= step, evaluations.c.state != "superseded")
    gone = db.execute(update(evaluations).where(*later).values(state="superseded").returning(evaluations.c.id))
    vectors.forget(db, gone.scalars().all())


def opened(db: Connection) -> list[OpenEvaluation]:
    """Give every open evaluation of the active runs, lowest step first."""
    query = select(evaluations).join(runs, runs.c.id == evaluations.c.run_id)
    query = query.where(evaluations.c.state == "open", runs.c.state == "active")
    rows = db.execute(query.order_by(evaluations.c.run_id, evaluations.c.step, evaluations.c.id)).all()
    if not rows:
        return []
    waiting, newest = _waiting(db), _newest(db, {row.run_id for row in rows})
    return [
        OpenEvaluation(
            evaluation=_evaluation(row, {}),
            opened_at=row.opened_at,
            last_arrival=row.last_arrival,
            images=row.images,
            pending=waiting.get(row.id, 0),
            later_step_started=newest.get(row.run_id, 0) > row.step,
        )
        for row in rows
    ]


def _waiting(db: Connection) -> dict[int, int]:
    """Count the samples that still want a score, by evaluation id."""
    query = select(samples.c.evaluation_id, func.count()).where(samples.c.state == "ready", samples.c.current)
    return {row[0]: row[1] for row in db.execute(query.group_by(samples.c.evaluation_id))}


def _newest(db: Connection, run_ids: Collection[str]) -> dict[str, int]:
    """Give the highest step of each run that no later attempt has replaced."""
    seen = (evaluations.c.run_id.in_(run_ids), evaluations.c.state != "superseded")
    query = select(evaluations.c.run_id, func.max(evaluations.c.step)).where(*seen)
    return {row[0]: row[1] for row in db.execute(query.group_by(evaluations.c.run_id))}


def open_after(db: Connection, run_id: str, first_at: float, known_at: float) -> list[int]:
    """Give the steps of a run's open evaluations that were written after one time and known at another."""
    mine = (evaluations.c.run_id == run_id, evaluations.c.variant == "", evaluations.c.state == "open")
    query = select(evaluations.c.step).where(*mine, evaluations.c.first_at > first_at)
    return list(db.execute(query.where(evaluations.c.opened_at <= known_at).order_by(evaluations.c.step)).scalars())


def close(
    db: Connection, evaluation: Evaluation, values: Mapping[str, float], *, complete: bool, because: str
) -> Evaluation:
    """Close an evaluation with its metrics; an earlier closing's metrics are replaced."""
    changed = {"state": "closed", "complete": complete, "closed_because": because}
    db.execute(
        update(evaluations)
        .where(evaluations.c.id == evaluation.id)
        .values(
            revision=evaluations.c.revision + 1,
            identity=evaluation.identity,
            others=dict(evaluation.others),
            **changed,
        )
    )
    db.execute(delete(metrics).where(metrics.c.evaluation_id == evaluation.id))
    rows = [
        {"evaluation_id": evaluation.id, "name": name, "value": None if math.isnan(v) else v}
        for name, v in values.items()
    ]
    if rows:
        db.execute(insert(metrics), rows)
    return get(db, evaluation.id)


def closed_since(db: Connection, run_id: str, at: float) -> int:
    """Count the closed evaluations of the main variant whose first image was written after a wall time."""
    later = (*_closed_main(run_id), evaluations.c.first_at > at)
    return int(db.execute(select(func.count()).select_from(evaluations).where(*later)).scalar_one())


def get(db: Connection, evaluation_id: int) -> Evaluation:
    """Give one evaluation with its metrics."""
    row = db.execute(select(evaluations).where(evaluations.c.id == evaluation_id)).one()
    return _with_metrics(db, [row])[0]


def of_run(db: Connection, run_id: str) -> list[Evaluation]:
    """Give all evaluations of a run with their metrics, by attempt and step."""
    order = (evaluations.c.attempt, evaluations.c.step, evaluations.c.variant)
    mine = select(evaluations).where(evaluations.c.run_id == run_id)
    return _with_metrics(db, list(db.execute(mine.order_by(*order))))


def judged(db: Connection, run_id: str) -> list[Evaluation]:
    """Give what rules see: closed evaluations of the main variant that no later attempt replaced, by step."""
    seen = (evaluations.c.run_id == run_id, evaluations.c.state == "closed", evaluations.c.variant == "")
    query = select(evaluations).where(*seen).order_by(evaluations.c.step, evaluations.c.attempt)
    return _with_metrics(db, list(db.execute(query)))


def of_attempt(db: Connection, run_id: str, attempt: int, step: int) -> Evaluation | None:
    """Give a run's closed evaluation of the main variant at a step of an attempt; one without metrics."""
    same = (evaluations.c.attempt == attempt, evaluations.c.step == step)
    return _first(db, select(evaluations).where(*_closed_main(run_id), *same))


def nearest(db: Connection, run_id: str, step: int, before: float) -> Evaluation | None:
    """Give a run's closed evaluation of the main variant at the step nearest to one, written before a wall time.

    Of two that are equally near it is the earlier; one without metrics.
    """
    query = select(evaluations).where(*_closed_main(run_id), evaluations.c.last_at <= before)
    return _first(db, query.order_by(func.abs(evaluations.c.step - step), evaluations.c.step))


def _closed_main(run_id: str) -> tuple[Any, ...]:
    return (evaluations.c.run_id == run_id, evaluations.c.state == "closed", evaluations.c.variant == "")


def _first(db: Connection, query: Any) -> Evaluation | None:
    row = db.execute(query.limit(1)).one_or_none()
    return None if row is None else _evaluation(row, {})


def judged_runs(db: Connection) -> set[str]:
    """Give the ids of the runs that have a closed evaluation."""
    query = select(evaluations.c.run_id).where(evaluations.c.state == "closed").distinct()
    return set(db.execute(query).scalars())


def before(db: Connection, evaluation: Evaluation) -> Evaluation | None:
    """Give the one before an evaluation: of the same run and variant, the last at an earlier step, if it is closed.

    What a later attempt superseded is not in its line. While the one before is open there is none.
    """
    mine = (evaluations.c.run_id == evaluation.run_id, evaluations.c.variant == evaluation.variant)
    order = (evaluations.c.step.desc(), evaluations.c.attempt.desc())
    last = select(evaluations).where(*mine, evaluations.c.step < evaluation.step).order_by(*order).limit(1)
    rows = [row for state in ("open", "closed") for row in db.execute(last.where(evaluations.c.state == state))]
    found = max(rows, key=lambda row: (row.step, row.attempt), default=None)
    return None if found is None or found.state == "open" else _evaluation(found, {})


def usual_keys(db: Connection, evaluation: Evaluation, last: int = 5) -> list[frozenset[str]]:
    """Give the prompt keys of the run's last closed evaluations of the same variant, newest first."""
    same = (
        evaluations.c.run_id == evaluation.run_id,
        evaluations.c.variant == evaluation.variant,
        evaluations.c.state == "closed",
        evaluations.c.id != evaluation.id,
    )
    ids = db.execute(select(evaluations.c.id).where(*same).order_by(evaluations.c.step.desc()).limit(last))
    return [_keys(db, row.id) for row in ids.all()]


def _keys(db: Connection, evaluation_id: int) -> frozenset[str]:
    # What waits in a closed evaluation is to be scored again: it had its score when that was closed.
    counts = samples.c.state.in_(("scored", "ready")) | (samples.c.reason == EMPTY_PROMPT)
    mine = (samples.c.evaluation_id == evaluation_id, samples.c.current, counts)
    return frozenset(db.execute(select(samples.c.key).where(*mine)).scalars())


def usual_gap(db: Connection, run_id: str) -> float:
    """Give the longest mean gap between images, in seconds, of the run's last closed evaluations."""
    query = select(evaluations.c.last_at - evaluations.c.first_at, evaluations.c.images)
    mine = (evaluations.c.run_id == run_id, evaluations.c.state == "closed")
    rows = db.execute(query.where(*mine).order_by(evaluations.c.step.desc()).limit(5))
    return max((float(span) / (images - 1) for span, images in rows if images > 1), default=0.0)


def _with_metrics(db: Connection, rows: list[Row[Any]]) -> list[Evaluation]:
    found: dict[int, dict[str, float]] = {row.id: {} for row in rows}
    ids = list(found)
    for start in range(0, len(ids), 500):
        query = select(metrics).where(metrics.c.evaluation_id.in_(ids[start : start + 500]))
        for row in db.execute(query):
            found[row.evaluation_id][row.name] = math.nan if row.value is None else row.value
    return [_evaluation(row, found[row.id]) for row in rows]


def _evaluation(row: Row[Any], values: Mapping[str, float]) -> Evaluation:
    names = ("id", "run_id", "attempt", "step", "variant", "state", "history", "complete", "first_at")
    more = ("last_at", "epoch", "revision", "identity", "others", "by_epoch")
    return Evaluation(metrics=values, **{name: getattr(row, name) for name in (*names, *more)})
