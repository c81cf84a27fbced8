"""Acting through the hook: real trainings under `watcher exec`, and a proof for everything that is said."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controlled import Launched, until
from tests.service.hooks import carried, order
from tests.service.trees import Stop, is_living
from watcher.act import CommandBackend, ExecBackend, ProcessBackend, Rate, under_control
from watcher.act.launched import LaunchIdentity
from watcher.control import protocol
from watcher.control.lease import Lease
from watcher.view.history import controlled


@pytest.fixture
def training(tmp_path: Path) -> Iterator[Launched]:
    with Launched(tmp_path) as started:
        started.begin()
        yield started


def commands(training: Launched) -> list[str]:
    return sorted(os.listdir(training.control / "commands"))


def test_a_rate_is_lowered_and_what_the_training_then_uses_is_the_proof(training: Launched) -> None:
    act = carried(order(training, "scale_lr", factor=0.5), training)
    assert act.state == "verified", act.proof
    assert act.seen == ["planned", "waiting", "rechecked", "attempting", "acknowledged", "verified"]
    assert "the learning rate went from 0.1, 0.02 to 0.05, 0.01 after the hook's step" in act.proof
    assert "logs no learning rate" in act.proof
    lr = act.command.progress["lr"]
    assert (lr["before"], lr["after"], lr["scalar"]) == ([0.1, 0.02], [0.05, 0.01], None)
    training.go(1)
    assert training.used[lr["step"] - 1] == pytest.approx([0.1, 0.02])
    assert training.used[lr["step"]] == training.used[-1] == pytest.approx([0.05, 0.01])


def test_a_rate_is_set_and_the_ratio_of_the_groups_stays(training: Launched) -> None:
    act = carried(order(training, "set_lr", to=0.01), training)
    assert act.state == "verified", act.proof
    assert act.command.progress["lr"]["after"] == pytest.approx([0.01, 0.002])


def test_a_rate_is_not_made_lower_than_the_least_that_is_allowed(training: Launched) -> None:
    act = carried(order(training, "scale_lr", factor=0.1, min=0.01), training)
    assert act.command.progress["lr"]["after"] == pytest.approx([0.05, 0.01])
    again = carried(order(training, "scale_lr", factor=0.1, min=0.01), training)
    assert again.state == "cancelled"
    assert "must not be made lower than 0.01" in again.proof


def awaits_its_log(act: Stop, training: Launched) -> None:
    """Go on until the rate has held and only the trainer's own log is waited for."""

    def waits() -> bool:
        training.go(1)
        act.step()
        return "has not logged it yet" in act.proof

    until(waits, "the wait for its log")


def test_the_trainers_own_numbers_are_waited_for_and_have_to_show_it(training: Launched) -> None:
    act = order(training, "scale_lr", factor=0.5)
    act.rates = [Rate(1, 0.1, time.time() - 60)]
    carried(act, training, "acknowledged")
    awaits_its_log(act, training)
    assert act.state == "acknowledged"
    logged = Rate(50, 0.05, time.time() + 1)
    act.rates.append(logged)
    assert act.step() == "verified"
    assert act.command.progress["lr"]["scalar"] == {"step": 50, "value": 0.05}
    assert "the trainer logs 0.05 at step 50" in act.proof


def test_what_the_trainer_has_logged_before_it_was_acknowledged_counts_from_the_change_on(training: Launched) -> None:
    act = order(training, "scale_lr", factor=0.5)
    act.rates = [Rate(1, 0.1, time.time() - 60)]
    carried(act, training, "acknowledged")
    awaits_its_log(act, training)
    details = training.ack(act.command.progress["order"])["details"]
    act.rates.append(Rate(details["changed_after_step"] + 1, 0.05, details["changed_at"] + 1e-3))
    assert act.step() == "verified"


def test_a_trainer_that_still_logs_the_old_rate_contradicts_the_hook(training: Launched) -> None:
    act = order(training, "scale_lr", factor=0.5)
    act.rates = [Rate(1, 0.1, time.time() - 60), Rate(50, 0.1, time.time() + 60)]
    carried(act, training, "acknowledged")
    awaits_its_log(act, training)
    act.then = [CommandBackend(lr=("/nowhere/lower",))]
    assert act.step(601) == "failed"  # and nobody makes the same change once more
    assert "the trainer logs 0.1 at step 50 still" in act.proof


@pytest.mark.parametrize("state", ["waiting", "rechecked", "attempting"])
def test_hold_vetoes_before_the_command_is_given(training: Launched, state: str) -> None:
    act = order(training, "scale_lr", factor=0.5)
    act.go(state)
    (training.run / "HOLD").touch()
    assert act.step() == "cancelled"
    assert not (training.control / "commands").exists() or not commands(training)


def test_hold_takes_a_command_back_that_no_step_has_begun(training: Launched) -> None:
    act = order(training, "scale_lr", factor=0.5)
    act.go("acknowledged")
    until(lambda: training.ack(act.command.progress["order"]), "word")
    (training.run / "HOLD").touch()
    until(lambda: act.step() == "cancelled", "the veto")
    assert "HOLD exists; the hook says that it is cancelled" in act.proof
    training.go(3)
    assert training.used[-1] == [0.1, 0.02]


