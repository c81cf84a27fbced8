"""Several scorers beside each other at closing: each its own identity, numbers and comparisons."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.stores import store_in
from tests.unit.score_models import Reference, picture
from watcher.demo.stage import CLIP
from watcher.nouns import Evaluation, Run, Sample, Score
from watcher.record import evaluations, runs, samples
from watcher.record.scores import keep_scores
from watcher.record.store import Store
from watcher.score import Job
from watcher.score.model import Model
from watcher.score.panel import Panel
from watcher.steps.measuring import Measured, measure, one_identity_each


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = store_in(tmp_path / "state")
    with store.change("run") as db:
        runs.add(db, Run("r", "run", tmp_path, "pattern", first_seen=1.0), "a test")
    yield store
    store.close()


def sample(step: int, key: str) -> Sample:
    return Sample("r", step, key, 0, Path(f"/{step}_{key}"), 3, 2000.0, f"{step}{key}", prompt=f"a {key}")


def put(store: Store, step: int, values: Mapping[str, Mapping[str, float | None]], by: Mapping[str, str]) -> None:
    """Add the images of a step, by prompt, with their scores by scorer; `by` are the identities."""
    with store.change("add") as db:
        for key in values:
            samples.add(db, sample(step, key), 3000.0)
        keep(store, db, values, by)


def keep(store: Store, db: Any, values: Mapping[str, Mapping[str, float | None]], by: Mapping[str, str]) -> None:
    found = [
        Score(one.id or 0, one.digest, value, scorer=name, error="" if value is not None else "no number")
        for one in samples.waiting(db, 99)
        for name, value in values[one.key].items()
    ]
    keep_scores(db, by, found, 3000.0)


def close(store: Store, scorers: Sequence[str]) -> tuple[Evaluation, Measured] | None:
    with store.change("close") as db:
        (candidate,) = evaluations.opened(db)
        identities = one_identity_each(db, candidate.evaluation, scorers)
        if identities is None:
            return None
        found = replace(candidate.evaluation, identity=identities.pop("clip", ""), others=identities)
        measured = measure(db, found)
        return evaluations.close(db, found, measured.metrics, complete=True, because="test"), measured


def test_while_the_one_before_is_open_there_is_none(store: Store) -> None:
    for step in (100, 200, 300):
        put(store, step, {"a": {"clip": 0.1}}, {"clip": "c1"})
        if step == 100:
            close(store, ("clip",))
    with store.read() as db:
        first, second, third = evaluations.of_run(db, "r")
        assert evaluations.before(db, first) is None
        assert evaluations.before(db, second) == replace(first, metrics={})
        assert evaluations.before(db, third) is None
        assert evaluations.before(db, replace(second, variant="ema")) is None


BOTH = ("clip", "second")
BY = {"clip": "c1", "second": "s1"}


def test_each_scorer_has_its_metrics_its_identity_and_its_comparisons(store: Store) -> None:
    put(store, 0, {"a": {"clip": 0.1, "second": 0.5}, "b": {"clip": 0.2, "second": 0.5}}, BY)
    close(store, BOTH)
    put(store, 100, {"a": {"clip": 0.2, "second": 0.4}, "b": {"clip": 0.4, "second": 0.3}}, BY | {"clip": "c2"})
    found = close(store, BOTH)
    assert found is not None
    closed = found[0]
    assert (closed.identity, closed.others) == ("c2", {"second": "s1"})
    assert closed.metrics["clip/mean"] == pytest.approx(0.3)
    assert closed.metrics["second/mean"] == pytest.approx(0.35)
    assert closed.metrics["second/delta_baseline"] == closed.metrics["second/delta_previous"] == pytest.approx(-0.15)
    assert "clip/delta_baseline" not in closed.metrics  # another model scored the baseline
    assert not [name for name in closed.metrics if name.startswith("second/health")]


def test_a_scorer_that_gives_no_number_takes_no_image_from_the_others(store: Store) -> None:
    put(store, 100, {"a": {"clip": 0.1, "second": None}, "b": {"clip": 0.2, "second": 0.5}}, BY)
    found = close(store, BOTH)
    assert found is not None
    assert (found[1].metrics["clip/images"], found[1].metrics["second/images"]) == (2, 1)
    assert not found[1].lost


@pytest.mark.parametrize("order", [("clip", "second"), ("second", "clip")])
def test_an_image_that_the_main_scorer_has_no_number_for_is_not_scored(store: Store, order: Sequence[str]) -> None:
    values: dict[str, float | None] = {"clip": None, "second": 0.5}
    put(store, 100, {"a": {name: values[name] for name in order}, "b": {"clip": 0.2, "second": 0.1}}, BY)
    found = close(store, BOTH)
    assert found is not None
    assert found[1].metrics["health/undecodable"] == 1
    assert (found[1].metrics["clip/images"], found[1].metrics["second/images"]) == (1, 1)
    assert found[1].lost


def test_a_scorer_that_has_not_scored_all_images_has_no_metrics_and_keeps_nothing_open(store: Store) -> None:
    put(store, 100, {"a": {"clip": 0.1}}, {"clip": "c1"})
    put(store, 100, {"b": {"clip": 0.2, "second": 0.5}}, BY)
    found = close(store, BOTH)
    assert found is not None
    assert found[0].others == {}
    assert found[1].metrics["clip/images"] == 2
    assert not [name for name in found[1].metrics if name.startswith("second/")]


def test_a_scorer_that_is_configured_no_more_asks_for_nothing(store: Store) -> None:
    put(store, 100, {"a": {"clip": 0.1}}, {"clip": "c1"})
    put(store, 100, {"b": {"clip": 0.2, "second": 0.5}}, BY)
    found = close(store, ("clip",))
    assert found is not None
    assert "second/mean" not in found[1].metrics


def test_a_model_that_is_changed_and_changed_back_does_not_keep_an_evaluation_open(store: Store) -> None:
    put(store, 100, {"a": {"clip": 0.1}}, {"clip": "c1"})
    put(store, 100, {"b": {"clip": 0.2}}, {"clip": "c2"})
    assert close(store, ("clip",)) is None
    for now in (4000.0, 5000.0):
        with store.change("again") as db:
            found = [Score(one.id or 0, one.digest, 0.3) for one in samples.waiting(db, 9)]
            keep_scores(db, {"clip": "c1"}, found, now)
        closed = close(store, ("clip",))
    assert closed is not None
    assert closed[0].identity == "c1"


def test_the_models_own_embeddings_give_what_the_reference_gives(store: Store, tmp_path: Path) -> None:
    texts = {"a": "a small red ring", "b": "a blue square on a white background", "c": "two green dots"}
    with store.change("add") as db:
        for place, (key, text) in enumerate(texts.items()):
            path = tmp_path / f"{key}.png"
            picture(seed=place).save(path)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            samples.add(db, replace(sample(100, key), path=path, digest=digest, prompt=text), 3000.0)
        panel = Panel({"clip": Model.load(str(CLIP), "cpu")})
        jobs = [Job(one.id or 0, one.path, one.prompt or "") for one in samples.waiting(db, 9)]
        keep_scores(db, panel.identities, panel.score(jobs), 3000.0)
        panel.close()
    found = close(store, ("clip",))
    assert found is not None
    reference = Reference()
    cosines = np.array([[reference.cosine(picture(seed=n), text) for text in texts.values()] for n in range(3)])
    assert found[1].metrics["clip/retrieval"] == pytest.approx((cosines.argmax(axis=1) == range(3)).mean())
    assert 0 <= found[1].metrics["clip/diversity"] < 1
