"""What is stored of a rule is what a replay of the store gives, for every condition, whatever happens to a run.

Histories are random: evaluations that follow, come late, are open again for a while or scored by another model, runs
that go back or that the rules leave alone for a while, NaN and missing metrics, other baselines, and restarts in
between; only the store lasts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from tests.stores import store_in
from watcher.judge import Mark, Rule, State, replay
from watcher.judge.schema import Runs
from watcher.nouns import Evaluation, Run, Sample, Score
from watcher.record import baselines, evaluations, judgements, runs, samples
from watcher.record.scores import keep_scores
from watcher.record.store import Store
from watcher.steps.beside import Stored, point
from watcher.steps.judging import Judging
from watcher.steps.routing import Routes

KEYS = "abcdefgh"
MEAN = {"metric": "clip/mean"}
WHENS: list[Any] = [
    "clip/mean < 0.2",
    {**MEAN, "below": 0.2, "confidence": 0.9},
    *({**MEAN, "worse_by": 0.05, "than": than} for than in ("best", "previous", "baseline", "median of 3")),
    {**MEAN, "stalls": "2 evaluations", "min_gain": 0.02},
    *({**MEAN, "worse_than": than, "p": 0.05} for than in ("baseline", "best", "previous")),
    {**MEAN, "not_finite": True},
    {"all": ["clip/mean < 0.3", {"any": [{**MEAN, "worse_by": 0.05}, {"not": {**MEAN, "worse_than": "previous"}}]}]},
]
FIELDS: list[dict[str, Any]] = [
    {},
    {"for": "2 evaluations", "clear": "2 evaluations"},
    {"for": "100 steps", "after": "100 steps", "escalate": {"after": "1 evaluation", "then": "alert"}},
    {"after": {"evaluations": 3}, "on_nan": "fire", "needs": {"complete": True}},
]
RULES = [
    Rule.model_validate({"name": f"r{number}-{place}", "when": when, **fields})
    for number, when in enumerate(WHENS)
    for place, fields in enumerate(FIELDS)
    if (number + place) % 2 == 0
]
ELSEWHERE = [rule.model_copy(update={"runs": Runs(names=("other",))}) for rule in RULES]
RUN = Run("run-1", "run", Path("/out/run"), "plain", first_seen=1.0)
value = st.sampled_from([0.1, 0.15, 0.2, 0.25, 0.3, None, math.nan])
moves = st.one_of(
    st.tuples(st.just("next"), st.integers(1, 3), value, st.booleans()),
    st.tuples(st.just("late"), st.integers(0, 9), value, st.booleans()),
    st.tuples(st.just("back"), st.integers(0, 9), value, st.booleans()),
    st.tuples(st.just("baseline"), st.integers(0, 9), st.none(), st.booleans()),
    st.tuples(st.just("model"), st.just(0), st.none(), st.booleans()),
    st.tuples(st.just("reopen"), st.integers(0, 9), st.none(), st.booleans()),
    st.tuples(st.just("elsewhere"), st.integers(0, 9), value, st.booleans()),
)
SILENT = ("baseline", "model", "reopen", "elsewhere")
"""Moves after which the rules have judged nothing; what these change, the next evaluation that is closed brings."""


class Past:
    """One run in a store of its own; every move is a transaction by a daemon that knows only the store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now, self.attempt, self.model, self.rules = 1000.0, 1, 1, RULES
        with store.change("meet") as db:
            runs.add(db, RUN, "", newest=0.0)

    def move(self, kind: str, number: int, mean: float | None, complete: bool) -> None:
        self.now += 60
        with self.store.change("move") as db:
            steps = [one.step for one in evaluations.judged(db, RUN.id)]
            if kind == "model":
                self.model = 3 - self.model
            elif kind == "baseline" and steps:
                baselines.choose(db, RUN.id, baselines.Choice(RUN.id, steps[number % len(steps)]), self.now)
            elif kind == "back" and steps:
                self._go_back(db, steps[number % len(steps)], mean, complete)
            elif kind == "reopen" and steps:
                self._open_again(db, steps[number % len(steps)])
            elif kind in ("late", "elsewhere"):
                self.rules = RULES if kind == "late" else ELSEWHERE
                self._close(db, 50 * number, mean, complete)
                self.rules = RULES
            elif kind == "next":
                self._close(db, max(steps, default=-50) + 50 * number, mean, complete)

    def _go_back(self, db: Connection, step: int, mean: float | None, complete: bool) -> None:
        self.attempt += 1
        evaluations.supersede(db, RUN.id, step)
        runs.add_attempt(db, RUN.id, self.attempt, step, self.now)
        self._close(db, step, mean, complete)

    def _open_again(self, db: Connection, step: int) -> None:
        found = next(one for one in evaluations.judged(db, RUN.id) if one.step == step)
        sample = samples.in_evaluation(db, found.id)[0]
        evaluations.open_for(db, sample, self.now)

    def _close(self, db: Connection, step: int, mean: float | None, complete: bool) -> None:
        attempt = runs.attempt_at(db, RUN.id, step)
        there = {one.step for one in evaluations.of_run(db, RUN.id) if one.attempt == attempt}
        for key in KEYS if step not in there else "":
            digest = f"{step}-{attempt}-{key}"
            one = Sample(RUN.id, step, key, 0, Path(f"/{digest}"), 1, self.now, digest, prompt=f"thing {key}")
            samples.add(db, one, self.now)
        found = next(one for one in evaluations.of_run(db, RUN.id) if (one.attempt, one.step) == (attempt, step))
        if step not in there and mean is not None and math.isfinite(mean):
            self._score(db, found, mean)
        metrics = {} if mean is None else {"clip/mean": mean, "clip/stderr": 0.02, "clip/prompts": 8.0}
        named = replace(found, identity=f"m{self.model}@1")
        closed = evaluations.close(db, named, metrics, complete=complete, because="test")
        Judging(self.rules, Routes([])).judge(db, RUN, closed, self.now)

    def _score(self, db: Connection, evaluation: Evaluation, mean: float) -> None:
        for number, one in enumerate(samples.in_evaluation(db, evaluation.id)):
            score = Score(one.id or 0, one.digest, mean + number / 1000)
            keep_scores(db, {"clip": f"m{self.model}@1"}, [score], self.now)

    def differences(self) -> list[str]:
        """Name the rules whose stored state is not what a replay gives."""
        with self.store.read() as db:
            points = [point(db, one) for one in evaluations.judged(db, RUN.id)]
            stored = judgements.states_of(db, RUN.id)
            return [
                rule.name
                for rule in RULES
                if points and _state(stored[rule.name, rule.hash]) != _replayed(rule, points)
            ]


