"""The hook obeys once, its own launch and user only, and says what it did; a failure never reaches the trainer."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from tests.controlled import LAUNCH, Trained, site, until
from watcher.control import protocol

NOBODY = 65534


def test_set_lr_keeps_the_ratios_and_never_raises_a_rate(tmp_path: Path) -> None:
    with Trained(tmp_path) as training:
        training.go(2)
        ack = training.step_until(training.send("set_lr", to=0.025))
        assert (ack["state"], ack["details"]["lr_after"]) == ("applied", pytest.approx([0.025, 0.005]))
        raised = training.step_until(training.send("set_lr", to=0.026))
        assert raised["state"] == "refused"
        assert "would not lower it" in raised["details"]["error"]
        training.go(1)
    assert training.used[-1] == pytest.approx([0.025, 0.005], rel=1e-9)


def test_a_loop_that_writes_its_own_rate_is_reported_and_left_as_it_was(tmp_path: Path) -> None:
    with Trained(tmp_path, own=True) as training:
        training.go(2)
        ack = training.step_until(training.send("scale_lr", factor=0.5))
        assert ack["state"] == "failed"
        assert "writes its own rate" in ack["details"]["error"]
        assert training.ask(
            "do", "[sorted(k for k in g if 'watcher' in k) for g in training.optimizer.param_groups]"
        ) == [
            [],
            [],
        ]
    assert not (tmp_path / "control" / protocol.RATES).exists()


def test_applied_is_not_said_before_two_further_steps(tmp_path: Path) -> None:
    with Trained(tmp_path) as training:
        training.go(2)
        number = training.send("scale_lr", factor=0.5)
        training.step_until(number, "prepared")
        training.go(1)
        assert training.ack(number)["state"] == "prepared"
        training.go(1)
        ack = training.waits(number)
        assert (ack["state"], ack["step"]) == ("applied", ack["details"]["changed_after_step"] + 2)


def test_a_command_that_was_acknowledged_before_is_not_obeyed_again(tmp_path: Path) -> None:
    with Trained(tmp_path) as training:
        (training.control / "acks").mkdir(mode=0o700)
        done = training.send("scale_lr", factor=0.1)
        protocol.write_json(str(training.control / "acks" / f"{done}-0.json"), {"id": done, "state": "prepared"})
        training.go(2)
        assert training.step_until(training.send("scale_lr", factor=0.5))["state"] == "applied"
        training.go(1)
    assert training.used[-1] == pytest.approx([0.05, 0.01])


def test_commands_of_another_launch_are_ignored_and_none_is_obeyed_twice(tmp_path: Path) -> None:
    with Trained(tmp_path) as training:
        training.go(2)
        other = training.send("scale_lr", launch="launch-0", factor=0.5)
        mine = training.send("scale_lr", factor=0.5)
        training.step_until(mine)
        assert training.ack(other) is None
        training.go(5)
    with Trained(tmp_path, launch=LAUNCH + "b") as again:
        again.go(1)
        number = again.send("scale_lr", factor=0.5)
        again.step_until(number)
    assert training.used[-1] == pytest.approx([0.05, 0.01])
    assert again.used[0] == [0.1, 0.02]  # it begins anew, at its own rate
    assert (again.ack(mine)["launch_id"], again.ack(number)["launch_id"]) == (LAUNCH, LAUNCH + "b")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_command_of_another_user_is_refused_and_reported(tmp_path: Path) -> None:
    with Trained(tmp_path) as training:
        (training.control / "commands").mkdir(mode=0o700)
        told = {"version": 1, "id": 1, "launch_id": LAUNCH, "kind": "stop", "args": {}, "expires_after_seconds": 60}
        (tmp_path / "1.json").write_text(json.dumps(told))
        os.chown(tmp_path / "1.json", NOBODY, NOBODY)
        (tmp_path / "1.json").rename(training.control / "commands" / "1.json")
        training.go(1)
        ack = training.step_until(1)
        assert ack["state"] == "refused"
        assert "is not obeyed" in ack["details"]["error"]
        training.go(3)
    assert "command 1 refused" in training.log()


def test_what_is_no_command_is_refused_with_what_would_be(tmp_path: Path) -> None:
    with Trained(tmp_path) as training:
        training.go(1)
        faults = {
            training.send("scale_lr", factor=1.5): "between 0 and 1",
            training.send("scale_lr"): "factor of scale_lr is None",
            training.send("set_lr", to=True): "a number above 0",
            training.send("checkpoint", where="/etc"): "there can be none",
            training.send("stop", status=256): "exit status",
            training.send("cancel", id=99): "is not waiting",
        }
        for number, fault in faults.items():
            ack = training.waits(number)
            assert ack["state"] == "refused"
            assert fault in ack["details"]["error"]


def test_without_a_step_a_command_expires_by_the_hooks_own_clock(tmp_path: Path) -> None:
    with Trained(tmp_path) as training:
        training.go(1)
        ack = training.waits(training.send("scale_lr", factor=0.5, expires=0))
        assert ack["state"] == "refused"
        assert "no optimizer step" in ack["details"]["error"]
        training.go(3)
    assert training.used[-1] == [0.1, 0.02]


def test_a_waiting_command_can_be_cancelled(tmp_path: Path) -> None:
    with Trained(tmp_path) as training:
        training.go(1)
        number = training.send("stop")
        training.waits(number, "received")
        assert training.waits(training.send("cancel", id=number))["state"] == "applied"
        assert training.waits(number)["state"] == "cancelled"
        training.go(3)
        assert training.end()[0] == 0


def test_a_checkpoint_holds_what_stepped(tmp_path: Path) -> None:
    with Trained(tmp_path, scheduler="cosine") as training:
        training.go(2)
        ack = training.step_until(training.send("checkpoint"))
        assert ack["state"] == "applied"
        assert "outside of where the trainer's own `latest` looks" in ack["details"]["note"]
        weight = training.ask("do", "training.model[0].weight.tolist()")
        (folder,) = (training.control / "checkpoints").iterdir()
    assert str(folder) == ack["details"]["checkpoint"]
    state = torch.load(folder / "state.pt", weights_only=True)
    (model,), (optimizer,), (scheduler,) = state["models"], state["optimizers"], state["schedulers"]
    assert set(model["state_dict"]) == {"0.weight", "0.bias", "1.weight", "1.bias"}
    assert len(weight) == 4
    assert len(optimizer["state_dict"]["state"]) == 4
    assert scheduler["class"].endswith("CosineAnnealingLR")
    assert [path.stat().st_mode & 0o077 for path in (folder, folder / "state.pt")] == [0, 0]


@pytest.mark.parametrize(("args", "status"), [({}, 75), ({"status": 3, "checkpoint": True}, 3)])
def test_a_stop_ends_the_training_at_a_step_with_its_own_status(
    args: dict[str, int], status: int, tmp_path: Path
) -> None:
    with Trained(tmp_path) as training:
        training.go(1)
        number = training.send("stop", **args)
        with pytest.raises(EOFError):
            training.step_until(number)
        assert training.end()[0] == status
    ack = training.ack(number)
    assert (ack["state"], ack["details"]["status"]) == ("applied", status)
    assert ("checkpoint" in ack["details"]) == bool(args)
    assert protocol.read_json(str(training.control / protocol.HEARTBEAT))["state"] == "ended"


def test_a_training_that_catches_the_exit_is_reported(tmp_path: Path) -> None:
    with Trained(tmp_path, stubborn=True) as training:
        training.go(1)
        ack = training.step_until(training.send("stop"))
        assert ack["state"] == "failed"
        assert "was told to end, and goes on" in ack["details"]["error"]


def test_a_second_training_of_the_launch_stays_inert_and_says_so(tmp_path: Path) -> None:
    with Trained(tmp_path) as first, Trained(tmp_path) as second:
        first.go(1)
        second.go(1)
        assert f"inert: the run is claimed by process {first.process.pid}" in until(second.log, "hook.log")
        ack = first.step_until(first.send("scale_lr", factor=0.5))
        assert ack["state"] == "applied"
        second.go(3)
        first.go(1)
    assert (first.used[-1], second.used[-1]) == ([0.05, 0.01], [0.1, 0.02])


def test_a_heartbeat_tells_liveness_and_the_last_step_apart(tmp_path: Path) -> None:
    place = str(tmp_path / "control" / protocol.HEARTBEAT)
    with Trained(tmp_path) as training:
        training.go(2)
        first = until(lambda: protocol.read_json(place), "heartbeat")
        later = until(
            lambda: (one := protocol.read_json(place)) and one["clock"] > first["clock"] and one, "second one"
        )
    assert later["clock"] - first["clock"] >= 10
    assert later["seconds_since_step"] >= 10
    assert (later["pid"], later["learning_rates"], later["step"]) == (training.process.pid, [0.1, 0.02], 2)


def test_a_folder_that_others_may_write_arms_nothing(tmp_path: Path) -> None:
    with Trained(tmp_path) as training:
        training.control.chmod(0o777)
        training.go(3)
        assert "can be written by others" in until(training.log, "hook.log")
    assert not (training.control / protocol.HEARTBEAT).exists()


def test_files_that_would_stall_a_reader_stall_no_step(tmp_path: Path) -> None:
    with Trained(tmp_path) as training:
        (training.control / "commands").mkdir(mode=0o700)
        os.mkfifo(training.control / "commands" / "1.json")
        os.mkfifo(training.control / protocol.HOOK_LOG)
        training.go(20)
        assert training.step_until(1)["state"] == "refused"
        assert training.step_until(training.send("scale_lr", factor=0.5))["state"] == "applied"
    assert training.process.returncode == 0


def test_a_hook_that_cannot_be_loaded_yet_holds_no_step_up_and_is_there_later(tmp_path: Path) -> None:
    late, gate = site(tmp_path) / "_control_copy" / "hook.py", tmp_path / "gate"
    os.mkfifo(gate)  # who opens it for reading waits, as on a file system that does not answer
    late.write_text(late.read_text().replace("import atexit\n", f"import atexit\nopen({str(gate)!r}).read()\n"))
    with Trained(tmp_path) as training:
        training.go(20)
        assert not (training.control / protocol.HEARTBEAT).exists()
        gate.write_text("")
        until(lambda: training.go(1) or (training.control / protocol.HEARTBEAT).exists(), "hook")
        assert training.step_until(training.send("scale_lr", factor=0.5))["state"] == "applied"
    assert training.used[-1] == pytest.approx([0.05, 0.01])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("[g.update(capturable=True) for g in training.optimizer.param_groups]", "CUDA graph"),
        ("setattr(type(training.optimizer), '__module__', 'deepspeed.ops.adam') or 1", "DeepSpeed"),
    ],
)
def test_what_is_not_verified_is_refused_with_the_reason(change: str, reason: str, tmp_path: Path) -> None:
    with Trained(tmp_path) as training:
        training.go(1)
        training.ask("do", change)
        ack = training.step_until(training.send("scale_lr", factor=0.5))
        assert ack["state"] == "refused"
        assert reason in ack["details"]["error"]
        training.go(1)
    assert training.used[-1] == [0.1, 0.02]


def test_a_claim_that_fails_once_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "control").mkdir(mode=0o700)
    (tmp_path / "control" / "claims").write_text("in the way")
    with Trained(tmp_path) as training, ThreadPoolExecutor(1) as pool:
        stepping = pool.submit(training.go, 1)
        until(lambda: "begin: " in training.log(), "trouble")
        (tmp_path / "control" / "claims").unlink()
        stepping.result()
        assert training.step_until(training.send("scale_lr", factor=0.5))["state"] == "applied"
