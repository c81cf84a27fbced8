"""Conditions that look back, on the whole path: what the store keeps is what a replay gives, and what follows of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.worlds import KEYS, World
from watcher.config import load_config, load_config_rules
from watcher.judge import State, replay
from watcher.record import actions, evaluations, judgements, runs
from watcher.steps.beside import point

RULES = """
version: 1
rules:
  - {name: low, when: {metric: clip/mean, worse_than: best}, for: 2 evaluations}
  - {name: base, when: {metric: clip/mean, worse_than: baseline}, after: 500 steps}
  - {name: other, when: {metric: clip/mean, worse_than: elsewhere}}
  - {name: fall, when: {metric: clip/mean, worse_by: 0.05, than: best}}
  - {name: from-base, when: {metric: clip/mean, worse_by: 10%, than: baseline}}
  - {name: spike, when: {metric: clip/mean, worse_by: 50%, than: median of 5}}
  - {name: stall, when: {metric: clip/mean, stalls: 2 evaluations, min_gain: 0.01}}
  - {name: both, when: {all: [clip/mean < 0.3, {not: {metric: clip/mean, worse_by: 0.1, than: previous}}]}}
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = made(tmp_path, RULES)
    yield world
    world.end()


def made(tmp_path: Path, rules: str) -> World:
    """Make a world whose prompts differ: what is compared goes by their texts."""
    world = World(tmp_path, rules)
    (world.run / "prompts.json").write_text(json.dumps({key: f"thing {key}" for key in KEYS}))
    world.go()
    return world


def assert_is_replay(world: World) -> None:
    """Compare what is stored with a replay of the history that the store has now."""
    rules = load_config_rules(load_config(world.folder / "watcher.yaml")).rules
    with world.store.read() as db:
        (run,) = runs.all_runs(db)
        stored = judgements.states_of(db, run.id)
        points = [point(db, one) for one in evaluations.judged(db, run.id)]
        for rule in rules:
            state, _ = replay(rule, points)
            assert State.from_json(stored[rule.name, rule.hash]) == State.from_json(
                json.loads(json.dumps(state.to_json()))
            )


def spread(mean: float) -> dict[str, float]:
    return {key: mean + number / 1000 for number, key in enumerate(KEYS)}


def evaluation(world: World, step: int, mean: float) -> None:
    world.now += 30
    world.put(step, spread(mean))
    world.go()


def test_states_are_those_of_a_replay_through_falls_restarts_late_ones_and_attempts(world: World) -> None:
    for step, mean in ((0, 0.30), (500, 0.32), (1500, 0.25), (2000, 0.24)):
        evaluation(world, step, mean)
        assert_is_replay(world)
    assert world.rule("low")["state"] == "firing"
    assert world.rule("base")["state"] == "firing"
    assert world.rule("fall")["memory"]["value"] == pytest.approx(0.3235)
    world.restart()
    evaluation(world, 1000, 0.40)  # late, and the best of all
    assert_is_replay(world)
    assert world.rule("fall")["memory"]["step"] == 1000
    evaluation(world, 1000, 0.35)  # the run went back: the best was superseded
    assert_is_replay(world)
    assert world.rule("fall")["memory"] == {
        "value": pytest.approx(0.3535),
        "step": 1000,
        "identity": world.scorer.identity,
    }
    evaluation(world, 1500, 0.20)
    evaluation(world, 2000, 0.20)
    assert_is_replay(world)
    assert world.rule("low")["reason"].startswith("clip/mean 0.204 +- 0.001 over 8 prompts is worse than step 1000")


def test_another_run_is_compared_at_the_nearest_step_that_is_older(tmp_path: Path) -> None:
    world = made(tmp_path, RULES.replace("elsewhere", "run"))
    evaluation(world, 0, 0.3)
    assert "no runs are called run" in world.rule("other")["reason"]
    world.end()


def test_with_another_baseline_the_whole_history_is_judged_anew(world: World) -> None:
    from watcher.record import baselines

    for step, mean in ((0, 0.30), (500, 0.20), (1000, 0.21)):
        evaluation(world, step, mean)
    assert (world.rule("base")["state"], world.rule("base")["count"]) == ("firing", 2)
    with world.store.change("baseline") as db:
        (run,) = runs.all_runs(db)
        baselines.choose(db, run.id, baselines.Choice(run.id, 500), world.now)
    evaluation(world, 1500, 0.22)
    assert (world.rule("base")["state"], world.rule("base")["count"]) == ("inactive", 0)
    assert_is_replay(world)


def test_scores_of_another_model_are_not_paired(world: World) -> None:
    evaluation(world, 0, 0.3)
    world.scorer.identity = "other@2/2/fp32/keep-end"
    evaluation(world, 500, 0.1)
    assert world.rule("low")["reason"] == "clip/mean has no earlier evaluation to be compared with yet"
    assert world.rule("base")["reason"] == "cannot judge: the baseline (step 0) was scored by another model"
    assert world.rule("from-base")["reason"] == "clip/mean has no baseline to be compared with"


