"""Lower rates by programs of the user's: proved by what the trainer logs, and never made twice."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest

from tests.service.daemons import wait_for
from tests.service.test_act_command import ENDS, Programs, accepted, backend
from tests.service.test_act_command_saves import programs, trees
from tests.service.trees import Stop, Trees
from watcher.act import CommandBackend, Rate

__all__ = ["programs", "trees"]


def test_what_could_not_be_stored_is_not_run_again(programs: Programs, trees: Trees) -> None:
    act = Stop(trees.run, backend(programs, lr=""), kind="scale_lr", factor=0.5)
    act.rates = [Rate(100, 1e-4, act.now - 60)]
    act.go("attempting")
    act.step()
    for _ in range(3):  # it is run, and each time what comes of that cannot be stored
        assert act.peek().state == "acknowledged"
    accepted(act)
    assert len(programs.told("scale_lr")) == 1


def test_a_daemon_killed_when_it_lowered_the_rate_does_not_lower_it_twice(programs: Programs, trees: Trees) -> None:
    act = Stop(trees.run, backend(programs, lr=""), kind="scale_lr", factor=0.5)
    act.rates = [Rate(100, 1e-4, act.now - 60)]
    act.go("attempting")
    act.step()
    assert act.peek().state == "acknowledged"
    act.command = replace(act.command, id=2)  # of what the next daemon has not started it knows nothing
    act.step(1)
    wait_for(lambda: programs.told("scale_lr"), "the program has run")
    act.rates.append(Rate(120, 0.5e-4, act.now + 1))
    assert act.step(2) == "verified"
    assert "which is not run twice" in act.proof
    assert len(programs.told("scale_lr")) == 1


def test_a_status_that_is_slow_once_keeps_no_program_from_being_run(programs: Programs, trees: Trees) -> None:
    made = backend(programs, lr="", status="print('running'); time.sleep(60 * (home / 'slow').exists())")
    act = Stop(trees.run, made, kind="scale_lr", factor=0.5)
    act.rates = [Rate(100, 1e-4, act.now - 60)]
    act.go("attempting")
    act.step()
    (programs.folder / "slow").touch()
    act.step()
    assert "did not answer" in act.proof
    (programs.folder / "slow").unlink()
    act.step(1)
    accepted(act)
    assert len(programs.told("scale_lr")) == 1


def test_a_rate_that_may_have_been_lowered_is_not_lowered_by_another_backend(programs: Programs, trees: Trees) -> None:
    first, second = backend(programs, lr="sys.exit(3)"), CommandBackend(lr=("/nowhere/lower",))
    act = Stop(trees.run, first, kind="scale_lr", then=[second], factor=0.5)
    act.rates = [Rate(100, 1e-4, act.now - 60)]
    act.go("acknowledged")
    wait_for(lambda: act.step() == "failed", "it has failed")
    assert "ended with status 3" in act.proof
    assert "/nowhere/lower" not in act.proof


def test_a_training_that_ended_before_its_rate_was_lowered_is_no_fault(programs: Programs, trees: Trees) -> None:
    act = Stop(trees.run, backend(programs, lr=""), kind="scale_lr", factor=0.5)
    act.rates = [Rate(100, 1e-4, act.now - 60)]
    act.go("attempting")
    act.step()
    os.kill(trees.pid("trainer"), signal.SIGKILL)
    trees.gone("trainer")
    assert act.step() == "cancelled"


def test_the_rate_is_proved_by_what_the_trainer_logs(programs: Programs, trees: Trees) -> None:
    act = Stop(trees.run, backend(programs, lr=""), kind="scale_lr", factor=0.5, min=1e-6)
    act.rates = [Rate(100, 1e-4, act.now - 60)]
    accepted(act)
    ((_, told, _, _),) = programs.told("scale_lr")
    assert (told["factor"], told["min"]) == (0.5, 1e-6)
    act.rates.append(Rate(110, 0.99e-4, act.now + 1))
    assert act.step(2) == "acknowledged"
    act.rates.append(Rate(120, 0.49e-4, act.now + 2))
    assert act.step(2) == "verified"
    assert "the trainer logs 4.9e-05 at step 120, 0.0001 before" in act.proof
    assert act.command.progress["lr"]["scalar"] == {"step": 120, "value": 0.49e-4}


def test_a_training_that_ends_before_it_logs_the_rate_is_not_waited_for(programs: Programs, trees: Trees) -> None:
    act = Stop(trees.run, backend(programs, lr=ENDS), kind="scale_lr", factor=0.5)
    act.rates = [Rate(100, 1e-4, act.now - 60)]
    accepted(act)
    trees.gone("trainer")
    assert act.step(2) == "acknowledged"  # what it has logged until then is read first
    assert act.step(61) == "cancelled"
    assert "ended before it logged a lower rate" in act.proof


def test_a_trainer_that_logs_the_old_rate_still_contradicts_it(programs: Programs, trees: Trees) -> None:
    act = Stop(trees.run, backend(programs, lr=""), kind="set_lr", to=1e-5)
    act.rates = [Rate(100, 1e-4, act.now - 60)]
    accepted(act)
    assert programs.told("set_lr")[0][1]["to"] == 1e-5
    act.rates.append(Rate(110, 1e-4, act.now + 1))
    assert act.step(601) == "failed"
    assert "still logs 0.0001" in act.proof


@pytest.mark.parametrize(
    ("rates", "state", "words"),
    [
        ([], "failed", "the trainer logs no learning rate"),
        ([1e-5], "cancelled", "nothing is left to lower: the trainer logs 1e-05"),
    ],
)
def test_what_cannot_be_proved_or_would_raise_is_not_begun(
    programs: Programs, trees: Trees, rates: list[float], state: str, words: str
) -> None:
    act = Stop(trees.run, backend(programs, lr=""), kind="set_lr", to=1e-4)
    act.rates = [Rate(100, value, act.now - 60) for value in rates]
    act.go(state)
    assert words in act.proof
    assert not programs.told("set_lr")