def _state(stored: dict[str, Any]) -> State:
    return State.from_json(stored)


def _replayed(rule: Rule, points: list[Any]) -> State:
    return State.from_json(json.loads(json.dumps(replay(rule, points)[0].to_json(), allow_nan=False)))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    return (tmp_path_factory.mktemp("past") for _ in iter(int, 1))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(found=st.lists(moves, min_size=3, max_size=12))
def test_the_stored_state_is_what_a_replay_of_the_store_gives(folders: Iterator[Path], found: list[Any]) -> None:
    store = store_in(next(folders))
    try:
        past = Past(store)
        for kind, number, mean, complete in found:
            past.move(kind, number, mean, complete)
            if kind not in SILENT:
                assert past.differences() == []
    finally:
        store.close()


NEXT, DEEP = ("next", 1, 0.3, True), ("late", 1, 0.1, True)


@pytest.mark.parametrize(
    "found",
    [
        [NEXT, ("next", 2, 0.3, True), NEXT, ("elsewhere", 1, 0.1, True), NEXT],
        [NEXT, NEXT, NEXT, ("elsewhere", 1, 0.1, True), NEXT],
        [NEXT, NEXT, NEXT, ("reopen", 1, None, True), NEXT, NEXT, DEEP, NEXT],
        [NEXT, NEXT, NEXT, NEXT, ("reopen", 1, None, True), ("reopen", 2, None, True), NEXT, DEEP, NEXT],
        [NEXT, NEXT, NEXT, ("reopen", 2, None, True), NEXT],
        [NEXT, NEXT, NEXT, ("back", 2, 0.1, True), NEXT],
        [NEXT, NEXT, ("reopen", 1, None, True), ("back", 0, 0.1, True), NEXT],
    ],
    ids=lambda found: " ".join(kind for kind, *_ in found),
)
def test_a_state_is_gone_on_with_only_where_all_before_is_as_it_was(tmp_path: Path, found: list[Any]) -> None:
    store = open_store(tmp_path / "past")
    past = Past(store)
    for kind, number, mean, complete in found:
        past.move(kind, number, mean, complete)
        assert kind in SILENT or past.differences() == []
    store.close()


