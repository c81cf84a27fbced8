"""How far scoring lags: the age of the oldest live image that waits, why, and the way out, and never a false alarm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.commands import here
from tests.worlds import KEYS, ScriptedScorer, World
from watcher.nouns import Run
from watcher.record import runs
from watcher.score import Job, Scored, ScorerDown
from watcher.view.lag import TOLERATED
from watcher.view.status import status
from watcher.view.table import problems

RULES = "version: 1\nrules: [{name: low, when: clip/mean < 0.1}]\n"
FULL = "cpu (all 1 GPUs are in use or too full)"


class Slow(ScriptedScorer):
    """Keeps batches until it is let go, and says how long each took and where."""

    def __init__(self) -> None:
        super().__init__()
        self.holding = False
        self.device, self.seconds = FULL, 16.0
        self.held: list[tuple[int, list[Job]]] = []

    def submit(self, batch: int, jobs: Sequence[Job]) -> None:
        if self.holding:
            self.held.append((batch, list(jobs)))
            return
        super().submit(batch, jobs)
        if isinstance(last := self.results.pop(), Scored):
            self.results.append(Scored(last.batch, last.identities, last.scores, self.device, self.seconds))
        else:
            self.results.append(last)

    def let_go(self) -> None:
        self.holding = False
        held, self.held = self.held, []
        for batch, jobs in held:
            self.submit(batch, jobs)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A run with three evaluations, five minutes apart, scored by a daemon that lives; the scorer then hangs on."""
    made = World(tmp_path, RULES)
    made.scorer = Slow()
    made.restart()
    made.go()
    with made.store.change("test") as db:
        runs.set_fact(db, "daemon", {"state": "running", "pid": 1, "host": "elsewhere", "created": 1.0}, 1.0)
    for step in (100, 200, 300):
        made.evaluation(step, 0.2)
        made.go(270 - 1.2)
    scorer(made).holding = True
    yield made
    made.end()


def scorer(world: World) -> Slow:
    assert isinstance(world.scorer, Slow)
    return world.scorer


def ask(world: World) -> dict[str, Any]:
    return status(world.store, world.now)


def told(world: World) -> list[str]:
    return [line for line in problems(ask(world)) if line.startswith("scoring lags")]


def test_nothing_lags_while_everything_is_scored(world: World) -> None:
    found = ask(world)
    assert (found["runs"][0]["lag_seconds"], found["runs"][0]["interval_seconds"]) == (None, None)
    assert (found["scorer"]["waiting"], found["scorer"]["lag_seconds"]) == (0, None)
    assert found["scorer"]["catch_up_seconds"] is None
    assert told(world) == []


def test_the_lag_is_the_age_of_the_oldest_image_that_waits(world: World) -> None:
    world.evaluation(400, 0.2, age=2)
    world.now += 240
    (run,) = ask(world)["runs"]
    assert (run["pending"], run["lag_seconds"]) == (len(KEYS), pytest.approx(243.2, abs=2))
    assert run["interval_seconds"] == pytest.approx(300, abs=2)
    shown = here("status", "-c", world.folder / "watcher.yaml").out
    assert f"{4 * len(KEYS)}, {len(KEYS)} waiting (oldest " in shown


def test_a_lag_longer_than_the_usual_time_between_evaluations_is_told_with_cause_and_way_out(world: World) -> None:
    world.evaluation(400, 0.2)
    world.now += 200
    assert told(world) == []
    world.now += 400
    (line,) = told(world)
    assert line == (
        "scoring lags behind: run by 10m, while an evaluation comes every 5m; the model runs on "
        f"{FULL} and scores 30 images a minute, so the 8 that wait take 16s; what helps: a smaller `model:`, "
        "`device: shared` or fewer validation prompts (`watcher doctor` says which model would keep up)"
    )


def test_a_gpu_that_is_not_there_is_not_offered_to_be_shared(world: World) -> None:
    scorer(world).holding = False
    scorer(world).device = "cpu (no GPU)"
    world.evaluation(400, 0.2)
    scorer(world).holding = True
    world.evaluation(500, 0.2)
    world.now += 900
    (line,) = told(world)
    assert "runs on cpu (no GPU) and" in line
    assert "shared" not in line


def test_once_it_is_scored_nothing_lags_any_more(world: World) -> None:
    world.evaluation(400, 0.2)
    world.go(900)
    assert told(world)
    scorer(world).let_go()
    world.go()
    assert told(world) == []
    assert ask(world)["runs"][0]["lag_seconds"] is None


def test_a_failing_scorer_or_a_stopped_daemon_is_the_trouble_and_not_a_lag(world: World) -> None:
    world.evaluation(400, 0.2)
    world.go(900)
    with world.store.change("test") as db:
        runs.set_fact(db, "daemon", {"state": "stopped", "pid": 1}, 1.0)
    assert told(world) == []
    with world.store.change("test") as db:
        runs.set_fact(db, "daemon", {"state": "running", "pid": 1, "host": "elsewhere", "created": 1.0}, 1.0)
    assert told(world)
    world.pipeline.scoring.fail(ScorerDown("no model", True, scorer(world).held[-1][0]), world.now)
    assert told(world) == []
    assert ask(world)["runs"][0]["lag_seconds"] is not None


