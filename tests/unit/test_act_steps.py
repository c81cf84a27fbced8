"""The steps before a signal: delay, re-check, waiting for a checkpoint; each can be vetoed, and each end says why."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.service.trees import Stop, restarted
from watcher import act
from watcher.act import Backend, Caller, Output, ProcessBackend
from watcher.act.identity import Identity
from watcher.clock import clock
from watcher.nouns import FINAL

Make = Callable[..., Stop]


@pytest.fixture
def training() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "300"]) as process:
        yield process
        process.kill()


@pytest.fixture
def make(tmp_path: Path, training: subprocess.Popen[bytes]) -> Make:
    (tmp_path / "run").mkdir()
    pidfile = tmp_path / "pid"
    pidfile.write_text(str(training.pid))

    def make(**args: Any) -> Stop:
        return Stop(tmp_path / "run", ProcessBackend(pidfile=pidfile), **args)

    return make


def reach(stop: Stop, state: str) -> Stop:
    """Take steps until a state, letting the delay pass."""
    while stop.state != state:
        stop.step(60 if stop.state == "waiting" else 0)
    return stop


def test_the_delay_passes_before_anything_is_done(make: Make, training: subprocess.Popen[bytes]) -> None:
    stop = make(delay=60.0)
    stop.go("waiting")
    assert stop.step(59) == "waiting"
    assert stop.step(1) == "rechecked"
    assert training.poll() is None


@pytest.mark.parametrize("state", ["waiting", "rechecked", "saving", "attempting"])
def test_hold_vetoes_at_every_step_before_the_signal(make: Make, training: subprocess.Popen[bytes], state: str) -> None:
    stop = make(delay=60.0, save="wait" if state == "saving" else "no")
    reach(stop, state)
    (stop.run / "HOLD").touch()
    assert stop.step() == "cancelled"
    assert "HOLD exists" in stop.proof
    assert training.poll() is None


@pytest.mark.parametrize("state", ["waiting", "rechecked", "saving", "attempting"])
def test_a_persons_veto_is_asked_for_at_every_step_before_the_signal(
    make: Make, training: subprocess.Popen[bytes], state: str
) -> None:
    stop = reach(make(delay=60.0, save="wait" if state == "saving" else "no"), state)
    stop.held = "held by ann at noon: demo"
    assert stop.step() == "cancelled"
    assert stop.proof == "held by ann at noon: demo"
    assert training.poll() is None


@pytest.mark.parametrize("state", ["waiting", "rechecked", "saving", "attempting"])
def test_where_the_folder_is_away_nobody_knows_of_a_hold_and_nothing_is_done(
    make: Make, training: subprocess.Popen[bytes], state: str
) -> None:
    stop = reach(make(delay=60.0, save="wait" if state == "saving" else "no"), state)
    stop.run.rename(stop.run.with_name("away"))
    assert stop.step() == "cancelled"
    assert "is not there (unmounted?)" in stop.proof
    assert stop.command.progress["withdrawn"]
    assert training.poll() is None


def test_while_it_waits_it_says_for_what_until_when_and_what_a_stop_would_cost_now(make: Make) -> None:
    stop = make(delay=60.0, save="wait", wait=3600.0)
    stop.checkpoints, stop.newest = [(100, "checkpoint-100", 0.0)], 140
    reach(stop, "waiting")
    assert stop.proof == f"until {clock(stop.command.created_at + 60)} it can be vetoed"
    reach(stop, "saving")
    assert f"next checkpoint, until {clock(stop.now + 3600)} at the latest; without one it is stopped" in stop.proof
    assert "checkpoint-100 (step 100) would survive; steps 101 to 140 would be lost" in stop.proof


def test_the_proof_names_the_steps_that_are_lost_for_people_and_for_programs(make: Make) -> None:
    stop = make()
    stop.checkpoints, stop.newest = [(100, "checkpoint-100", 0.0)], 140
    stop.until("verified")
    assert "Last checkpoint: checkpoint-100 (step 100); steps 101 to 140 are lost" in stop.proof
    assert stop.command.progress["kept"] == {
        "checkpoint": "checkpoint-100",
        "checkpoint_step": 100,
        "lost_steps": 40,
    }


def test_a_hold_that_is_a_broken_link_is_a_hold(make: Make) -> None:
    stop = make()
    (stop.run / "HOLD").symlink_to("nowhere")
    assert stop.go("cancelled")


def test_a_hold_that_cannot_be_looked_for_lets_nothing_be_done(
    make: Make, training: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    stop = reach(make(), "attempting")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    stop.run = tmp_path / "loop"
    with pytest.raises(OSError, match="loop"):
        stop.step()
    assert training.poll() is None


@pytest.mark.parametrize("state", ["rechecked", "saving"])
def test_a_decision_that_no_longer_holds_is_cancelled(
    make: Make, training: subprocess.Popen[bytes], state: str
) -> None:
    stop = reach(make(save="wait"), state)
    stop.no_longer = "rule low no longer fires"
    assert stop.step() == "cancelled"
    assert stop.proof == "rule low no longer fires"
    assert training.poll() is None


def test_only_a_checkpoint_newer_than_the_decision_counts(make: Make) -> None:
    stop = make(save="required")
    stop.checkpoints = [(100, "checkpoint-100", stop.now - 1)]
    reach(stop, "saving")
    assert stop.step(30) == "saving"
    stop.checkpoints.append((200, "checkpoint-200", stop.now))
    stop.until("verified")
    assert "Last checkpoint: checkpoint-200 (step 200)" in stop.proof


def test_without_a_required_checkpoint_there_is_no_stop(make: Make, training: subprocess.Popen[bytes]) -> None:
    stop = reach(make(save="required", wait=100.0, kill=True), "saving")
    assert stop.step(99) == "saving"
    assert stop.step(1) == "failed"
    assert "it goes on" in stop.proof
    assert training.poll() is None


def test_without_a_checkpoint_that_was_only_waited_for_it_says_what_is_lost(make: Make) -> None:
    stop = reach(make(save="wait", wait=100.0), "saving")
    stop.checkpoints = [(100, "checkpoint-100", 0.0)]
    assert stop.step(99) == "saving"
    stop.step(1)
    stop.until("verified")
    assert (
        "There was no new checkpoint within 1.67 min. Last checkpoint: checkpoint-100 (step 100); later steps"
        in stop.proof
    )


def test_a_training_that_ends_while_its_checkpoint_is_awaited_is_not_waited_for(
    make: Make, training: subprocess.Popen[bytes]
) -> None:
    stop = reach(make(save="wait", wait=100.0), "saving")
    training.kill()
    training.wait()
    assert stop.step() == "cancelled"


def test_in_observe_mode_it_says_who_would_have_been_stopped(make: Make, training: subprocess.Popen[bytes]) -> None:
    stop = make(mode="observe")
    assert stop.go("refused")
    assert stop.proof == f"observe mode: would have stopped pid {training.pid} (sleep 300)"
    assert training.poll() is None


@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_stop_that_has_ended_stays_as_it_is(make: Make, training: subprocess.Popen[bytes], state: Any) -> None:
    stop = make()
    stop.command = replace(stop.command, state=state)
    assert stop.peek() == stop.command
    assert training.poll() is None


def test_a_step_that_was_not_stored_is_taken_again_without_harm(make: Make, training: subprocess.Popen[bytes]) -> None:
    stop = make()
    while stop.state not in FINAL:
        stop.peek()
        if stop.state == "attempting":
            training.wait(60)
        stop.until(*FINAL) if stop.state == "acknowledged" else stop.step()
    assert stop.state == "verified"


def test_after_a_restart_of_the_machine_the_end_is_proved_and_elsewhere_it_is_not(make: Make) -> None:
    stop = reach(make(), "acknowledged")
    signalled = stop.command
    stop.changed(boot_id="an earlier one")
    assert stop.step() == "verified"
    assert "was started anew" in stop.proof
    for other in ({"host": "elsewhere"}, {"namespace": "pid:[1]"}):
        stop.command = signalled
        stop.changed(**other)
        assert stop.step() == "failed"
        assert "cannot be verified from here" in stop.proof


def test_a_backend_that_cannot_stop_fails_and_says_so(make: Make) -> None:
    class Other(Backend):
        """Does nothing."""

        name = "other"

    stop = make()
    done = act.step(stop.command, Output(stop.run), [Other()], stop.now, Caller(checkpoints=list))
    assert (done.state, done.proof) == ("failed", "cannot stop through `other`")


def test_an_identity_comes_back_from_the_store_as_it_was(make: Make) -> None:
    stop = reach(make(), "waiting")
    identity = Identity.from_json(stop.command.identity)
    assert Identity.from_json(restarted(stop.command).identity) == identity
    assert identity.is_here
    assert len(identity.roots) == 1
