"""Embeddings are there when an evaluation is closed, stay with the last ones and the baseline, and go else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from tests.stores import store_in
from watcher.nouns import Evaluation, Run, Sample, Score
from watcher.record import baselines, evaluations, runs, samples, vectors
from watcher.record.scores import keep_scores, scores_of
from watcher.record.store import Store
from watcher.record.vectors import LAST

OTHER = "other"
BYTES = {"image": b"image" * 4, "text": b"text" * 4}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    yield (store := opened(tmp_path))
    store.close()


def opened(folder: Path) -> Store:
    store = store_in(folder)
    with store.change("run") as db:
        for name in ("r", OTHER):
            runs.add(db, Run(name, name, folder, "pattern", first_seen=1.0), "a test")
    return store


def sample(step: int, key: str = "cat", digest: str = "a", run: str = "r") -> Sample:
    path = Path(f"/{run}/{step}_{key}_{digest}.png")
    return Sample(run, step, key, 0, path, 3, 2000.0, digest, prompt=f"a {key}")


def put(store: Store, *found: Sample, identity: str = "m") -> None:
    """Add images and score them."""
    with store.change("add") as db:
        for one in found:
            samples.add(db, one, 3000.0)
        scored = [Score(one.id or 0, one.digest, 0.2, **BYTES) for one in samples.waiting(db, 99)]  # type: ignore[arg-type]
        keep_scores(db, {"clip": identity}, scored, 3000.0)


def close(store: Store, step: int, run: str = "r") -> None:
    with store.change("close") as db:
        (found,) = (
            e.evaluation for e in evaluations.opened(db) if (e.evaluation.run_id, e.evaluation.step) == (run, step)
        )
        closed = evaluations.close(db, replace(found, identity="m"), {}, complete=True, because="test")
        vectors.retire(db, closed, baselines.serving(db, run))


def embedded(db: Connection) -> set[tuple[str, int]]:
    """Give run and step of every image that has an embedding."""
    rows = db.exec_driver_sql("SELECT run_id, step FROM image_vectors JOIN samples ON samples.id = sample_id")
    return {(row[0], row[1]) for row in rows}


def steps(store: Store, run: str = "r") -> list[int]:
    with store.read() as db:
        return sorted(step for name, step in embedded(db) if name == run)


def texts(store: Store) -> list[tuple[str, str]]:
    with store.read() as db:
        rows = db.exec_driver_sql("SELECT text, identity FROM text_vectors JOIN prompts ON hash = prompt_hash")
        return sorted((row[0], row[1]) for row in rows)


def evaluation(store: Store, step: int) -> Evaluation:
    with store.read() as db:
        return next(one for one in evaluations.of_run(db, "r") if one.step == step and one.state != "superseded")


def test_a_scored_image_has_its_embedding_and_that_of_its_prompt_once(store: Store) -> None:
    put(store, sample(100), sample(100, "dog"), sample(200))
    with store.read() as db:
        found = vectors.of_evaluation(db, evaluation(store, 100).id, "m")
        assert vectors.of_evaluation(db, evaluation(store, 100).id, "another") == {}
    assert list(found.values()) == [(BYTES["image"], BYTES["text"])] * 2
    assert texts(store) == [("a cat", "m"), ("a dog", "m")]


def test_a_replaced_image_is_not_among_them(store: Store) -> None:
    put(store, sample(100))
    put(store, sample(100, digest="b"))
    with store.read() as db:
        assert len(vectors.of_evaluation(db, evaluation(store, 100).id, "m")) == 1


def test_only_the_last_closed_evaluations_keep_them(store: Store) -> None:
    for step in range(100, 900, 100):
        put(store, sample(step))
        close(store, step)
    assert steps(store) == [600, 700, 800]
    assert len(steps(store)) == LAST
    put(store, sample(900))
    assert steps(store) == [600, 700, 800, 900]


def test_one_that_is_closed_long_after_keeps_none(store: Store) -> None:
    for step in (200, 300, 400):
        put(store, sample(step))
        close(store, step)
    put(store, sample(100), sample(100, "rare"))
    assert 100 in steps(store)
    close(store, 100)
    assert steps(store) == [200, 300, 400]
    assert texts(store) == [("a cat", "m")]


def test_variants_keep_their_own(store: Store) -> None:
    put(store, replace(sample(100), variant="ema"))
    close(store, 100)
    for step in (200, 300, 400, 500):
        put(store, sample(step))
        close(store, step)
    assert steps(store) == [100, 300, 400, 500]


def test_step_0_is_kept_as_the_baseline_until_another_is_chosen(store: Store) -> None:
    for step in (0, 100, 200, 300, 400):
        put(store, sample(step))
        close(store, step)
    assert steps(store) == [0, 200, 300, 400]
    with store.change("baseline") as db:
        baselines.choose(db, "r", baselines.Choice("r", 300), 1.0)
    put(store, sample(500))
    close(store, 500)
    with store.change("leave") as db:
        vectors.retire(db, evaluation(store, 0), baselines.serving(db, "r"))
    put(store, sample(600), sample(700))
    close(store, 600)
    close(store, 700)
    assert steps(store) == [300, 500, 600, 700]


def test_what_another_run_is_compared_with_is_kept(store: Store) -> None:
    put(store, sample(100))
    close(store, 100)
    with store.change("baseline") as db:
        baselines.choose(db, OTHER, baselines.Choice("r", 100), 1.0)
    for step in (200, 300, 400, 500):
        put(store, sample(step))
        close(store, step)
    assert steps(store) == [100, 300, 400, 500]


def test_what_a_run_went_back_behind_keeps_none_and_is_given_none(store: Store) -> None:
    for step in (100, 200):
        put(store, sample(step))
        close(store, step)
    put(store, sample(300))
    with store.change("add") as db:
        samples.add(db, sample(300, "late"), 3000.0)  # not scored yet when the run goes back
    put(store, sample(200, digest="b"))
    assert steps(store) == [100, 200]
    assert texts(store) == [("a cat", "m")]


def test_prompts_go_with_their_last_image_of_any_run(store: Store) -> None:
    put(store, sample(100, "rare"), sample(100, "shared"), sample(100, "shared", run=OTHER), identity="old")
    close(store, 100)
    for step in (200, 300, 400):
        put(store, sample(step), identity="new")
        close(store, step)
    assert texts(store) == [("a cat", "new"), ("a shared", "old")]


def test_scores_without_embeddings_are_kept_all_the_same(store: Store) -> None:
    with store.change("add") as db:
        samples.add(db, sample(100), 3000.0)
        keep_scores(db, {"clip": "m"}, [Score(1, "a", 0.2)], 3000.0)
        assert embedded(db) == set()
        assert len(scores_of(db, 1)) == 1


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0, 1, 2, 3, 4, 5, 6]), st.sampled_from(["a", "b"])), max_size=14))
def test_in_whatever_order_evaluations_are_closed_reopened_and_superseded(moves: list[tuple[int, str]]) -> None:
    with TemporaryDirectory() as folder:
        store = opened(Path(folder))
        for number, (step, digest) in enumerate(moves):
            late = sample(step, "late") if number % 3 else sample(step, digest=digest)  # the late one opens again
            put(store, sample(step, digest=digest), late)
            with store.read() as db:
                waiting = [one.evaluation.step for one in evaluations.opened(db)]
            for one in waiting[: 1 + number % 2]:
                close(store, one)
            check(store)
        store.close()


def check(store: Store) -> None:
    with store.read() as db:
        closed = [one.step for one in evaluations.judged(db, "r")]
        allowed = {*closed[-LAST:], *(one.evaluation.step for one in evaluations.opened(db)), *({0} & {*closed})}
        assert {step for _, step in embedded(db)} <= allowed
        lone = "SELECT 1 FROM text_vectors t WHERE NOT EXISTS (SELECT 1 FROM image_vectors v JOIN samples s"
        lone += " ON s.id = v.sample_id WHERE s.prompt_hash = t.prompt_hash AND v.identity = t.identity)"
        assert db.exec_driver_sql(lone).all() == []


def test_one_prompt_that_is_scored_by_two_wordings_has_an_embedding_of_each(store: Store) -> None:
    for run, wording in (("r", ""), (OTHER, "cat")):
        with store.change("add") as db:
            samples.add(db, replace(sample(100, digest=run, run=run), wording=wording), 3000.0)
            (one,) = samples.waiting(db, 9)
            scored = Score(one.id or 0, run, 0.2, image=BYTES["image"], text=(wording or "a cat").encode())
            keep_scores(db, {"clip": "m"}, [scored], 3000.0)
    with store.read() as db:
        held = [one.evaluation for one in evaluations.opened(db)]
        kept = {one.run_id: [text for _, text in vectors.of_evaluation(db, one.id, "m").values()] for one in held}
    assert kept == {"r": [b"a cat"], OTHER: [b"cat"]}
    with store.change("forget") as db:
        vectors.forget(db, [one.id for one in held if one.run_id == OTHER])
        assert db.exec_driver_sql("SELECT wording FROM text_vectors").scalars().all() == [""]
