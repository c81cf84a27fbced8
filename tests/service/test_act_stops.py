"""Stopping real process trees: what is signalled, what is waited for, and when a stop counts as proved."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.service.daemons import wait_for
from tests.service.trees import Stop, Trees
from watcher.act import ProcessBackend

PLAIN = "up('trainer'); rest()"
DEAF = "deaf(); up('trainer'); rest()"
LEAVES_A_HELPER = (
    "def leave():\n"
    "    up('helper', subprocess.Popen(['sleep', '300']).pid); os._exit(0)\n"
    "on_term(leave); up('trainer'); rest()"
)


@pytest.fixture
def trees(tmp_path: Path) -> Iterator[Trees]:
    with Trees(tmp_path) as trees:
        yield trees


def test_a_plain_training_ends_by_sigterm_and_its_end_is_proved(trees: Trees) -> None:
    process = trees.train(PLAIN)
    pid = trees.pid("trainer")
    stop = Stop(trees.run)
    assert stop.until("verified")
    assert stop.seen == ["planned", "waiting", "rechecked", "attempting", "acknowledged", "verified"]
    assert process.wait(60) == -signal.SIGTERM
    assert f"all processes are gone after 0 s: {pid} (SIGTERM to {pid})" in stop.proof


def test_no_stop_is_verified_while_a_process_lives(trees: Trees) -> None:
    trees.train(DEAF)
    pid = trees.pid("trainer")
    stop = Stop(trees.run)
    stop.go("acknowledged")
    assert stop.step(59) == "acknowledged"
    assert stop.step(1) == "failed"
    assert f"still running after SIGTERM to {pid}: {pid} (" in stop.proof
    assert "kill: true" in stop.proof
    assert trees.lives("trainer")


def test_sigkill_follows_only_where_it_is_allowed_and_only_after_the_grace(trees: Trees) -> None:
    process = trees.train(DEAF)
    trees.pid("trainer")
    stop = Stop(trees.run, kill=True)
    stop.go("acknowledged")
    stop.step(59)
    assert trees.lives("trainer")
    stop.step(1)
    stop.until("verified")
    assert process.wait(60) == -signal.SIGKILL
    assert "SIGTERM to " in stop.proof
    assert "SIGKILL to " in stop.proof


def test_hold_keeps_a_training_that_is_still_ending_from_being_killed(trees: Trees) -> None:
    trees.train(DEAF)
    trees.pid("trainer")
    stop = Stop(trees.run, kill=True)
    stop.go("acknowledged")
    (trees.run / "HOLD").touch()
    assert stop.step(60) == "failed"
    assert "held" in stop.proof
    assert trees.lives("trainer")


def test_workers_and_grandchildren_go_with_it_in_whatever_session(trees: Trees) -> None:
    trees.train("child('worker'); child('apart', os.setsid, lambda: child('below')); up('trainer'); rest()")
    names = ("trainer", "worker", "apart", "below")
    pids = {trees.pid(name) for name in names}
    stop = Stop(trees.run)
    stop.until("verified")
    assert stop.pids == pids
    for name in names:
        assert not trees.lives(name)


def test_what_is_started_between_decision_and_signal_is_stopped_too(trees: Trees) -> None:
    trees.train("signal.signal(signal.SIGUSR1, lambda *_: child('late')); up('trainer'); rest()")
    stop = Stop(trees.run, delay=60.0)
    trees.pid("trainer")
    stop.go("waiting")
    psutil.Process(trees.pid("trainer")).send_signal(signal.SIGUSR1)
    late = trees.pid("late")
    stop.step(60)
    stop.until("verified")
    assert late in stop.pids
    assert not trees.lives("late")


def test_what_is_started_after_sigterm_is_stopped_too(trees: Trees) -> None:
    trees.train("on_term(lambda: child('late', lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL)))\n" + PLAIN)
    trees.pid("trainer")
    stop = Stop(trees.run, kill=True)
    stop.go("acknowledged")
    late = trees.pid("late")
    stop.step()
    assert f"SIGTERM to {late}" in "; ".join(stop.command.progress["sent"])
    trees.gone("late")
    stop.step(60)
    stop.until("verified")


def test_workers_that_are_replaced_as_fast_as_they_end_do_not_hold_up_the_end(trees: Trees) -> None:
    """One look signals once: however fast children come, the daemon's other work goes on, and the grace passes."""
    trees.train(
        "on_term(lambda: None); up('trainer')\n"
        "while True:\n"
        "    subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)']).wait()\n"
    )
    trainer = psutil.Process(trees.pid("trainer"))
    wait_for(trainer.children, "a worker runs")
    stop = Stop(trees.run, kill=True)
    stop.go("acknowledged")
    (first,) = {member["pid"] for member in stop.command.identity["members"]} - {trainer.pid}
    wait_for(lambda: [one for one in trainer.children() if one.pid != first], "another worker runs")
    stop.step()
    for _ in range(5):
        sent = len(stop.command.progress["sent"])
        stop.step()
        assert len(stop.command.progress["sent"]) == sent
    stop.step(60)
    stop.until("verified")
    assert not trees.lives("trainer")


