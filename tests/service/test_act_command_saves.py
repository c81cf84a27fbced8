"""Checkpoints by programs of the user's, alone and before a stop: proved by what is there."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.service.daemons import wait_for
from tests.service.test_act_command import ENDS, Programs, accepted, backend, making, until
from tests.service.trees import Stop, Trees
from watcher.act import CommandBackend, ProcessBackend, Rate
from watcher.nouns import FINAL


@pytest.fixture
def trees(tmp_path: Path) -> Iterator[Trees]:
    with Trees(tmp_path) as trees:
        trees.train("up('trainer'); rest()")
        trees.pid("trainer")
        yield trees


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    yield from making(tmp_path / "programs")


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


def test_a_run_that_ended_before_it_could_save_is_no_stop_with_a_checkpoint(programs: Programs, trees: Trees) -> None:
    act = Stop(trees.run, backend(programs, checkpoint="", stop=ENDS), save="required")
    act.go("attempting")
    act.step()
    os.kill(trees.pid("trainer"), signal.SIGKILL)
    trees.gone("trainer")
    wait_for(lambda: act.step(2) == "failed", "it has failed")
    assert "without a new checkpoint" in act.proof


@pytest.mark.parametrize("kind", ["checkpoint", "stop", "scale_lr"])
def test_killed_at_every_transition_it_comes_to_its_end(programs: Programs, trees: Trees, kind: Any) -> None:
    """Each step is taken, lost with the daemon that took it, and taken by the next one, which knows of nothing."""
    how = {"scale_lr": {"factor": 0.5}, "stop": {"save": "required", "wait": 3600.0, "grace": 3600.0}}.get(kind, {})
    act = Stop(trees.run, backend(programs, checkpoint="", stop=ENDS, lr=""), kind=kind, **how)
    act.rates = [Rate(100, 1e-4, act.now - 60)]

    def ends() -> bool:
        if programs.told("checkpoint"):
            act.checkpoints = [(100, "checkpoint-100", act.now)]
        if programs.told("scale_lr"):
            act.rates = [*act.rates[:1], Rate(120, 0.5e-4, act.now)]
        act.command = replace(act.command, id=act.command.id + 1)
        act.peek()
        act.command = replace(act.command, id=act.command.id + 1)
        return act.step(2) in FINAL

    wait_for(ends, "its end")
    if kind == "scale_lr":  # what may have been run is not run once more, even if it was not
        assert "not run twice" in act.proof
        assert len(programs.told("scale_lr")) <= 1
    else:
        assert act.state == "verified", act.proof
    assert trees.lives("trainer") == (kind != "stop")


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


def test_a_hold_between_the_two_keeps_it_training(programs: Programs, trees: Trees) -> None:
    act = Stop(trees.run, backend(programs, checkpoint="", stop=ENDS), save="wait", wait=3600.0)
    accepted(act)
    act.checkpoints = [(100, "checkpoint-100", act.now + 1)]
    assert act.step(2) == "attempting"
    act.held = "held by ann"
    assert act.step() == "cancelled"
    assert trees.lives("trainer")
    assert not programs.told("stop")


def test_a_program_that_does_not_stop_it_has_failed_though_it_has_saved(programs: Programs, trees: Trees) -> None:
    act = Stop(trees.run, backend(programs, checkpoint="", stop="sys.exit(4)"), save="wait", wait=3600.0, grace=3600.0)
    accepted(act)
    act.checkpoints = [(100, "checkpoint-100", act.now + 1)]
    wait_for(lambda: act.step(2) == "failed", "it has failed")
    assert "ended with status 4" in act.proof
    assert trees.lives("trainer")


def test_a_stop_at_once_saves_nothing(programs: Programs, trees: Trees) -> None:
    act = Stop(trees.run, backend(programs, checkpoint="", stop=ENDS), save="no", grace=3600.0)
    until(act, "verified")
    assert not programs.told("checkpoint")


def test_what_has_no_program_goes_through_the_next_backend(programs: Programs, trees: Trees) -> None:
    act = Stop(trees.run, backend(programs, checkpoint=""), then=[ProcessBackend()], save="no")
    act.until("verified")
    assert "SIGTERM" in act.proof


def test_no_program_at_all_is_no_backend() -> None:
    with pytest.raises(ValueError, match="give at least one of `stop`, `checkpoint` and `lr`"):
        CommandBackend()
