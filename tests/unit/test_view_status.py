"""`status` and `show` as programs read them: the promised shapes, true numbers, and no more questions for more runs."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, event

from tests.commands import here
from tests.worlds import KEYS, World
from tests.worlds import counts as one_by_one
from watcher.nouns import Notice, Run, Sample, SampleState
from watcher.record import evaluations, outbox, runs, samples
from watcher.record.store import Store, open_store
from watcher.view.queries import counts, reasons, trends
from watcher.view.status import status

RULES = """
version: 1
rules:
  - {name: low, when: clip/mean < 0.2, for: 3 evaluations, then: stop, needs: {prompts: 8}}
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, RULES)
    yield world
    world.end()


def ask(world: World, *question: object) -> dict[str, Any]:
    answer = here(*question, "--json", "-c", world.folder / "watcher.yaml")
    assert answer.status == 0, answer.err
    return answer.json


def test_status_has_its_promised_shape(world: World) -> None:
    world.evaluation(100, 0.1)
    (world.run / "HOLD").touch()
    found = ask(world, "status")
    assert found["schema_version"] == 1
    (run,) = found["runs"]
    assert {"id", "name", "path", "layout", "attempt", "step", "age_seconds", "metrics"} <= run.keys()
    assert (run["name"], run["layout"], run["path"]) == ("run", "pattern", str(world.run.resolve()))
    assert (run["attempt"], run["step"], run["pending"], run["unscorable"], run["held"]) == (1, 100, 0, 0, True)
    assert run["metrics"]["clip/mean"] == pytest.approx(0.1)
    (rule,) = run["rules"]
    assert {key: rule[key] for key in ("name", "state", "count", "needed")} == {
        "name": "low",
        "state": "pending",
        "count": 1,
        "needed": 3,
    }
    assert run["last_action"] is None
    assert isinstance(found["targets"], list)


def test_show_has_its_promised_shape(world: World) -> None:
    for step in (100, 200, 300):
        world.evaluation(step, 0.1)
    found = ask(world, "show", "run")
    assert found["schema_version"] == 1
    assert found["run"]["name"] == "run"
    assert [(one["attempt"], one["step"], one["state"]) for one in found["evaluations"]] == [
        (1, 100, "closed"),
        (1, 200, "closed"),
        (1, 300, "closed"),
    ]
    assert found["evaluations"][0]["metrics"]["clip/mean"] == pytest.approx(0.1)
    image = found["evaluations"][0]["images"][0]
    assert {"path", "step", "prompt_key", "prompt", "tile", "cosine", "health", "error"} <= image.keys()
    assert (image["prompt_key"], image["prompt"], image["cosine"]) == ("a", "a thing", pytest.approx(0.1))
    (decision,) = found["decisions"]
    assert {"rule", "step", "state", "reason", "at"} <= decision.keys()
    assert (decision["rule"], decision["step"], decision["state"]) == ("low", 300, "firing")
    for action in found["actions"]:
        assert {"kind", "state", "reason", "proof", "at"} <= action.keys()


def test_show_of_a_step_has_that_step_alone_and_of_another_says_which_there_are(world: World) -> None:
    for step in (100, 200):
        world.evaluation(step, 0.1)
    assert [one["step"] for one in ask(world, "show", "run", "--step", 200)["evaluations"]] == [200]
    answer = here("show", "run", "--step", 7, "-c", world.folder / "watcher.yaml")
    assert (answer.status, answer.out) == (1, "")
    assert answer.err == "watcher: run has no evaluation at step 7; its last are 100, 200\n"


def test_status_of_one_run_is_of_that_run_alone(world: World) -> None:
    world.evaluation(100, 0.1)
    assert [run["name"] for run in ask(world, "status", "run")["runs"]] == ["run"]
    answer = here("status", "nosuch", "-c", world.folder / "watcher.yaml")
    assert (answer.status, answer.err) == (1, "watcher: no run 'nosuch'; known are run\n")


def test_a_run_that_took_the_place_of_another_is_the_one_that_is_shown(world: World) -> None:
    world.evaluation(100, 0.1)
    (old,) = ask(world, "status")["runs"]
    with world.store.change("test") as db:
        runs.set_state(db, old["id"], "gone", "test", world.now)
        runs.add(db, Run("new", "run", Path(old["path"]), "pattern", first_seen=world.now), "test")
    for question in (("show", "run"), ("show", old["path"])):
        assert ask(world, *question)["run"]["id"] == "new"
    assert [run["id"] for run in ask(world, "status", "run")["runs"]] == ["new"]
    assert ask(world, "show", old["id"])["run"]["state"] == "gone"


def test_the_table_has_active_runs_first(world: World) -> None:
    world.evaluation(100, 0.1)
    with world.store.change("test") as db:
        for name, state in (("old", "archived"), ("lost", "gone"), ("new", "active")):
            runs.add(db, Run(name, name, world.folder / name, "pattern", state=state, first_seen=1.0), "test")
    _, _, table = here("status", "-c", world.folder / "watcher.yaml").out.partition("\n\n")
    told = table.splitlines()
    assert [line.split("  ")[0] for line in told[:5]] == [
        "run",
        "new",
        "run UNPROTECTED",
        "old (archived)",
        "lost (gone)",
    ]


