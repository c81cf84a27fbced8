"""From a decision to a stop: it waits for what is known, is re-checked, kept within budgets, and never latched."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.trainings import Start
from tests.worlds import KEYS, World

RULES = """
version: 1
rules:
  - name: low
    when: clip/mean < 0.22
    for: 3 evaluations
    then: {stop: {save: "no", delay: DELAY}}
"""
LOW, GOOD = 0.19, 0.30


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def make(delay: str = "0s", mode: str = "enforce", clear: int = 1) -> World:
        world = World(
            tmp_path,
            RULES.replace("DELAY", delay).replace("    then:", f"    clear: {clear} evaluations\n    then:"),
            mode=mode,
        )
        world.now += 5  # a process and what it writes are told apart to a second
        made.append(world)
        world.go()
        return world

    yield make
    for world in made:
        world.end()


def go_until(world: World, done: Callable[[], bool]) -> None:
    """Carry on in real time until processes, which live in it, have followed."""
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline, world.actions()
        world.go()
        time.sleep(0.05)


def states(world: World) -> list[str]:
    return [state for state, _ in world.actions()]


def test_a_hopeless_run_is_stopped_and_its_end_is_proved(make: Callable[..., World], start: Start) -> None:
    world = make()
    process = start(world.run)
    for step in (100, 200, 300):
        assert states(world) == []
        world.evaluation(step, LOW)
    go_until(world, lambda: states(world) == ["verified"])
    assert process.wait(60) == -15
    assert str(process.pid) in world.actions()[0][1]


def test_what_is_only_observed_is_never_signalled(make: Callable[..., World], start: Start) -> None:
    world = make(mode="observe")
    process = start(world.run)
    for step in (100, 200, 300):
        world.evaluation(step, LOW)
    assert states(world) == ["refused"]
    assert "would have stopped" in world.actions()[0][1]
    assert process.poll() is None


def test_a_past_that_the_run_has_left_behind_stops_nothing(make: Callable[..., World], start: Start) -> None:
    """The daemon was down while three evaluations were low and the next three were good again."""
    world = make()
    process = start(world.run)
    world.end()
    for step, mean in ((100, LOW), (200, LOW), (300, LOW), (400, GOOD), (500, GOOD), (600, GOOD)):
        world.now += 60
        world.put(step, dict.fromkeys(KEYS, mean))
    world.start()
    world.go(2)
    world.go()
    assert world.decisions() == [(1, 300, "resolved")]
    assert states(world) == ["cancelled"]
    assert process.poll() is None


def test_a_decision_that_no_longer_holds_after_its_delay_is_cancelled(make: Callable[..., World], start: Start) -> None:
    world = make(delay="10m")
    process = start(world.run)
    for step in (100, 200, 300):
        world.evaluation(step, LOW)
    assert states(world) == ["waiting"]
    world.evaluation(400, GOOD)
    world.go(600)
    assert states(world) == ["cancelled"]
    assert "no longer fires" in world.actions()[0][1]
    assert process.poll() is None


def test_a_rule_that_was_false_last_stops_nothing_though_it_still_fires_until_it_orders_that_anew(
    make: Callable[..., World], start: Start
) -> None:
    world = make(delay="10m", clear=3)
    process = start(world.run)
    for step in (100, 200, 300):
        world.evaluation(step, LOW)
    assert states(world) == ["waiting"]
    world.evaluation(400, GOOD)
    assert states(world) == ["cancelled"]
    assert "rule low was false at the last evaluation" in world.actions()[0][1]
    world.go(700)
    assert process.poll() is None
    world.evaluation(500, LOW)
    assert states(world) == ["cancelled", "waiting"]
    world.go(700)
    go_until(world, lambda: states(world) == ["cancelled", "verified"])


def test_a_rule_that_was_changed_and_fires_again_does_not_carry_out_what_it_had_decided_before(
    make: Callable[..., World], start: Start
) -> None:
    world = make(delay="10m")
    process = start(world.run)
    for step in (100, 200, 300):
        world.evaluation(step, LOW)
    rules = world.folder / "rules.yaml"
    rules.write_text(rules.read_text().replace("0.22", "0.21"))
    for _ in range(3):
        world.go(6)
    world.evaluation(400, LOW)
    assert world.decisions() == [(1, 300, "resolved"), (1, 400, "firing")]
    world.go(600)
    assert states(world) == ["cancelled"]
    assert "the rule was changed" in world.actions()[0][1]
    assert process.poll() is None
    world.evaluation(500, LOW)
    assert states(world) == ["cancelled", "waiting"]  # by the new rule, with its whole delay


def test_a_decision_waits_across_a_restart_and_then_acts_once(make: Callable[..., World], start: Start) -> None:
    world = make(delay="10m")
    process = start(world.run)
    for step in (100, 200, 300):
        world.evaluation(step, LOW)
    world.restart()
    world.go(300)
    assert states(world) == ["waiting"]
    world.go(300)
    go_until(world, lambda: states(world) == ["verified"])
    assert process.wait(60) == -15


def reconfigure(world: World, old: str, new: str) -> None:
    """Start a new daemon with a changed configuration."""
    config = world.folder / "watcher.yaml"
    assert old in config.read_text()
    config.write_text(config.read_text().replace(old, new))
    world.restart()  # as every new daemon, without what was still on its way to the one before
    world.go()


@pytest.mark.parametrize(
    ("old", "new"), [("mode: enforce", "mode: observe"), ("path: run", "path: other")], ids=["observed", "not watched"]
)
def test_a_stop_that_waits_is_cancelled_once_it_is_no_longer_allowed(
    make: Callable[..., World], start: Start, old: str, new: str
) -> None:
    world = make(delay="10m")
    process = start(world.run)
    for step in (100, 200, 300):
        world.evaluation(step, LOW)
    assert states(world) == ["waiting"]
    reconfigure(world, old, new)
    world.go(600)
    assert states(world) == ["cancelled"]
    assert process.poll() is None


def test_what_was_only_observed_is_stopped_by_the_next_low_evaluation_once_that_is_allowed(
    make: Callable[..., World], start: Start
) -> None:
    world = make(mode="observe")
    process = start(world.run)
    for step in (100, 200, 300):
        world.evaluation(step, LOW)
    reconfigure(world, "mode: observe", "mode: enforce")
    assert states(world) == ["refused"]
    world.evaluation(400, LOW)
    go_until(world, lambda: states(world) == ["refused", "verified"])
    assert process.wait(60) == -15


def test_waiting_for_a_veto_does_not_keep_a_single_pass_from_ending(make: Callable[..., World], start: Start) -> None:
    world = make(delay="10m")
    start(world.run)
    for step in (100, 200, 300):
        world.evaluation(step, LOW)
    assert states(world) == ["waiting"]
    world.go()
    assert world.pipeline.finished(world.now) == 0


def test_a_run_that_was_stopped_and_started_again_is_protected_again(make: Callable[..., World], start: Start) -> None:
    world = make()
    start(world.run)
    for step in (100, 200, 300):
        world.evaluation(step, LOW)
    go_until(world, lambda: states(world) == ["verified"])
    world.now = max(world.now, time.time()) + 5
    again = start(world.run)
    world.evaluation(400, LOW)
    go_until(world, lambda: states(world) == ["verified", "verified"])
    assert again.wait(60) == -15
    assert world.decisions() == [(1, 300, "resolved"), (1, 400, "firing")]


def test_stops_beyond_the_budget_are_refused_and_say_so(tmp_path: Path, start: Start) -> None:
    world = World(tmp_path, RULES.replace("DELAY", "0s"), mode="enforce")
    world.end()
    config = tmp_path / "watcher.yaml"
    config.write_text(config.read_text() + "limits: {stops_per_hour: 0}\n")
    world.start()
    world.now += 5
    world.go()
    process = start(world.run)
    for step in (100, 200, 300):
        world.evaluation(step, LOW)
    assert states(world) == ["refused"]
    assert "limits.stops_per_hour" in world.actions()[0][1]
    assert process.poll() is None
    world.end()
