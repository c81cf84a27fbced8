"""Checkpoints and lower rates by programs of the user's: proved by what is there and what the trainer logs."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.service.daemons import wait_for
from tests.service.test_act_command import ENDS, Programs, until
from tests.service.trees import Stop, Trees
from watcher.act import CommandBackend, ProcessBackend, Rate


@pytest.fixture
def trees(tmp_path: Path) -> Iterator[Trees]:
    with Trees(tmp_path) as trees:
        trees.train("up('trainer'); rest()")
        trees.pid("trainer")
        yield trees


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    (tmp_path / "programs").mkdir()
    return Programs(tmp_path / "programs")


def backend(programs: Programs, **what: str) -> CommandBackend:
    """Give programs by what they do."""
    for name, program in what.items():
        programs.write(f"{name}.py", program)
    return CommandBackend.model_validate({name: [sys.executable, str(programs.folder / f"{name}.py")] for name in what})


def accepted(act: Stop) -> None:
    """Go on until the program has ended."""
    act.go("acknowledged")
    wait_for(lambda: act.step() and act.command.progress.get("accepted"), "it has exited with 0")


def test_a_checkpoint_is_proved_by_the_checkpoint(programs: Programs, trees: Trees) -> None:
    act = Stop(trees.run, backend(programs, checkpoint=""), kind="checkpoint")
    accepted(act)
    assert act.step(2) == "acknowledged"
    act.checkpoints = [(90, "checkpoint-90", act.now - 3600), (100, "checkpoint-100", act.now)]
    assert act.step(2) == "verified"
    assert "saved checkpoint-100 (step 100)" in act.proof
    ((_, told, _, _),) = programs.told("checkpoint")
    assert told.keys() == {"run", "path", "stream", "action", "reason", "pids", "launch"}
    assert trees.lives("trainer")


def test_without_one_it_has_failed(programs: Programs, trees: Trees) -> None:
    act = Stop(trees.run, backend(programs, checkpoint=""), kind="checkpoint")
    accepted(act)
    act.checkpoints = [(90, "checkpoint-90", act.now - 3600)]
    assert act.step(1790) == "acknowledged"
    assert act.step(20) == "failed"
    assert "no new checkpoint within 30 min" in act.proof


def test_a_training_that_ends_meanwhile_is_not_waited_for(programs: Programs, trees: Trees) -> None:
    act = Stop(trees.run, backend(programs, checkpoint=ENDS), kind="checkpoint")
    accepted(act)
    trees.gone("trainer")
    assert act.step(2) == "cancelled"
    assert "ended before it had saved" in act.proof


def test_a_stop_saves_first_and_then_stops(programs: Programs, trees: Trees) -> None:
    act = Stop(trees.run, backend(programs, checkpoint="", stop=ENDS), save="required", wait=3600.0, grace=3600.0)
    accepted(act)
    assert (len(programs.told("checkpoint")), len(programs.told("stop"))) == (1, 0)
    assert act.step(2) == "acknowledged"
    act.checkpoints = [(100, "checkpoint-100", act.now)]
    assert act.step(2) == "attempting"
    until(act, "verified")
    assert (len(programs.told("checkpoint")), len(programs.told("stop"))) == (1, 1)
    assert "all processes are gone" in act.proof


@pytest.mark.parametrize(("save", "state"), [("wait", "attempting"), ("required", "failed")])
def test_without_the_checkpoint_it_stops_only_if_it_may(
    programs: Programs, trees: Trees, save: str, state: str
) -> None:
    act = Stop(trees.run, backend(programs, checkpoint="", stop=ENDS), save=save, wait=60.0, grace=3600.0)
    accepted(act)
    assert act.step(61) == state
    assert "no new checkpoint within 1 min" in act.proof
    assert trees.lives("trainer")
    if save == "wait":
        until(act, "verified")
        assert "There was no new checkpoint within 1 min" in act.proof


def test_a_rule_that_no_longer_fires_between_the_two_keeps_it_training(programs: Programs, trees: Trees) -> None:
    act = Stop(trees.run, backend(programs, checkpoint="", stop=ENDS), save="wait", wait=3600.0)
    accepted(act)
    act.checkpoints = [(100, "checkpoint-100", act.now + 1)]
    act.no_longer = "rule low no longer fires"
    assert act.step(2) == "attempting"
    assert act.step() == "cancelled"
    assert not programs.told("stop")


def test_a_program_that_cannot_save_keeps_no_stop_from_it_that_may_go_without(programs: Programs, trees: Trees) -> None:
    act = Stop(trees.run, backend(programs, checkpoint="sys.exit('full')", stop=ENDS), save="wait", grace=3600.0)
    until(act, "verified")
    assert "ended with status 1: full" in act.proof
    assert len(programs.told("stop")) == 1


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


def test_a_rate_that_may_have_been_lowered_is_not_lowered_by_another_backend(programs: Programs, trees: Trees) -> None:
    first, second = backend(programs, lr="sys.exit(3)"), CommandBackend(lr=("/nowhere/lower",))
    act = Stop(trees.run, first, kind="scale_lr", then=[second], factor=0.5)
    act.rates = [Rate(100, 1e-4, act.now - 60)]
    act.go("acknowledged")
    wait_for(lambda: act.step() == "failed", "it has failed")
    assert "ended with status 3" in act.proof
    assert "/nowhere/lower" not in act.proof


def test_a_program_that_was_taken_out_meanwhile_is_missed(programs: Programs, trees: Trees) -> None:
    act = Stop(trees.run, backend(programs, checkpoint="", stop=ENDS), kind="checkpoint")
    act.go("attempting")
    act.backend = backend(programs, stop=ENDS)
    assert act.step() == "refused"
    assert "has no program for checkpoint any more" in act.proof


def test_a_program_that_was_taken_out_once_it_was_noted_is_missed_too(programs: Programs, trees: Trees) -> None:
    act = Stop(trees.run, backend(programs, checkpoint="", stop=ENDS), save="wait")
    act.go("attempting")
    act.step()
    act.backend = backend(programs, stop=ENDS)
    assert act.step() == "refused"
    assert "has no program for checkpoint any more" in act.proof
    assert trees.lives("trainer")


def test_a_training_that_ended_before_its_rate_was_lowered_is_no_fault(programs: Programs, trees: Trees) -> None:
    act = Stop(trees.run, backend(programs, lr=""), kind="scale_lr", factor=0.5)
    act.rates = [Rate(100, 1e-4, act.now - 60)]
    act.go("attempting")
    act.step()
    os.kill(trees.pid("trainer"), signal.SIGKILL)
    trees.gone("trainer")
    assert act.step() == "cancelled"


def test_a_hold_between_the_two_keeps_it_training(programs: Programs, trees: Trees) -> None:
    act = Stop(trees.run, backend(programs, checkpoint="", stop=ENDS), save="wait", wait=3600.0)
    accepted(act)
    act.checkpoints = [(100, "checkpoint-100", act.now + 1)]
    assert act.step(2) == "attempting"
    act.held = "held by ann"
    assert act.step() == "cancelled"
    assert trees.lives("trainer")
    assert not programs.told("stop")


def test_a_stop_at_once_saves_nothing(programs: Programs, trees: Trees) -> None:
    act = Stop(trees.run, backend(programs, checkpoint="", stop=ENDS), save="no", grace=3600.0)
    until(act, "verified")
    assert not programs.told("checkpoint")


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
    assert act.step(2) == "cancelled"
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


def test_what_has_no_program_goes_through_the_next_backend(programs: Programs, trees: Trees) -> None:
    act = Stop(trees.run, backend(programs, checkpoint=""), then=[ProcessBackend()], save="no")
    act.until("verified")
    assert "SIGTERM" in act.proof


def test_no_program_at_all_is_no_backend() -> None:
    with pytest.raises(ValueError, match="give at least one of `stop`, `checkpoint` and `lr`"):
        CommandBackend()