def test_numbers_that_json_cannot_say_are_null(world: World) -> None:
    world.evaluation(100, 0.1)
    with world.store.change("test") as db:
        state = {"state": "inactive", "count": float("nan"), "needed": float("inf"), "reason": "x"}
        db.exec_driver_sql("UPDATE rule_states SET state = ?", (json.dumps(state),))
    (rule,) = ask(world, "status")["runs"][0]["rules"]
    assert (rule["count"], rule["needed"]) == (None, None)


def test_notices_that_were_given_up_are_counted_for_each_target_and_told(world: World) -> None:
    with world.store.change("test") as db:
        for number in range(3):
            notice = Notice(str(number), "info", "t", "t")
            outbox.post(db, notice, ["slack https://a/..."], 1.0)
        db.exec_driver_sql("UPDATE deliveries SET state = 'failed' WHERE id != (SELECT max(id) FROM deliveries)")
    (target,) = ask(world, "status")["targets"]
    assert {key: target[key] for key in ("name", "pending", "failed")} == {
        "name": "slack https://a/...",
        "pending": 1,
        "failed": 2,
    }
    told = here("status", "-c", world.folder / "watcher.yaml").out
    assert "slack https://a/...: 1 notice waiting; 2 notices not delivered\n" in told


def test_a_rule_that_cannot_judge_says_why(world: World) -> None:
    world.evaluation(100, 0.1, KEYS[:3])
    world.go(7200)
    told = here("status", "-c", world.folder / "watcher.yaml").out
    assert "run: low: cannot judge: 3 prompts, 8 are needed\n" in told


def test_pictures_without_a_score_are_told_with_their_reasons(world: World) -> None:
    world.put(100, {"a": 0.1, "stranger": 0.1})
    world.go()
    (run,) = ask(world, "status")["runs"]
    assert (run["images"], run["unscorable"], run["reasons"]) == (2, 1, {"no prompt": 1})
    assert "run: 1 image: no prompt\n" in here("status", "-c", world.folder / "watcher.yaml").out


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = open_store(tmp_path_factory.mktemp("state"))
    yield store
    store.close()


def add_run(store: Store, name: str, means: Sequence[float]) -> None:
    """Keep a run with an evaluation of the main variant and one of another for every mean."""
    with store.change("test") as db:
        runs.add(db, Run(name, name, Path("/") / name, "pattern", first_seen=1.0), "test")
        for place, value in enumerate(means):
            for variant, mean in (("", value), ("base", 9.0)):
                evaluation = evaluations.get(db, _evaluation(db, name, place * 100, variant))
                evaluations.close(db, evaluation, {"clip/mean": mean, "clip/max": 1.0}, complete=True, because="test")


def _evaluation(db: Connection, run: str, step: int, variant: str) -> int:
    path = Path("/") / run / f"{variant}{step}.png"
    sample = Sample(run, step, "a", 0, path, 1, 2.0, path.name, None, "unscorable", "no prompt", variant)
    samples.add(db, sample, 2.0)
    return evaluations.open_for(db, sample, 2.0)


NAMES = (f"example-{number}" for number in count())


@given(st.lists(st.lists(st.floats(-1, 1), max_size=15), max_size=3), st.integers(1, 14))
@limits(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_trend_is_the_last_means_of_each_run_in_order(store: Store, means: list[list[float]], last: int) -> None:
    example = dict(zip(NAMES, means, strict=False))
    for name, values in example.items():
        add_run(store, name, values)
    with store.read() as db:
        found = trends(db, "clip/mean", last)
    assert {name: found.get(name, []) for name in example} == {name: values[-last:] for name, values in example.items()}


@given(st.lists(st.sampled_from(["ready", "scored", "unscorable", "undecodable"]), max_size=8))
@limits(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_images_are_counted_by_what_became_of_them(store: Store, states: list[SampleState]) -> None:
    name = next(NAMES)
    add_run(store, name, [0.1])
    with store.change("test") as db:
        for place, state in enumerate(states):
            path = Path("/") / name / f"{place}.png"
            samples.add(db, Sample(name, 500, str(place), 0, path, 1, 2.0, path.name, None, state, state), 2.0)
        known = one_by_one(db)[name]
        assert {state: number for state, number in counts(db)[name].items() if number} == known
        of_all = reasons(db)[name]
    assert of_all == {"no prompt": 2, **Counter(state for state in states if state in ("unscorable", "undecodable"))}


def test_more_runs_need_no_more_questions_to_the_store(store: Store) -> None:
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_others: object) -> None:
        asked.append(statement)

    def questions() -> int:
        asked.clear()
        status(store, time.time())
        return len(asked)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        add_run(store, "first", [0.1, 0.2])
        before = questions()
        for number in range(10):
            add_run(store, f"other-{number}", [0.1, 0.2, 0.3])
        assert questions() == before > 0
    finally:
        event.remove(Engine, "before_cursor_execute", note)
