"""Orders and vetoes of people on the daemon's path: what rules, modes and budgets say does not matter to them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.trainings import Start
from tests.unit.test_path_acting import GOOD, LOW, RULES, go_until, reconfigure, states
from tests.worlds import World
from watcher.byhand.order import ordered
from watcher.record import actions, evaluations, holds, judgements, runs
from watcher.record.held import Hold
from watcher.view.status import status

STOP = {"save": "no", "wait": 60.0, "grace": 60.0, "kill": False}
Make = Callable[..., World]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[World] = []

    def make(rules: str = "", limits: str = "", **settings: Any) -> World:
        world = World(tmp_path, rules or RULES.replace("DELAY", "10m"), **settings)
        if limits:
            world.end()
            with (tmp_path / "watcher.yaml").open("a") as file:
                file.write(f"limits: {{{limits}}}\n")
            world.start()
        world.now += 5
        made.append(world)
        world.go()
        return world

    yield make
    for world in made:
        world.end()


def order(world: World, **args: Any) -> int:
    with world.store.change("order") as db:
        (run,) = runs.all_runs(db)
        return actions.plan(db, ordered(run, "stop", {**STOP, **args}, world.now, world.now), None)


def hold(world: World, why: str = "") -> None:
    with world.store.change("hold") as db:
        (run,) = runs.all_runs(db)
        holds.put(db, run.id, Hold("ann", world.now, why))


def release(world: World) -> None:
    with world.store.change("release") as db:
        (run,) = runs.all_runs(db)
        holds.drop(db, run.id)


def fire(world: World) -> None:
    for step in (100, 200, 300):
        world.evaluation(step, LOW)


def proofs(world: World) -> str:
    return " | ".join(proof for _, proof in world.actions())


def test_a_person_stops_what_rules_may_only_observe_and_no_budget_allows(make: Make, start: Start) -> None:
    world = make(mode="observe", limits="stops_per_hour: 0")
    process = start(world.run)
    order(world)
    go_until(world, lambda: states(world) == ["verified"])
    assert process.wait(60) == -15
    assert ("action", "run was stopped") in world.notices()


def test_an_order_waits_for_no_evaluation_that_is_not_judged_yet(make: Make, start: Start) -> None:
    """Images came in while the person thought about the question; the scorer has not come to them."""
    world = make()
    process = start(world.run)
    world.now += 600
    world.scorer.busy = True
    world.put(100, {"a": LOW}, age=200)
    world.go()
    with world.store.change("order") as db:
        (run,) = runs.all_runs(db)
        assert evaluations.open_after(db, run.id, world.now - 300, world.now) == [100]
        actions.plan(db, ordered(run, "stop", STOP, world.now - 300, world.now), None)
    go_until(world, lambda: states(world) == ["verified"])
    assert process.wait(60) == -15


def test_a_persons_stop_is_counted_in_the_budget_of_the_rules(make: Make, start: Start) -> None:
    world = make(RULES.replace("DELAY", "0s"), mode="enforce", limits="stops_per_hour: 1")
    first = start(world.run)
    order(world)
    go_until(world, lambda: states(world) == ["verified"])
    first.wait(60)
    world.now = max(world.now, time.time()) + 5
    second = start(world.run)
    fire(world)
    assert states(world) == ["verified", "refused"]
    assert second.poll() is None


def test_what_was_started_after_the_person_was_asked_is_not_stopped(make: Make, start: Start) -> None:
    world = make()
    before = world.now - 600
    process = start(world.run)
    with world.store.change("order") as db:
        (run,) = runs.all_runs(db)
        actions.plan(db, ordered(run, "stop", STOP, before, world.now), None)
    world.go()
    assert states(world) == ["refused"]
    assert "a relaunch" in proofs(world)
    assert process.poll() is None


@pytest.mark.parametrize("by_hand", [True, False])
def test_a_hold_cancels_rules_and_persons_stops_alike_and_says_whose_it_is(
    make: Make, start: Start, by_hand: bool
) -> None:
    world = make(mode="enforce")
    process = start(world.run)
    if by_hand:
        order(world, save="wait")
        world.go()
        assert states(world) == ["saving"]
    else:
        fire(world)
        assert states(world) == ["waiting"]
    hold(world, "demo at four")
    world.go(600)
    assert states(world) == ["cancelled"]
    assert "held by ann at" in proofs(world)
    assert "demo at four" in proofs(world)
    assert process.poll() is None


def test_a_hold_before_the_decision_vetoes_it_and_a_release_lets_the_next_one_through(make: Make, start: Start) -> None:
    world = make(RULES.replace("DELAY", "0s"), mode="enforce")
    process = start(world.run)
    hold(world)
    fire(world)
    assert states(world) == ["cancelled"]
    release(world)
    world.evaluation(400, GOOD)
    for step in (500, 600, 700):
        world.evaluation(step, LOW)
    go_until(world, lambda: states(world) == ["cancelled", "verified"])
    assert process.wait(60) == -15


def test_a_folder_that_is_away_cannot_be_known_to_be_free_so_nothing_is_signalled(make: Make, start: Start) -> None:
    world = make()
    process = start(world.run)
    order(world, save="wait")
    world.go()
    away = world.run.with_name("away")
    world.run.rename(away)
    world.pipeline.acting.advance(world.now)  # before the daemon has noticed that the run is gone
    assert states(world) == ["cancelled"]
    assert "is not there (unmounted?)" in proofs(world)
    assert process.poll() is None
    away.rename(world.run)


def test_a_rules_stop_that_was_cancelled_as_the_folder_was_away_is_planned_anew(make: Make, start: Start) -> None:
    world = make(RULES.replace("DELAY", "10m"), mode="enforce")
    process = start(world.run)
    fire(world)
    away = world.run.with_name("away")
    world.run.rename(away)
    world.pipeline.acting.advance(world.now)
    assert states(world) == ["cancelled"]
    away.rename(world.run)
    world.evaluation(400, LOW)
    assert states(world) == ["cancelled", "waiting"]
    assert process.poll() is None


def test_an_order_on_a_run_that_is_watched_no_more_is_cancelled(make: Make, start: Start) -> None:
    world = make()
    process = start(world.run)
    order(world, save="wait")
    world.go()
    reconfigure(world, "path: run", "path: other")
    assert states(world) == ["cancelled"]
    assert process.poll() is None


def test_what_a_person_has_stopped_is_not_reminded_of_and_is_protected_again_once_it_runs_again(
    make: Make, start: Start
) -> None:
    world = make(RULES.replace("DELAY", "10m"), mode="enforce")
    first = start(world.run)
    fire(world)
    hold(world)
    world.go(600)
    release(world)
    order(world)
    go_until(world, lambda: states(world) == ["cancelled", "verified"])
    first.wait(60)
    told = len(world.notices())
    world.go(5 * 3600)
    assert len(world.notices()) == told
    found = status(world.store, world.now)
    assert found["runs"][0]["rules"][0]["state"] == "firing"
    assert [need["kind"] for need in found["needs_you"] if need["run"]] == [], "all was done"
    world.now = max(world.now, time.time()) + 5
    start(world.run)
    world.evaluation(400, LOW)
    assert states(world) == ["cancelled", "verified", "waiting"]
    assert [need["kind"] for need in status(world.store, world.now)["needs_you"] if need["run"]] == ["firing"]
    assert world.decisions() == [(1, 300, "resolved"), (1, 400, "firing")]


def test_images_that_come_in_after_their_training_was_stopped_order_no_further_stop(make: Make, start: Start) -> None:
    """They are judged late; a second stop would find nobody, and cry that the run could not be stopped."""
    world = make(RULES.replace("DELAY", "0s"), mode="enforce")
    process = start(world.run)
    for step in (100, 200):
        world.evaluation(step, LOW)
    order(world)
    go_until(world, lambda: states(world) == ["verified"])
    process.wait(60)
    world.evaluation(300, LOW, age=world.now - process_end(world) + 60)
    assert world.decisions() == [(1, 300, "firing")]
    assert states(world) == ["verified"]


def process_end(world: World) -> float:
    with world.store.read() as db:
        (run,) = runs.all_runs(db)
        ended = actions.stopped_at(db, run.id, 0.0)
    assert ended is not None
    return ended


def test_a_stop_that_was_refused_for_the_budget_is_planned_anew_while_the_rule_fires(make: Make, start: Start) -> None:
    world = make(RULES.replace("DELAY", "0s"), mode="enforce", limits="stops_per_hour: 0")
    process = start(world.run)
    fire(world)
    assert states(world) == ["refused"]
    reconfigure(world, "stops_per_hour: 0", "stops_per_hour: 5")
    world.evaluation(400, LOW)
    go_until(world, lambda: states(world) == ["refused", "verified"])
    assert process.wait(60) == -15


def test_of_two_rules_that_stop_at_once_the_second_tries_too_where_the_first_has_failed(
    make: Make, start: Start
) -> None:
    both = RULES.replace("DELAY", "0s") + RULES.split("rules:\n")[1].replace("low", "lower").replace("DELAY", "0s")
    world = make(both, mode="enforce")
    fire(world)  # no process yet: the first one fails
    assert states(world) == ["failed"]
    process = start(world.run)
    world.now = max(world.now, time.time()) + 5
    world.evaluation(400, LOW)
    go_until(world, lambda: states(world) == ["failed", "verified"])
    assert process.wait(60) == -15
    with world.store.read() as db:
        (run,) = runs.all_runs(db)
        assert {row.rule for row in judgements.of_run(db, run.id)} == {"low", "lower"}


def test_a_hold_after_sigterm_takes_nothing_back_but_keeps_sigkill_away(make: Make, start: Start) -> None:
    world = make()
    command = ["sh", "-c", "trap '' TERM; echo up; exec sleep 300"]
    pidfile = world.folder / "pid"
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n"
            pidfile.write_text(str(process.pid))
            reconfigure(world, "path: run", f"path: run\n  control: [{{process: {{pidfile: {pidfile}}}}}]")
            order(world, kill=True)
            world.go()
            assert states(world) == ["acknowledged"]
            hold(world)
            world.go(60)
            assert states(world) == ["failed"]
            assert "held by ann" in proofs(world)
            assert process.poll() is None
        finally:
            process.kill()
