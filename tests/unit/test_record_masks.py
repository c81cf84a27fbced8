"""Scores of pictures that are masked alike are averaged and compared, those of others never; older stores go on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

import watcher.record
from tests.stores import store_in
from watcher.nouns import Evaluation, Run, Sample, Score, Tile
from watcher.record import evaluations, runs, samples
from watcher.record.scores import keep_scores, scores_of
from watcher.record.store import Store
from watcher.steps.measuring import Measured, measure, one_identity_each

MODEL, NEWER = "clip@1/1/fp32/keep-end", "clip@2/1/fp32/keep-end"
MASK: Tile = (0, 0, 232, 48)
MASKED = f"{MODEL};mask=0,0,232,48"
KEYS = "abcd"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = store_in(tmp_path)
    with store.change("run") as db:
        runs.add(db, Run("r", "run", tmp_path, "simpletuner", first_seen=1000.0), "a test")
    yield store
    store.close()


def take_in(store: Store, step: int, masks: Mapping[str, Tile | None]) -> Evaluation:
    """Take in a picture of each prompt; gives their evaluation."""
    with store.change("add") as db:
        for key, mask in masks.items():
            path = Path(f"/x/{step}_{key}.png")
            one = Sample("r", step, key, 0, path, 3, 2000.0, f"{step}{key}", f"a {key}", mask=mask)
            samples.add(db, replace(one, variant="" if step else "base"), 3000.0)
        return next(one.evaluation for one in evaluations.opened(db) if one.evaluation.step == step)


def score(store: Store, evaluation: Evaluation, cosine: float, model: str = MODEL, now: float = 3000.0) -> None:
    """Score all pictures of an evaluation that wait for it."""
    with store.change("score") as db:
        for sample in samples.in_evaluation(db, evaluation.id):
            if sample.state == "ready":
                found = Score(sample.id or 0, sample.digest, cosine, pixels=f"{evaluation.step}{sample.key}")
                keep_scores(db, {"clip": model}, [found], now)


def close(store: Store, evaluation: Evaluation) -> tuple[str, Measured] | None:
    """Close an evaluation; gives what it was measured by, and the measures. None where some pictures come again."""
    with store.change("close") as db:
        identities = one_identity_each(db, evaluation, ["clip"])
        if identities is None:
            return None
        named = replace(evaluation, identity=identities["clip"])
        found = measure(db, named)
        evaluations.close(db, named, found.metrics, complete=not found.lost, because="test")
        return identities["clip"], found


def evaluate(store: Store, step: int, masks: Mapping[str, Tile | None], cosine: float) -> tuple[str, Measured]:
    evaluation = take_in(store, step, masks)
    score(store, evaluation, cosine)
    found = close(store, evaluation)
    assert found is not None
    return found


def test_a_mask_is_kept_with_its_sample_and_is_part_of_the_scores_identity(store: Store) -> None:
    evaluation = take_in(store, 5, {"a": MASK, "b": None})
    score(store, evaluation, 0.3)
    with store.read() as db:
        assert [one.mask for one in samples.in_evaluation(db, evaluation.id)] == [MASK, None]
        assert sorted(one.identity for one in scores_of(db, evaluation.id).values()) == [MODEL, MASKED]


def test_the_baseline_is_compared_where_it_is_masked_alike(store: Store) -> None:
    evaluate(store, 0, dict.fromkeys(KEYS, MASK), 0.2)
    identity, found = evaluate(store, 5, dict.fromkeys(KEYS, MASK), 0.3)
    assert (identity, found.lost) == (MASKED, False)
    assert found.metrics["clip/delta_baseline"] == pytest.approx(0.1)


@pytest.mark.parametrize(("base", "checkpoint"), [(None, MASK), (MASK, None), (MASK, (0, 0, 100, 48))])
def test_the_baseline_is_not_compared_where_it_is_masked_in_another_way(
    store: Store, base: Tile | None, checkpoint: Tile | None
) -> None:
    evaluate(store, 0, dict.fromkeys(KEYS, base), 0.2)
    evaluate(store, 5, dict.fromkeys(KEYS, base), 0.25)
    _, found = evaluate(store, 10, dict.fromkeys(KEYS, checkpoint), 0.3)
    assert found.metrics["clip/mean"] == pytest.approx(0.3)
    assert not [name for name in found.metrics if "delta" in name]


def test_in_one_evaluation_most_pictures_count_and_the_others_are_lost_to_it(store: Store) -> None:
    identity, found = evaluate(store, 5, {**dict.fromkeys(KEYS, MASK), "z": None}, 0.3)
    assert (identity, found.lost, found.metrics["clip/images"]) == (MASKED, True, 4)
    with store.change("other scores") as db:
        assert set(found.present) == set(KEYS)
        assert {one.key for one in samples.in_evaluation(db, 1) if one.state == "scored"} == {*KEYS, "z"}


def test_masks_send_no_picture_back_to_be_scored_again_and_another_model_does(store: Store) -> None:
    evaluation = take_in(store, 5, {"a": MASK, "b": MASK})
    score(store, evaluation, 0.3)
    take_in(store, 5, {"c": None})
    score(store, evaluation, 0.4, NEWER, now=4000.0)
    assert close(store, evaluation) is None
    score(store, evaluation, 0.5, NEWER, now=5000.0)
    found = close(store, evaluation)
    assert found is not None
    assert (found[0], found[1].metrics["clip/mean"]) == (f"{NEWER};mask=0,0,232,48", pytest.approx(0.5))


def test_a_store_from_before_masks_keeps_its_samples_and_scores(tmp_path: Path) -> None:
    old = create_engine(f"sqlite:///{tmp_path / 'watcher.db'}")
    config = Config()
    config.set_main_option("script_location", str(Path(watcher.record.__file__).parent / "migrations"))
    config.attributes["engine"] = old
    command.upgrade(config, "0003")
    with old.begin() as db:
        run = "'r', 'r', '/r', '', 'simpletuner', '', 'active', 'observe', '{}', 1.0, 2.0, 0"
        db.exec_driver_sql(f"INSERT INTO runs VALUES ({run})")
        one = "1, 'r', 1, 0, 'base', NULL, 'open', 0, 0, 1, 1, 1, 1, 0, '', '', 1, '{}'"
        db.exec_driver_sql(f"INSERT INTO evaluations VALUES ({one})")
        db.exec_driver_sql(
            "INSERT INTO samples (evaluation_id, run_id, attempt, step, variant, key, 'index', path, size, mtime, "
            "digest, state, reason, current, rewritten) VALUES (1, 'r', 1, 0, 'base', 'a', 0, 'p', 1, 1, 'd', 'ready', "
            "'', 1, 0)"
        )
    old.dispose()
    store = store_in(tmp_path)
    with store.change("score") as db:
        (sample,) = samples.in_evaluation(db, 1)
        keep_scores(db, {"clip": MODEL}, [Score(1, "d", 0.2)], 1.0)
        assert sample.mask is None
        assert [one.identity for one in scores_of(db, 1).values()] == [MODEL]
    store.close()