def test_what_was_there_before_the_watcher_is_the_past_and_no_lag(tmp_path: Path) -> None:
    world = World(tmp_path, RULES)
    world.scorer = Slow()
    scorer(world).holding = True
    world.restart()
    world.put(100, dict.fromkeys(KEYS, 0.2), age=7200)
    world.go()
    found = ask(world)
    world.end()
    assert (found["runs"][0]["pending"], found["runs"][0]["lag_seconds"]) == (len(KEYS), None)


@pytest.mark.parametrize("state", ["archived", "gone"])
def test_a_run_that_is_over_lags_no_more(world: World, state: Any) -> None:
    world.evaluation(400, 0.2)
    world.go(900)
    with world.store.change("test") as db:
        runs.set_state(db, ask(world)["runs"][0]["id"], state, "test", world.now)
    assert ask(world)["runs"][0]["lag_seconds"] is None
    assert told(world) == []


def test_a_first_evaluation_has_time_and_a_clock_that_is_ahead_no_lag(world: World) -> None:
    with world.store.change("test") as db:
        db.exec_driver_sql("DELETE FROM metrics")
        db.exec_driver_sql("DELETE FROM scores")
        db.exec_driver_sql("DELETE FROM samples")
        db.exec_driver_sql("DELETE FROM evaluations")
    world.evaluation(400, 0.2)
    world.now += 2 * TOLERATED
    assert ask(world)["runs"][0]["interval_seconds"] is None
    assert told(world) == []
    world.now += 600
    assert told(world)[0].startswith("scoring lags behind: run by 14m; the model runs on ")
    assert status(world.store, world.now - 10**6)["runs"][0]["lag_seconds"] == 0.0


def test_evaluations_of_one_moment_say_nothing_of_how_far_apart_they_usually_are(world: World) -> None:
    world.evaluation(400, 0.2)
    world.now += 900
    assert ask(world)["runs"][0]["interval_seconds"] is not None
    with world.store.change("test") as db:
        db.exec_driver_sql("UPDATE evaluations SET first_at = 1000 + step / 1000.0")
    assert ask(world)["runs"][0]["interval_seconds"] is None
    assert "while an evaluation comes" not in told(world)[0]


def test_a_lag_of_up_to_two_minutes_is_never_told_however_fast_evaluations_come(world: World) -> None:
    world.evaluation(400, 0.2, age=2)
    with world.store.change("test") as db:
        db.exec_driver_sql("UPDATE evaluations SET first_at = 1000 + step / 10.0")
    world.now += 110
    assert told(world) == []
    world.now += 20
    assert "while an evaluation comes every 10s" in told(world)[0]


def test_many_runs_that_lag_are_one_line_with_the_worst_first(world: World) -> None:
    world.evaluation(400, 0.2)
    world.go(900)
    (sample,) = [one for one in scorer(world).held[-1][1] if one.path.stem.endswith("_a")]
    with world.store.change("test") as db:
        for number in range(6):
            name = f"other{number}"
            runs.add(db, Run(name, name, world.folder / name, "pattern", first_seen=1.0), "test")
            for table, key in (("evaluations", "id"), ("samples", "evaluation_id")):
                columns = [row[1] for row in db.exec_driver_sql(f"PRAGMA table_info({table})")]
                changed = {"id": "NULL", "run_id": f"'{name}'", "mtime": f"mtime - {60 * number}"}
                if table == "samples":
                    changed["evaluation_id"] = f"(SELECT max(id) FROM evaluations WHERE run_id = '{name}')"
                values = ", ".join(changed.get(column, f'"{column}"') for column in columns)
                number_of = f"(SELECT evaluation_id FROM samples WHERE id = {sample.sample_id})"
                only = f"AND id = {sample.sample_id}" if table == "samples" else ""
                db.exec_driver_sql(f"INSERT INTO {table} SELECT {values} FROM {table} WHERE {key} = {number_of} {only}")
    (line,) = told(world)
    assert line.startswith("scoring lags behind: other5 by ")
    assert "other4 by " in line
    assert " and 4 runs more; " in line


def test_the_pace_is_that_of_the_last_batches_on_one_device(world: World) -> None:
    assert ask(world)["scorer"]["images_per_minute"] == pytest.approx(30)
    slow = scorer(world)
    slow.holding, slow.seconds = False, 32.0
    world.evaluation(400, 0.2)
    assert ask(world)["scorer"]["images_per_minute"] == pytest.approx(60 * 32 / (3 * 16 + 32))
    slow.device, slow.seconds = "cuda:0 (unused, 20 GiB free)", 1.0
    world.evaluation(500, 0.2)
    assert ask(world)["scorer"]["images_per_minute"] == pytest.approx(480)
