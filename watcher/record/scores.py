"""What scorers said of samples: every score with the identity of the model that gave it, and of what was masked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from watcher.names import MAIN
from watcher.nouns import Score, masked, unmasked
from watcher.record import samples, vectors
from watcher.record.tables import samples as table
from watcher.record.tables import scores


def keep_scores(db: Connection, identities: Mapping[str, str], found: Iterable[Score], now: float) -> None:
    """Keep what the scorers of these identities said; a score that is there already stays as it is, only newer.

    What was no number then, or had no hash of its pixels, is written anew.

    A file that vanished or changed between settling and scoring, or that the main scorer gives no number for, leaves
    its sample `undecodable` with the reason; one that changed is taken in anew, and each is tried again at the next
    start. What had a score before keeps it, and the reason. Where only a further scorer gives none, that is kept as its
    score.
    """
    found = list(found)
    known = _known(db, {score.sample_id for score in found})
    good = []
    for score in found:
        digest, mask = known.get(score.sample_id, (None, None))
        same = score.digest == digest
        error = score.error or ("" if same else "changed while it was scored")
        if same and (not error or score.scorer != MAIN):
            good.append((masked(identities[score.scorer], mask), score))
        elif score.scorer == MAIN and not same and _has_score(db, score.sample_id):
            # Scored again, but its file is gone or another one by now: the old score stays.
            samples.set_state(db, score.sample_id, "scored", score.error or "replaced since it was scored")
        elif score.scorer == MAIN:
            samples.set_state(db, score.sample_id, "undecodable", error)
    _keep(db, good, now)
    vectors.keep(db, good)
    _set_scored(db, [score.sample_id for _, score in good if score.scorer == MAIN])


def _known(db: Connection, ids: Collection[int]) -> dict[int, tuple[str, Any]]:
    """Give samples' digests and masks, by id."""
    rows = db.execute(select(table.c.id, table.c.digest, table.c.mask).where(table.c.id.in_(ids)))
    return {row.id: (row.digest, row.mask) for row in rows}


def _has_score(db: Connection, sample_id: int) -> bool:
    mine = (scores.c.sample_id == sample_id, scores.c.scorer == MAIN)
    return db.execute(select(scores.c.id).where(*mine).limit(1)).first() is not None


def _set_scored(db: Connection, ids: Sequence[int]) -> None:
    db.execute(update(table).where(table.c.id.in_(ids)).values(state="scored", reason=""))


def _keep(db: Connection, found: Sequence[tuple[str, Score]], now: float) -> None:
    """Write scores with the identities that gave them."""
    rows = [
        {
            "sample_id": score.sample_id,
            "scorer": score.scorer,
            "identity": identity,
            "pixels": score.pixels,
            "cosine": score.cosine,
            "health": list(score.health),
            "error": score.error,
            "truncated": score.truncated,
            "at": now,
        }
        for identity, score in found
    ]
    if rows:
        new, key = upsert(scores), [scores.c.sample_id, scores.c.identity]
        db.execute(new.on_conflict_do_update(key, set_={"at": now}), rows)
        renewed = {name: new.excluded[name] for name in rows[0] if name not in ("sample_id", "identity")}
        lacking = (scores.c.error != "") | (scores.c.pixels == "")
        db.execute(new.on_conflict_do_update(key, set_=renewed, where=lacking), rows)


def scores_of(
    db: Connection, evaluation_id: int, scorer: str = MAIN, identity: str | None = None
) -> dict[int, Row[Any]]:
    """Give a scorer's newest score, or that of an identity, of an evaluation's current samples, by sample id."""
    query = select(scores).join(table, table.c.id == scores.c.sample_id)
    query = query.where(table.c.evaluation_id == evaluation_id, table.c.current, scores.c.scorer == scorer)
    if identity is not None:
        query = query.where(scores.c.identity == identity)
    return {row.sample_id: row for row in db.execute(query.order_by(scores.c.at, scores.c.id))}


def send_back(db: Connection, known: Iterable[tuple[Mapping[int, str], Mapping[int, Row[Any]]]]) -> int:
    """Have images scored once more whose newest score is not of the newest model; gives how many they are.

    `known` are evaluations: what `samples.scored_in` and `scores_of` say of them. What has no file any more to be
    scored again keeps the score that it has. What is masked is scored alike each time, so it makes no score odd.
    """
    last, identities = (0.0, 0, ""), dict[int, str]()
    for scored, kept in known:
        last = max([last, *((row.at, row.id, unmasked(row.identity)) for row in kept.values())])
        renewable = [one for one, reason in scored.items() if not reason]
        identities |= {one: unmasked(kept[one].identity) if one in kept else "" for one in renewable}
    odd = [sample for sample, identity in identities.items() if identity != last[2]]
    for sample in odd:
        samples.set_state(db, sample, "ready", "")
    return len(odd)


def set_health(db: Connection, score_id: int, health: Iterable[str]) -> None:
    """Say what is wrong with the picture of a score."""
    db.execute(update(scores).where(scores.c.id == score_id).values(health=list(health)))
