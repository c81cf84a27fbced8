"""Embeddings of images and prompts, as bytes; only of what is still to be closed, was closed last, or is a baseline.

They are written with a score and forgotten in the transaction that closes an evaluation or takes it out of sight, so
that none is left behind and nothing ever looks through the whole store.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Select, delete, select
from sqlalchemy.dialects.sqlite import insert as upsert

from watcher.nouns import Evaluation, Score
from watcher.record import again
from watcher.record.tables import evaluations, image_vectors, samples, text_vectors

LAST = 3
"""So many of the last closed evaluations of a run and variant keep the embeddings of their images."""
FEW = 5
"""So many before them are looked at: more than one closing can push out of the last ones."""
Text = tuple[str, str, str]
"""Hash of a prompt, its wording where it is scored by another, identity of a scorer."""


def keep(db: Connection, found: Sequence[tuple[str, Score]]) -> None:
    """Keep the embeddings of scores, each with its identity, whose evaluations are to be closed or measured again.

    What is there already stays as it is.
    """
    prompts = _prompts(db, {score.sample_id for _, score in found})
    kept = [(identity, score) for identity, score in found if score.image and score.text and score.sample_id in prompts]
    images = [{"sample_id": one.sample_id, "identity": identity, "vector": one.image} for identity, one in kept]
    texts = {(*prompts[one.sample_id], identity): one.text for identity, one in kept}
    if images:
        named = [
            {"prompt_hash": prompt, "wording": wording, "identity": identity, "vector": text}
            for (prompt, wording, identity), text in texts.items()
        ]
        db.execute(upsert(image_vectors).on_conflict_do_nothing(), images)
        db.execute(upsert(text_vectors).on_conflict_do_nothing(), named)


def _prompts(db: Connection, ids: Collection[int]) -> dict[int, tuple[str, str]]:
    """Give the prompts' hashes and wordings of samples in evaluations that will be measured, by sample id."""
    asked = [number for one in again.all_asked(db) for number in one.evaluations]
    query = select(samples.c.id, samples.c.prompt_hash, samples.c.wording).join(
        evaluations, evaluations.c.id == samples.c.evaluation_id
    )
    measured = (evaluations.c.state == "open") | evaluations.c.id.in_(asked)
    query = query.where(samples.c.id.in_(ids), measured, samples.c.prompt_hash.is_not(None))
    return {row.id: (row.prompt_hash, row.wording) for row in db.execute(query)}


def of_evaluation(db: Connection, evaluation_id: int, identity: str) -> dict[int, tuple[bytes, bytes]]:
    """Give the embeddings of an evaluation's current images and of their prompts, by sample id."""
    query = select(samples.c.id, image_vectors.c.vector, text_vectors.c.vector.label("text"))
    query = query.join(image_vectors, image_vectors.c.sample_id == samples.c.id)
    worded = (text_vectors.c.prompt_hash == samples.c.prompt_hash) & (text_vectors.c.wording == samples.c.wording)
    same = worded & (text_vectors.c.identity == image_vectors.c.identity)
    mine = (samples.c.evaluation_id == evaluation_id, samples.c.current, image_vectors.c.identity == identity)
    rows = db.execute(query.join(text_vectors, same).where(*mine))
    return {row.id: (row.vector, row.text) for row in rows}


def retire(db: Connection, closed: Evaluation, baselines: Collection[int]) -> None:
    """Forget what an evaluation that was closed has pushed out of the last ones, or itself where it is older.

    `baselines` are the ids of the run's evaluations that are compared with.
    """
    same = (evaluations.c.run_id == closed.run_id, evaluations.c.variant == closed.variant)
    query = select(evaluations.c.id).where(*same, evaluations.c.state == "closed")
    newest = list(db.execute(query.order_by(evaluations.c.step.desc()).limit(LAST + FEW)).scalars())
    gone = {*newest[LAST:], closed.id} - {*newest[:LAST], *baselines}
    forget(db, gone, wanted=_pairs(db, {closed.id} - gone) if gone else ())


def forget(db: Connection, ids: Iterable[int], wanted: Collection[Text] = ()) -> None:
    """Forget the embeddings of these evaluations' images, and of prompts that no other image has.

    `wanted` are prompts that are known to be of another image, which spares looking.
    """
    every = list(ids)
    for start in range(0, len(every), 500):
        some = every[start : start + 500]
        gone = _pairs(db, some)
        mine = select(samples.c.id).where(samples.c.evaluation_id.in_(some))
        db.execute(delete(image_vectors).where(image_vectors.c.sample_id.in_(mine)))
        if lone := gone.difference(wanted):
            _forget_texts(db, lone.difference(_rows(db, _query())))


def _forget_texts(db: Connection, lone: Iterable[Text]) -> None:
    columns = (text_vectors.c.prompt_hash, text_vectors.c.wording, text_vectors.c.identity)
    for text in lone:
        db.execute(delete(text_vectors).where(*(one == value for one, value in zip(columns, text, strict=True))))


def _pairs(db: Connection, ids: Collection[int]) -> set[Text]:
    return _rows(db, _query().where(samples.c.evaluation_id.in_(ids)))


def _query() -> Select[Any]:
    """Select the texts of all images that have an embedding: an index has both of its columns."""
    query = select(samples.c.prompt_hash, samples.c.wording, image_vectors.c.identity).distinct()
    return query.join(image_vectors, image_vectors.c.sample_id == samples.c.id)


def _rows(db: Connection, query: Select[Any]) -> set[Text]:
    return {(row[0], row[1], row[2]) for row in db.execute(query)}