def test_what_no_step_begins_is_taken_back_before_the_next_backend_is_tried(training: Launched) -> None:
    pidfile = training.run.parent / "pid"
    pidfile.write_text(str(training.trainer))
    act = order(training, "stop", ProcessBackend(pidfile=pidfile), grace=60.0)
    act.go("acknowledged")
    assert act.step(61) == "acknowledged"
    assert "taken back" in act.proof
    until(lambda: act.step() == "rechecked", "the next backend")
    assert "exec failed: the training made no optimizer step within 1 min" in act.proof
    act.until("verified")
    assert not is_living(training.trainer)
    assert "Before that exec had failed" in act.proof
    assert [protocol.read_json(str(training.control / "commands" / name))["kind"] for name in commands(training)] == [
        "stop",
        "cancel",
    ]


def test_a_daemon_killed_right_after_the_command_does_not_give_it_twice(training: Launched) -> None:
    act = order(training, "scale_lr", factor=0.5)
    act.go("attempting")
    act.peek()
    training.go(2)
    carried(act, training)
    assert act.state == "verified"
    assert commands(training) == ["1.json"]
    training.go(1)
    assert training.used[-1] == pytest.approx([0.05, 0.01])


def test_killed_at_every_transition_it_goes_on_and_is_done_once(training: Launched) -> None:
    act = order(training, "scale_lr", factor=0.5)
    while act.state not in ("verified", "failed"):
        act.peek()
        training.go(1)
        act.step()
        time.sleep(0.05)
    assert act.state == "verified", act.proof
    assert commands(training) == ["1.json"]
    training.go(1)
    assert training.used[-1] == pytest.approx([0.05, 0.01])


def test_a_relaunch_is_not_reached_by_an_old_decision(tmp_path: Path) -> None:
    with Launched(tmp_path) as first:
        first.go(2)
        until(lambda: protocol.read_json(str(first.control / protocol.HEARTBEAT)), "heartbeat")
        act = order(first, "scale_lr", factor=0.5)
        act.go("rechecked")
    with Launched(tmp_path) as second:
        second.go(2)
        until(lambda: LaunchIdentity.from_json(act.command.identity).now() is None, "the new launch")
        until(
            lambda: (protocol.read_json(str(second.control / protocol.CLAIM)) or {})["launch_id"] == second.launch, ""
        )
        assert act.step() == "refused"
        assert "the run was relaunched" in act.proof
        assert not (second.control / "commands" / "1.json").exists()
        young = Stop(second.run, ExecBackend(), kind="scale_lr", factor=0.5, evidence_at=time.time() - 600)
        assert young.step() == "refused"
        assert "a relaunch" in young.proof


def test_a_training_that_ended_by_itself_is_left_alone(tmp_path: Path) -> None:
    with Launched(tmp_path) as training:
        training.go(2)
        until(lambda: protocol.read_json(str(training.control / protocol.HEARTBEAT)), "heartbeat")
        before = order(training, "scale_lr", factor=0.5)
        before.go("rechecked")
        after = order(training, "scale_lr", factor=0.5)
        after.go("acknowledged")
    assert before.step() == "cancelled"
    assert after.until("cancelled", "failed")
    assert "ended before" in after.proof


def test_a_run_that_was_not_launched_under_control_says_how_it_would_be(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    act = Stop(tmp_path / "run", ExecBackend(), kind="scale_lr", factor=0.5)
    assert act.step() == "failed"
    assert "was not launched by `watcher exec -- COMMAND`" in act.proof
    other = Stop(tmp_path / "run", ProcessBackend(), kind="scale_lr", factor=0.5)
    assert other.step() == "failed"
    assert (
        "cannot lower the learning rate through `process`; a training that is started by `watcher exec" in other.proof
    )


def test_before_its_first_step_nobody_reads_commands(tmp_path: Path) -> None:
    with Launched(tmp_path) as training:
        act = order(training, "scale_lr", factor=0.5)
        assert act.step() == "failed"
        assert "none has stepped an optimizer yet" in act.proof


def test_in_observe_mode_it_says_what_it_would_have_done(training: Launched) -> None:
    act = order(training, "scale_lr", factor=0.5, mode="observe")
    assert act.step() == "refused"
    assert act.proof.startswith("observe mode: would have lowered the learning rate of process")


def test_who_has_no_lease_does_nothing(training: Launched) -> None:
    other = Lease(str(training.control), "watcher", "/elsewhere")
    other.mine["host"] = "elsewhere"
    other.take()
    act = order(training, "scale_lr", factor=0.5)
    while act.state not in ("refused", "acknowledged"):
        act.step()
    assert act.state == "refused"
    assert "on elsewhere over /elsewhere) acts for it; nothing was done here" in act.proof
    assert not commands(training)


def test_a_run_under_control_is_shown_as_such(training: Launched, tmp_path: Path) -> None:
    found = under_control(training.run)
    assert found is not None
    assert (found["launch"], found["state"]) == (training.launch, "claimed")
    assert controlled(found).startswith(f"under control (launch {training.launch}, step ")
    assert controlled(found).endswith("learning rate 0.1, 0.02)")
    assert under_control(tmp_path / "another") is None
    training.end()
    ended = under_control(training.run)
    assert ended is not None
    assert controlled(ended).startswith("not armed: launch")
