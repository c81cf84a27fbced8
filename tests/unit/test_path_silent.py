"""Rules for silence: by the clock on the wall, for trainings that hang, and not for those that have ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.worlds import KEYS, World
from watcher.act import Identity, NoProcessError
from watcher.errors import ActError

RULES = "version: 1\nrules: [{name: quiet, when: {silent: 2h}, severity: critical}]"
HOUR = 3600.0


class Processes:
    """Stands in for the system's processes: what a look for the run's gives."""

    def __init__(self) -> None:
        self.found: Callable[[], Any] = lambda: Identity
        self.looks = 0

    def __call__(self, _run: object, _now: float, _known: Mapping[int, object]) -> Any:
        self.looks += 1
        return self.found()


def fails(error: Exception) -> Callable[[], Any]:
    def found() -> Any:
        raise error

    return found


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, RULES)
    world.go()
    yield world
    world.end()


@pytest.fixture
def processes(world: World) -> Processes:
    found = Processes()
    world.pipeline.silence._find = found
    return found


def pass_time(world: World, seconds: float) -> None:
    """Let time pass for a daemon that is awake all the time."""
    while seconds > 0:
        world.now += min(300.0, seconds)
        seconds -= 300.0
        world.tick()
    world.tick()


def kinds(world: World) -> list[str]:
    return [kind for kind, _ in world.notices()]


def test_a_training_that_hangs_is_told_of_once_and_again_when_it_goes_on(world: World, processes: Processes) -> None:
    world.evaluation(500, 0.3)
    pass_time(world, 1.9 * HOUR)
    assert world.decisions() == []
    pass_time(world, 0.2 * HOUR)
    assert world.decisions() == [(1, 500, "firing")]
    assert world.rule("quiet")["reason"] == "nothing was written for 2.07 h (2 h are allowed)"
    pass_time(world, 0.5 * HOUR)
    world.restart()
    world.pipeline.silence._find = processes
    pass_time(world, 0.5 * HOUR)
    assert kinds(world) == ["alert"]
    world.evaluation(1000, 0.3)
    pass_time(world, 60)
    assert world.decisions() == [(1, 500, "resolved")]
    assert kinds(world) == ["alert", "resolved"]


def test_a_clock_that_is_set_back_hides_nothing_until_it_has_caught_up(world: World, processes: Processes) -> None:
    world.evaluation(500, 0.3)
    pass_time(world, 2.1 * HOUR)
    assert world.decisions() == [(1, 500, "firing")]
    world.now -= 5 * HOUR
    world.evaluation(1000, 0.3)
    assert world.decisions() == [(1, 500, "resolved")]


def test_a_training_that_has_ended_is_not_silent(world: World, processes: Processes) -> None:
    world.evaluation(500, 0.3)
    pass_time(world, 60)
    processes.found = fails(NoProcessError("there is none"))
    pass_time(world, 3 * HOUR)
    looks = processes.looks
    for _ in range(5):
        pass_time(world, 60)
    assert world.decisions() == []
    assert processes.looks == looks  # it is known by now


def test_one_that_hung_and_was_then_ended_is_resolved(world: World, processes: Processes) -> None:
    world.evaluation(500, 0.3)
    pass_time(world, 60)
    pass_time(world, 3 * HOUR)
    assert world.decisions() == [(1, 500, "firing")]
    processes.found = fails(NoProcessError("there is none"))
    pass_time(world, 60)
    assert world.decisions() == [(1, 500, "resolved")]


@pytest.mark.parametrize("error", [NoProcessError("there is none"), ActError("it is another user's")])
def test_where_the_processes_were_never_seen_silence_is_told_of(
    world: World, processes: Processes, error: Exception
) -> None:
    processes.found = fails(error)
    world.evaluation(500, 0.3)
    pass_time(world, 3 * HOUR)
    assert world.decisions() == [(1, 500, "firing")]


def test_what_was_silent_long_ago_does_not_begin_to_be(world: World, processes: Processes) -> None:
    world.evaluation(500, 0.3)
    world.end()
    world.now += 30 * HOUR
    world.start()
    world.pipeline.silence._find = processes
    processes.found = fails(NoProcessError("there is none"))
    world.go()
    assert world.decisions() == []


def test_a_run_that_wrote_nothing_yet_is_not_silent(world: World) -> None:
    pass_time(world, 5 * HOUR)
    assert world.decisions() == []


@pytest.mark.parametrize("is_down", [True, False])
def test_what_was_written_while_the_daemon_was_down_or_paused_is_taken_in_before_a_run_is_called_silent(
    world: World, processes: Processes, is_down: bool
) -> None:
    world.evaluation(500, 0.3)
    pass_time(world, 60)
    if is_down:
        world.end()
    world.now += 3 * HOUR
    world.put(1000, dict.fromkeys(KEYS, 0.3), age=0.1)
    if is_down:
        world.start()
        world.pipeline.silence._find = processes
    world.go()
    pass_time(world, 300)
    assert world.decisions() == []
    pass_time(world, 2.1 * HOUR)
    assert world.decisions() == [(1, 1000, "firing")]