def test_an_evaluation_that_follows_is_judged_without_reading_those_before(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cost of judging must not grow with the history."""
    for step in (0, 500, 1000):
        evaluation(world, step, 0.3)

    def never(*_: Any) -> list[Any]:
        raise AssertionError("the whole history was read")

    monkeypatch.setattr(evaluations, "judged", never)
    evaluation(world, 1500, 0.3)
    assert world.rule("stall")["seen"] == 4


ESCALATES = """
version: 1
rules:
  - {name: low, when: clip/mean < 0.22, escalate: {after: 2 evaluations, then: [alert, stop]}, needs: {prompts: 8}}
"""


@pytest.mark.parametrize("mode", ["observe", "enforce"])
def test_what_still_fires_is_escalated_once(tmp_path: Path, mode: str) -> None:
    world = World(tmp_path, ESCALATES, mode=mode)
    world.go()
    for step in (500, 1000):
        world.evaluation(step, 0.1)
    assert (world.decisions(), world.actions()) == ([(1, 500, "firing")], [])
    world.evaluation(1500, 0.1)
    world.evaluation(2000, 0.1)
    titles = [title for kind, title in world.notices() if kind == "alert"]
    assert titles == ["run: low at step 500", "run: low still fires at step 1500"]
    with world.store.read() as db:
        (run,) = runs.all_runs(db)
        assert [(one.kind, one.args["mode"]) for one in actions.of_run(db, run.id)] == [("stop", mode)]
    world.end()


def test_one_that_recovered_is_not_escalated(tmp_path: Path) -> None:
    world = World(tmp_path, ESCALATES.replace("2 evaluations", "3 evaluations"), mode="enforce")
    world.go()
    for step, mean in ((500, 0.1), (1000, 0.1), (1500, 0.3), (2000, 0.1), (2500, 0.1), (3000, 0.1)):
        world.evaluation(step, mean)
    assert [title for kind, title in world.notices() if kind == "alert"] == [
        "run: low at step 500",
        "run: low at step 2000",
    ]
    world.end()


def program(tmp_path: Path, ends: int = 0) -> str:
    script = tmp_path / "program.py"
    script.write_text(
        "import pathlib, sys\n"
        f"with open({str(tmp_path / 'said')!r}, 'a') as file: file.write(sys.stdin.read() + '\\n')\n"
        f"print('no luck'); sys.exit({ends})\n"
    )
    command = json.dumps([sys.executable, str(script)])
    return f"version: 1\nrules: [{{name: low, when: clip/mean < 0.22, then: {{run: {{command: {command}}}}}}}]"


def test_a_rule_runs_a_program_with_the_notice_on_its_input(tmp_path: Path) -> None:
    world = World(tmp_path, program(tmp_path), mode="enforce")
    world.go()
    world.evaluation(500, 0.1)
    deliver(world)
    (line,) = (tmp_path / "said").read_text().splitlines()
    said = json.loads(line)
    assert (said["schema_version"], said["rule"], said["kind"], said["facts"]["step"]) == (1, "low", "alert", 500)
    world.evaluation(1000, 0.3)
    deliver(world)
    assert len((tmp_path / "said").read_text().splitlines()) == 1  # neither of what is resolved nor of anything else
    world.end()


def test_where_a_rule_is_only_observed_no_program_is_run_and_the_alert_says_so(tmp_path: Path) -> None:
    world = World(tmp_path, program(tmp_path))
    world.go()
    world.evaluation(500, 0.1)
    deliver(world)
    assert not (tmp_path / "said").exists()
    with world.store.read() as db:
        (text,) = db.exec_driver_sql("SELECT notice ->> 'text' FROM outbox WHERE notice ->> 'kind' = 'alert'").one()
    assert "would now be run" in text
    world.end()


def test_a_program_that_fails_is_told_of_and_not_run_again(tmp_path: Path) -> None:
    world = World(tmp_path, program(tmp_path, ends=3), mode="enforce")
    world.go()
    world.evaluation(500, 0.1)
    deliver(world)
    for _ in range(3):
        world.go(3600)
        deliver(world)
    assert len((tmp_path / "said").read_text().splitlines()) == 1
    with world.store.read() as db:
        rows = db.exec_driver_sql("SELECT target, state, error FROM deliveries WHERE state = 'failed'").all()
    assert [(row[0], row[1]) for row in rows] == [("run low", "failed")]
    assert rows[0][2].endswith("ended with status 3: no luck")
    world.end()


def deliver(world: World) -> None:
    """Wait for the postman's threads, then tick off what they bring."""
    for pool in world.postman._pools:
        pool.submit(lambda: None).result(60)
    world.go()