def test_judging_one_more_takes_as_many_steps_of_the_database_after_many_evaluations_as_after_few(
    tmp_path: Path,
) -> None:
    few, many = Past(open_store(tmp_path / "few")), Past(open_store(tmp_path / "many"))
    costs = [_steps_of_the_database(past, number) for past, number in ((few, 30), (many, 300))]
    assert costs[1] <= 1.1 * costs[0]
    few.store.close()
    many.store.close()


def _steps_of_the_database(past: Past, number: int) -> int:
    """Count the instructions of SQLite's machine that judging one more takes after so many."""
    with past.store.change("fill") as db:
        for step in range(number):
            _put(db, step)
        Judging(RULES, Routes([])).judge(db, RUN, _put(db, number), past.now)
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 1
        return 0

    with past.store.change("count") as db:
        closed = _put(db, number + 1)
        raw = db.connection.driver_connection
        assert raw is not None
        raw.set_progress_handler(count, 1)
        Judging(RULES, Routes([])).judge(db, RUN, closed, past.now)
        raw.set_progress_handler(None, 1)
    return counted


def _put(db: Connection, step: int) -> Evaluation:
    """Close an evaluation of which only a mean is known."""
    sample = Sample(RUN.id, step, "a", 0, Path(f"/{step}"), 1, 1000.0 + step, str(step), prompt="thing")
    found = evaluations.get(db, evaluations.open_for(db, sample, 2000.0 + step))
    metrics = {"clip/mean": 0.25, "clip/stderr": 0.02, "clip/prompts": 8.0}
    return evaluations.close(db, replace(found, identity="m1@1"), metrics, complete=True, because="test")


def test_another_run_is_compared_at_its_nearest_step_that_was_written_before(tmp_path: Path) -> None:
    store = store_in(tmp_path / "past")
    past = Past(store)
    for step, mean in ((0, 0.30), (100, 0.20)):
        past.now += 60
        with store.change("move") as db:
            past._close(db, step, mean, True)
    other = replace(RUN, id="run-2", name="second")
    with store.change("meet") as db:
        runs.add(db, other, "", newest=0.0)
        found = {one.step: one for one in evaluations.judged(db, RUN.id)}
        later, between = (
            replace(found[100], run_id=other.id),
            replace(found[0], run_id=other.id, step=90, last_at=1070.0),
        )
        assert _named(db, later) == "run run (step 100)"
        assert _named(db, replace(later, step=20)) == "run run (step 0)"
        assert _named(db, between) == "run run (step 0)"  # what is nearer was not written yet
        assert _named(db, replace(between, last_at=10.0)) == "run run has no evaluation that is older than this one"
    store.close()


def _named(db: Connection, evaluation: Evaluation) -> str:
    pairs = Stored(db, evaluation).pairs("clip", Mark("run", run="run"))
    return pairs.lack or pairs.than
