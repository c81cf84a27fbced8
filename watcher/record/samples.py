"""Samples: every image of a run once, its prompt as it was when it was seen."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, case, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from watcher.nouns import NO_PROMPT, Sample, SampleState
from watcher.record import attempts, evaluations, runs, windows
from watcher.record.scalars import WentBack
from watcher.record.tables import evaluations as evaluation_table
from watcher.record.tables import prompts, samples
from watcher.record.tables import runs as run_table

_PLACE = (
    samples.c.run_id,
    samples.c.attempt,
    samples.c.step,
    samples.c.variant,
    samples.c.key,
    samples.c.index,
)


def add(db: Connection, sample: Sample, now: float) -> None:
    """Keep one whole file; begins a new attempt when it shows that the run went back.

    A file whose bytes are known is only touched. Different bytes in the place of a sample of a closed
    evaluation mean a new attempt from its step on, except at step 0; otherwise they take its place. Where a run that
    is started again writes beside its old samples, any newer file of the same place means so, and an older one that
    comes late is only kept.
    """
    sample = replace(sample, attempt=runs.attempt_at(db, sample.run_id, sample.step))
    known = _current(db, sample)
    if known is not None and _is_older(known, sample):
        if sample.state != "undecodable":
            _insert(db, sample, known.evaluation_id, current=False)
        return
    if known is not None and _says_nothing_new(known, sample):
        _touch(db, known, sample)
        return
    if known is not None and _went_back(db, known, sample):
        why = f"{_what(known, sample)}: the run went back to step {sample.step}"
        sample = _begin_attempt(db, sample, why, now)
    elif known is not None:
        db.execute(update(samples).where(samples.c.id == known.id).values(current=False))
        evaluations.replaced(db, known.evaluation_id)
    _insert(db, sample, evaluations.open_for(db, sample, now, images=1))
    runs.touch(db, sample.run_id, sample.mtime)


def _says_nothing_new(known: Row[Any], sample: Sample) -> bool:
    """Tell whether a file is the same as before; one that could not be scored gets another chance."""
    same = known.digest == sample.digest
    return bool(same and (known.state != "undecodable" or known.reason == sample.reason))


def _is_other_file(known: Row[Any], sample: Sample) -> bool:
    return sample.again and known.path != str(sample.path)


def _is_older(known: Row[Any], sample: Sample) -> bool:
    return _is_other_file(known, sample) and sample.mtime < known.mtime


def _what(known: Row[Any], sample: Sample) -> str:
    """Say what shows that a run went back."""
    if _is_other_file(known, sample):
        return f"{sample.path.name} was written beside {Path(known.path).name}"
    return f"{sample.path.name} was replaced by a different image"


def start_over(db: Connection, run_id: str, step: int, now: float, began: float) -> None:
    """Begin a new attempt at a step when every image known of a run is gone, unless it only goes on from there.

    `began` is the wall time of the oldest image that is there now.
    """
    newest = db.execute(select(func.max(evaluation_table.c.step)).where(evaluation_table.c.run_id == run_id)).scalar()
    if newest is None or step > newest:
        return
    attempts.begin(db, run_id, step, f"its folder was emptied and begins again at step {step}", now, min(began, now))


def went_back(db: Connection, run_id: str, back: WentBack, now: float) -> bool:
    """Begin a new attempt where a run logged a step again, unless its images have told already.

    That is, where it has evaluations or windows from that step on, and all of them are older; an image may also have
    been logged right before the loss that tells. Step 0 never begins one.
    """
    step, at = back.step, back.at
    first_step, began = runs.attempts_of(db, run_id)[runs.newest_attempt(db, run_id)]
    if 0 < first_step <= step and began > back.since:
        return False
    later = (evaluation_table.c.run_id == run_id, evaluation_table.c.step >= step)
    query = select(func.max(evaluation_table.c.last_at)).where(*later, evaluation_table.c.state != "superseded")
    known = (db.execute(query).scalar(), windows.newest_at(db, run_id, step))
    newest = max((one for one in known if one is not None), default=math.inf)
    if step <= 0 or newest >= at:
        return False
    why = f"its trainer logged step {step} again: the run went back to it"
    attempts.begin(db, run_id, step, why, now, at)
    return True


def _current(db: Connection, sample: Sample) -> Row[Any] | None:
    place = (sample.run_id, sample.attempt, sample.step, sample.variant, sample.key, sample.index)
    same = [column == value for column, value in zip(_PLACE, place, strict=True)]
    return db.execute(select(samples).where(samples.c.current, *same)).one_or_none()


def _went_back(db: Connection, known: Row[Any], sample: Sample) -> bool:
    state = select(evaluation_table.c.state).where(evaluation_table.c.id == known.evaluation_id)
    over = _is_other_file(known, sample) or db.execute(state).scalar_one() == "closed"
    return bool(known.step > 0 and known.state != "undecodable" and over)


def _begin_attempt(db: Connection, sample: Sample, why: str, now: float) -> Sample:
    """Supersede what the run overwrites from here on; images already rewritten with equal bytes go along."""
    number = attempts.begin(db, sample.run_id, sample.step, why, now, min(sample.mtime, now))
    again = (samples.c.run_id == sample.run_id, samples.c.step >= sample.step, samples.c.rewritten)
    for row in db.execute(_joined().where(samples.c.current, *again)).all():
        known = _sample(row)
        state: SampleState = "ready" if known.state == "scored" else known.state
        known = replace(known, state=state, attempt=number)
        _insert(db, known, evaluations.open_for(db, known, now))
    return replace(sample, attempt=number)


def _touch(db: Connection, known: Row[Any], sample: Sample) -> None:
    rewritten = known.rewritten or sample.mtime > known.mtime
    values = {"path": str(sample.path), "mtime": sample.mtime, "size": sample.size, "rewritten": rewritten}
    db.execute(update(samples).where(samples.c.id == known.id).values(**values))


def _insert(db: Connection, sample: Sample, evaluation: int, *, current: bool = True) -> None:
    db.execute(
        insert(samples).values(
            evaluation_id=evaluation,
            run_id=sample.run_id,
            attempt=sample.attempt,
            step=sample.step,
            epoch=sample.epoch,
            by_epoch=sample.by_epoch,
            variant=sample.variant,
            key=sample.key,
            index=sample.index,
            path=str(sample.path),
            tile=sample.tile,
            mask=sample.mask,
            size=sample.size,
            mtime=sample.mtime,
            digest=sample.digest,
            prompt_hash=keep_prompt(db, sample.prompt),
            wording=sample.wording,
            state=sample.state,
            reason=sample.reason,
            current=current,
            rewritten=False,
        )
    )


def keep_prompt(db: Connection, text: str | None) -> str | None:
    """Keep a prompt's text once; gives its hash."""
    if text is None:
        return None
    digest = hashlib.sha256(text.encode()).hexdigest()
    db.execute(upsert(prompts).values(hash=digest, text=text).on_conflict_do_nothing())
    return digest


