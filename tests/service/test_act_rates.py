"""Rules that lower the rate of a live training: planned, carried out by its hook, and kept within their limits."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands import here
from tests.controlled import Launched, until
from tests.worlds import World
from watcher.nouns import Command
from watcher.record import actions
from watcher.view.status import status

LOW, GOOD = 0.19, 0.30
Make = Callable[..., World]


@pytest.fixture
def training(tmp_path: Path) -> Iterator[Launched]:
    (tmp_path / "run" / "samples").mkdir(parents=True)
    with Launched(tmp_path) as started:
        started.begin()
        yield started


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[World] = []

    def make(then: Any, mode: str = "enforce", **more: Any) -> World:
        rule = {"name": "low", "when": "clip/mean < 0.22", "then": then, **more.pop("rule", {})}
        world = World(tmp_path, json.dumps({"version": 1, "rules": [rule]}), mode=mode, **more)
        world.now += 5  # a process and what it writes are told apart to a second
        made.append(world)
        world.go()
        return world

    yield make
    for world in made:
        world.end()


def orders(world: World) -> list[Command]:
    with world.store.read() as db:
        rows = db.exec_driver_sql("SELECT id FROM actions ORDER BY id").all()
        return [actions.get(db, row[0]) for row in rows]


def settle(world: World, training: Launched) -> list[Command]:
    """Let training and daemon go on until no action is under way."""

    def done() -> bool:
        world.go()
        try:
            training.go(1)
        except EOFError:
            time.sleep(0.05)
        return all(one.state in ("verified", "failed", "refused", "cancelled") for one in orders(world))

    until(done, "end of all actions")
    return orders(world)


def rates(found: list[Command]) -> list[tuple[str, str, Any]]:
    return [(one.kind, one.state, one.progress.get("lr", {}).get("after")) for one in found]


def test_it_is_lowered_while_the_rule_fires_as_often_as_is_allowed(make: Make, training: Launched) -> None:
    world = make({"scale_lr": {"factor": 0.5, "at_most": 2}})
    for step in (100, 200, 300):
        world.evaluation(step, LOW)
        found = settle(world, training)
    assert rates(found) == [
        ("scale_lr", "verified", [0.05, 0.01]),
        ("scale_lr", "verified", [0.025, 0.005]),
    ]
    training.go(1)
    assert training.used[-1] == pytest.approx([0.025, 0.005])
    told = [title for kind, title in world.notices() if kind == "action"]
    assert told == [
        "run trains on at a learning rate of 0.05 (it was 0.1)",
        "run trains on at a learning rate of 0.025 (it was 0.05)",
    ]
    world.evaluation(400, GOOD)
    assert world.rule()["state"] != "firing"


def test_images_of_the_old_rate_do_not_lower_it_again(make: Make, training: Launched) -> None:
    world = make({"scale_lr": {"factor": 0.5}})
    world.evaluation(100, LOW)
    settle(world, training)
    world.now += 30
    world.evaluation(200, LOW, age=60 + 40)
    assert len(settle(world, training)) == 1
    world.evaluation(300, LOW)
    assert len(settle(world, training)) == 2


@pytest.mark.parametrize("cooldown", ["250 steps", "3 evaluations", "70s"])
def test_a_cooldown_is_counted_from_the_change(make: Make, training: Launched, cooldown: str) -> None:
    world = make({"scale_lr": {"factor": 0.5, "cooldown": cooldown}})
    changed = []
    for step in (100, 200, 300, 400):
        world.evaluation(step, LOW)
        changed.append(len(settle(world, training)))
    assert changed == [1, 1, 1, 2]


def test_a_daemon_that_is_restarted_goes_on_and_does_it_once(make: Make, training: Launched) -> None:
    world = make({"scale_lr": {"factor": 0.5, "at_most": 1}})
    world.evaluation(100, LOW)
    for _ in range(3):
        world.restart()
        world.go()
        training.go(1)
    assert rates(settle(world, training)) == [("scale_lr", "verified", [0.05, 0.01])]
    assert len(list((training.control / "commands").iterdir())) == 1


def test_what_is_only_observed_says_what_it_would_have_done(make: Make, training: Launched) -> None:
    world = make({"set_lr": {"to": 0.01}}, mode="observe")
    world.evaluation(100, LOW)
    ((kind, state, after),) = rates(settle(world, training))
    assert (kind, state, after) == ("set_lr", "refused", None)
    assert "observe mode: would have set the learning rate of process" in orders(world)[0].proof
    assert not (training.control / "commands").exists() or not [*(training.control / "commands").iterdir()]


def test_beyond_the_limit_of_the_run_it_is_refused(make: Make, training: Launched) -> None:
    world = make({"scale_lr": {"factor": 0.5}}, limits={"lr_changes_per_run": 1})
    for step in (100, 200, 300):
        world.evaluation(step, LOW)
        found = settle(world, training)
    assert [one.state for one in found] == ["verified", "refused"]
    assert "limits.lr_changes_per_run" in found[-1].proof


def test_it_saves_first_and_is_stopped_once_that_did_not_help(make: Make, training: Launched) -> None:
    later = {"escalate": {"after": "2 evaluations", "then": {"stop": {"delay": "0s"}}}}
    world = make(["checkpoint", {"scale_lr": {"factor": 0.5}}], rule=later)
    for step in (100, 200, 300, 400):
        if training.process.poll() is None:
            world.evaluation(step, LOW)
            settle(world, training)
    found = orders(world)
    assert [one.kind for one in found][:2] == ["checkpoint", "scale_lr"]
    assert (found[-1].kind, found[-1].state) == ("stop", "verified"), found[-1].proof
    assert [one.state for one in found if one.state == "failed"] == []
    assert status(world.store, world.now)["runs"][0]["stopped"]


def test_a_run_that_was_not_launched_under_control_is_said_to_be_so_once(make: Make, tmp_path: Path) -> None:
    (tmp_path / "run" / "samples").mkdir(parents=True)
    world = make({"scale_lr": {"factor": 0.5}})
    world.evaluation(100, GOOD)
    world.go(700)
    world.restart()
    world.go(700)
    assert [title for kind, title in world.notices() if kind == "protection"] == ["run: cannot lower the learning rate"]
    assert any(
        "was not launched by `watcher exec -- COMMAND`" in note
        for note in status(world.store, world.now)["runs"][0]["notes"]
    )
    world.evaluation(200, LOW)
    assert [one.state for one in orders(world)] == ["failed"]


def test_a_run_under_control_is_said_to_lack_nothing(make: Make, training: Launched) -> None:
    world = make({"scale_lr": {"factor": 0.5}})
    world.evaluation(100, GOOD)
    world.go(700)
    assert [title for kind, title in world.notices() if kind == "protection"] == []


def test_a_spent_budget_freezes_all_rules_until_somebody_releases_them(make: Make, training: Launched) -> None:
    world = make({"stop": {"delay": "0s"}}, limits={"stops_per_hour": 1})
    with world.store.change("another run's stop") as db:
        run = db.exec_driver_sql("SELECT id FROM runs").scalar_one()
        spent = Command(0, run, "other", "stop", {}, "failed", "", world.now, world.now, world.now)
        actions.plan(db, spent, None)
    world.evaluation(100, LOW)
    assert [one.state for one in orders(world)] == ["failed", "refused"]
    assert "`watcher release --all`" in orders(world)[-1].proof
    assert ("protection", "rules only observe from now on") in world.notices()
    world.restart()
    world.evaluation(200, LOW)
    assert [one.args.get("mode") for one in orders(world)][2:] in ([], ["observe"])
    assert training.process.poll() is None
    assert here("release", "--all", "-c", world.folder / "watcher.yaml").out.startswith("rules may act again")
    world.now += 3600
    world.evaluation(300, LOW)
    assert settle(world, training)[-1].state == "verified"
    assert here("release", "--all", "-c", world.folder / "watcher.yaml").out == "nothing is frozen\n"