def test_orphaned_workers_are_remembered_and_stopped(trees: Trees) -> None:
    """The launcher dies before the stop is due; what it had started goes on training."""
    launcher = trees.train("child('worker'); up('launcher'); rest()")
    trees.pid("launcher")
    worker = trees.pid("worker")
    stop = Stop(trees.run, delay=60.0)
    stop.go("waiting")
    launcher.kill()
    launcher.wait()
    assert trees.lives("worker")
    stop.step(60)
    stop.until("verified")
    assert worker in stop.pids
    assert not trees.lives("worker")


def test_workers_that_ignore_what_ended_their_launcher_are_named_as_alive(trees: Trees) -> None:
    launcher = trees.train("child('worker', deaf); up('launcher'); rest()")
    trees.pid("launcher")
    worker = trees.pid("worker")
    stop = Stop(trees.run)
    stop.go("acknowledged")
    assert launcher.wait(60) == -signal.SIGTERM
    assert stop.step(60) == "failed"
    assert f"{worker} (" in stop.proof


def test_a_zombie_has_ended(trees: Trees) -> None:
    """Nobody waits for the trainer here: its parent is this test."""
    process = trees.train(PLAIN)
    trees.pid("trainer")
    stop = Stop(trees.run)
    stop.until("verified")
    assert psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE


def test_a_zombie_whose_other_threads_run_has_not_ended(trees: Trees) -> None:
    """Its first thread is over, as `<defunct>` in ps says, but it still holds its memory and its GPU."""
    number = {"x86_64": 60, "aarch64": 93}.get(os.uname().machine)
    if number is None:
        pytest.skip("the number of the system call exit is not known for this machine")
    trees.train(
        "import ctypes, threading; threading.Thread(target=rest).start()\n"
        f"on_term(lambda: ctypes.CDLL(None).syscall({number}, 0)); up('trainer'); rest()"
    )
    process = psutil.Process(trees.pid("trainer"))
    stop = Stop(trees.run, kill=True)
    stop.go("acknowledged")
    wait_for(lambda: process.status() == psutil.STATUS_ZOMBIE, "its first thread is over")
    assert stop.step(1) == "acknowledged"
    stop.step(60)
    stop.until("verified")


def test_a_bystander_in_the_same_process_group_survives(trees: Trees) -> None:
    """A shell script that starts both, as `tensorboard & python train.py` does: one process group for all."""
    bystander = shlex.join(trees.command("up('bystander'); rest()"))
    trainer = shlex.join(trees.command(PLAIN, "--output_dir", str(trees.run)))
    script = trees.start(["sh", "-c", f"{bystander} & {trainer}; sleep 300"])
    pids = {trees.pid("trainer")}
    assert os.getpgid(trees.pid("bystander")) == os.getpgid(trees.pid("trainer")) == script.pid
    stop = Stop(trees.run, kill=True)
    stop.until("verified")
    assert stop.pids == pids
    assert trees.lives("bystander")
    assert script.poll() is None