def known_files(db: Connection, run_id: str) -> dict[Path, tuple[int, float]]:
    """Give size in bytes and modification time of every file that was taken in, by path.

    Without those that could not be scored: they are looked at again after a restart.
    """
    mine = (samples.c.run_id == run_id, samples.c.state != "undecodable")
    query = select(samples.c.path, samples.c.size, samples.c.mtime)
    rows = db.execute(query.where(*mine).order_by(samples.c.id))
    return {Path(row.path): (row.size, row.mtime) for row in rows}


def newest_step(db: Connection, run_id: str) -> int | None:
    """Give the newest step that is known of a run's current attempt; None before its first, and where epochs count."""
    current = (samples.c.run_id == run_id, samples.c.current, samples.c.attempt == runs.newest_attempt(db, run_id))
    return db.execute(select(func.max(samples.c.step)).where(*current, samples.c.by_epoch.is_(False))).scalar()


def waiting(db: Connection, limit: int) -> list[Sample]:
    """Give samples of active runs that want a score: live ones by step, then the past, newest first.

    Those on a file system that does not answer wait: a scorer that hangs in reading them would be taken for crashed.

    What a later attempt superseded is the past too: it is still scored, and judged no more.
    """
    query = _joined().join(run_table, run_table.c.id == samples.c.run_id)
    query = query.join(evaluation_table, evaluation_table.c.id == samples.c.evaluation_id)
    query = query.where(samples.c.state == "ready", samples.c.current, run_table.c.state == "active")
    query = query.where(samples.c.run_id.not_in(runs.fact(db, "silent") or []))
    past = evaluation_table.c.history | (evaluation_table.c.state != "open")
    order = (past, case((past, -samples.c.step), else_=samples.c.step), samples.c.id)
    return [_sample(row) for row in db.execute(query.order_by(*order).limit(limit))]


def in_evaluation(db: Connection, evaluation_id: int) -> list[Sample]:
    """Give an evaluation's current samples, in the order of their prompts."""
    mine = (samples.c.evaluation_id == evaluation_id, samples.c.current)
    query = _joined().where(*mine).order_by(samples.c.key, samples.c.index)
    return [_sample(row) for row in db.execute(query)]


def scored_in(db: Connection, evaluation_id: int) -> dict[int, str]:
    """Give by id of an evaluation's current samples that are scored why their score cannot be renewed; mostly empty."""
    mine = (samples.c.evaluation_id == evaluation_id, samples.c.current, samples.c.state == "scored")
    return {row.id: row.reason for row in db.execute(select(samples.c.id, samples.c.reason).where(*mine))}


def without_prompt(db: Connection, run_id: str) -> list[Sample]:
    """Give the samples that lack a prompt, so that they can be scored once it is known."""
    mine = (samples.c.run_id == run_id, samples.c.current, samples.c.reason == NO_PROMPT)
    return [_sample(row) for row in db.execute(_joined().where(*mine))]


def give_prompt(db: Connection, sample: Sample, prompt: str, now: float, wording: str = "") -> None:
    """Make a sample that lacked a prompt ready to be scored; its evaluation opens again."""
    evaluations.open_for(db, sample, now)
    values = {"prompt_hash": keep_prompt(db, prompt), "wording": wording, "state": "ready", "reason": ""}
    db.execute(update(samples).where(samples.c.id == sample.id).values(**values))


def set_state(db: Connection, sample_id: int, state: SampleState, reason: str) -> None:
    """Say what became of a sample."""
    db.execute(update(samples).where(samples.c.id == sample_id).values(state=state, reason=reason))


def _joined() -> Any:
    return select(samples, prompts.c.text).outerjoin(prompts, prompts.c.hash == samples.c.prompt_hash)


def _sample(row: Row[Any]) -> Sample:
    names = ("id", "run_id", "attempt", "step", "epoch", "by_epoch", "variant", "key", "index", "size", "mtime")
    facts = {name: getattr(row, name) for name in (*names, "digest", "state", "reason", "wording")}
    tile, mask = (tuple(one) if one else None for one in (row.tile, row.mask))
    return Sample(path=Path(row.path), tile=tile, mask=mask, prompt=getattr(row, "text", None), **facts)