def test_a_helper_that_escaped_the_tree_keeps_the_stop_from_being_called_proved(trees: Trees) -> None:
    """Started after SIGTERM by a parent that ended at once: it never was seen below the run, but in its group."""
    trees.train(LEAVES_A_HELPER)
    trees.pid("trainer")
    stop = Stop(trees.run)
    stop.go("acknowledged")
    helper = trees.pid("helper")
    trees.gone("trainer")
    assert stop.step() == "acknowledged"
    assert stop.step(60) == "failed"
    assert f"{helper} (" in stop.proof
    assert trees.lives("helper")


def test_a_helper_that_ends_in_time_does_not_spoil_the_proof(trees: Trees) -> None:
    trees.train(LEAVES_A_HELPER)
    trees.pid("trainer")
    stop = Stop(trees.run)
    stop.go("acknowledged")
    helper = psutil.Process(trees.pid("helper"))
    trees.gone("trainer")
    assert stop.step() == "acknowledged"
    helper.kill()
    stop.until("verified")


def test_a_training_that_is_not_python_is_stopped_by_its_pid_file(trees: Trees) -> None:
    pidfile = trees.folder / "train.pid"
    process = trees.start(["sh", "-c", f"echo $$ > {pidfile}; exec sleep 300"])
    wait_for(lambda: pidfile.exists() and pidfile.read_text(), "the pid file is written")
    stop = Stop(trees.run, ProcessBackend(pidfile=pidfile))
    stop.until("verified")
    assert process.wait(60) == -signal.SIGTERM
    assert stop.command.identity["tie"] == f"pid file {pidfile}"


def test_a_training_that_only_its_configuration_ties_is_stopped_by_match(trees: Trees) -> None:
    process = trees.script("train_flux.py", "--config", "a.toml")
    trees.pid("train_flux.py")
    stop = Stop(trees.run, ProcessBackend(match=r"train_flux\.py .*a\.toml"))
    stop.until("verified")
    assert process.wait(60) == -signal.SIGTERM


def test_a_training_is_found_by_the_files_that_it_writes(trees: Trees) -> None:
    process = trees.python(f"log = open({str(trees.run / 'log.txt')!r}, 'w'); {PLAIN}")
    trees.pid("trainer")
    stop = Stop(trees.run)
    stop.until("verified")
    assert stop.command.identity["tie"] == f"it writes {trees.run / 'log.txt'}"
    assert process.wait(60) == -signal.SIGTERM


@pytest.mark.parametrize(
    "form", ["--output_dir=run", "--output-dir=./run/", "output_dir=run", "-o=link", "--out=up/run"]
)
def test_a_training_is_found_by_any_path_to_the_folder(trees: Trees, form: str) -> None:
    (trees.folder / "link").symlink_to(trees.run)
    (trees.folder / "up").symlink_to(trees.folder)
    trees.python(PLAIN, form, cwd=trees.folder)
    trees.pid("trainer")
    assert Stop(trees.run).go("waiting")


def test_a_process_with_a_broken_name_is_not_overlooked(trees: Trees) -> None:
    """The kernel cuts names at 15 bytes, in the middle of a letter if need be."""
    trees.train("import ctypes; ctypes.CDLL(None).prctl(15, bytes([0xff, 0x29, 0x20, 0xd0])); up('trainer'); rest()")
    pid = trees.pid("trainer")
    stop = Stop(trees.run)
    stop.go("waiting")
    assert stop.pids == {pid}


def test_secrets_of_a_command_line_are_neither_stored_nor_shown(trees: Trees) -> None:
    trees.train(DEAF, "--hub_token", "hunter2", "--wandb-key=hunter2", "HF_TOKEN=hunter2")
    trees.pid("trainer")
    stop = Stop(trees.run)
    stop.go("acknowledged")
    stop.step(60)
    assert stop.state == "failed"
    assert "hunter2" not in str(stop.command)
    assert sys.executable in str(stop.command.identity)
