"""Who must never be signalled: a changed identity, a relaunch, a bystander, anything that is not surely the run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.service.daemons import wait_for
from tests.service.trees import PRELUDE, Stop, Trees
from watcher.act import ProcessBackend
from watcher.act.identity import Identity, Member
from watcher.act.signals import send

PLAIN = "up('trainer'); rest()"


@pytest.fixture
def trees(tmp_path: Path) -> Iterator[Trees]:
    with Trees(tmp_path) as trees:
        yield trees


def waiting(trees: Trees, backend: ProcessBackend | None = None) -> Stop:
    """Give a stop of a plain training that waits for its delay."""
    trees.train(PLAIN)
    trees.pid("trainer")
    stop = Stop(trees.run, backend, delay=60.0)
    stop.go("waiting")
    return stop


def due(stop: Stop) -> str:
    """Let the delay pass, and give what becomes of the stop."""
    stop.step(60)
    return stop.go("refused", "cancelled", "failed", "acknowledged")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"host": "elsewhere"}, "another host"),
        ({"boot_id": "another"}, "another host, boot"),
        ({"namespace": "pid:[1]"}, "pid namespace"),
        ({"uid": 4711}, "user"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_a_pid_of_another_world_is_never_signalled(trees: Trees, changed: dict[str, object], why: str) -> None:
    stop = waiting(trees)
    stop.changed(**changed)
    assert due(stop) == "refused"
    assert why in stop.proof
    assert trees.lives("trainer")


@pytest.mark.parametrize("state", ["waiting", "attempting"])
def test_a_pid_that_was_reused_is_never_signalled(trees: Trees, state: str) -> None:
    """The same pid with another start time is another process, up to the last moment."""
    stop = waiting(trees)
    if state == "attempting":
        stop.step(60)
        stop.go("attempting")
    (member,) = stop.command.identity["members"]
    stop.changed(members=[{**member, "start": member["start"] - 1}])
    assert due(stop) == "refused"
    assert "is another process now; nothing was signalled" in stop.proof
    assert trees.lives("trainer")


def test_a_reused_pid_among_the_children_is_left_alone(trees: Trees) -> None:
    stop = waiting(trees)
    trees.python("up('stranger'); rest()")
    stranger = {**stop.command.identity["members"][0], "pid": trees.pid("stranger"), "root": False}
    stop.changed(members=[*stop.command.identity["members"], stranger])
    stop.step(60)
    stop.until("verified")
    assert trees.lives("stranger")


def test_a_pid_that_is_reused_after_the_last_look_is_not_signalled(trees: Trees) -> None:
    """Who a pid is, is read again while the kernel holds the process for us."""
    stop = waiting(trees)
    (member,) = Identity.from_json(stop.command.identity).members
    before = replace(member, start=member.start - 1)
    assert send([before], signal.SIGKILL) == f"SIGKILL to nobody, not to {member.pid} (had ended)"
    assert trees.lives("trainer")


def test_a_relaunch_into_the_same_folder_is_not_stopped_by_the_old_decision(trees: Trees) -> None:
    stop = waiting(trees)
    os.kill(trees.pid("trainer"), signal.SIGKILL)
    trees.gone("trainer")
    trees.train("up('again'); rest()")
    trees.pid("again")
    assert due(stop) == "refused"
    assert "relaunched" in stop.proof
    assert trees.lives("again")


def test_a_second_training_in_the_folder_makes_it_ambiguous(trees: Trees) -> None:
    stop = waiting(trees)
    trees.train("up('again'); rest()")
    assert f"{trees.pid('again')} (" in (due(stop) and stop.proof)
    assert stop.state == "refused"
    assert trees.lives("trainer")
    assert trees.lives("again")


def test_a_relaunch_after_the_signal_is_reported_and_not_signalled(trees: Trees) -> None:
    trees.train(PLAIN)
    trees.pid("trainer")
    stop = Stop(trees.run, kill=True)
    stop.go("acknowledged")
    trees.gone("trainer")
    trees.train("up('again'); rest()")
    again = trees.pid("again")
    stop.step()
    assert stop.step(60) == "failed"
    assert f"{again} (" in stop.proof
    assert "not signalled" in stop.proof
    assert trees.lives("again")


def test_one_process_that_has_gone_on_to_the_next_run_is_not_stopped_for_the_last(trees: Trees) -> None:
    """A sweep: the same pid, the same start, but it writes somewhere else by now."""
    first = trees.run / "events"
    go_on = "signal.signal(signal.SIGUSR1, lambda *_: file.close() or up('next'))"
    trees.python(f"file = open({str(first)!r}, 'w'); {go_on}; {PLAIN}")
    trees.pid("trainer")
    stop = Stop(trees.run, delay=60.0)
    stop.go("waiting")
    os.kill(trees.pid("trainer"), signal.SIGUSR1)
    trees.pid("next")
    assert due(stop) == "refused"
    assert "nothing ties pid" in stop.proof
    assert trees.lives("trainer")


def test_a_process_that_ends_by_itself_is_told_as_that(trees: Trees) -> None:
    stop = waiting(trees)
    os.kill(trees.pid("trainer"), signal.SIGKILL)
    trees.gone("trainer")
    assert due(stop) == "cancelled"
    assert "ended by itself" in stop.proof


def test_a_process_that_ends_between_the_last_look_and_the_signal_is_no_fault(trees: Trees) -> None:
    stop = waiting(trees)
    stop.step(60)
    stop.go("attempting")
    os.kill(trees.pid("trainer"), signal.SIGKILL)
    trees.gone("trainer")
    stop.until("verified")
    assert "all had ended" in stop.proof


def test_a_process_younger_than_the_images_did_not_make_them(trees: Trees) -> None:
    trees.train(PLAIN)
    trees.pid("trainer")
    stop = Stop(trees.run, evidence_at=time.time() - 600)
    assert stop.go("refused")
    assert "a relaunch" in stop.proof
    assert trees.lives("trainer")


def test_a_launcher_that_is_old_does_not_make_its_new_training_old(trees: Trees) -> None:
    """A shell that starts one training after another, known by its pid file."""
    pidfile = trees.folder / "train.pid"
    script = f"echo $$ > {pidfile}; read line; {sys.executable} {trees.folder}/next.py; true"
    shell = trees.start(["sh", "-c", script], stdin=subprocess.PIPE)
    wait_for(lambda: pidfile.exists() and pidfile.read_text(), "the pid file is written")
    while time.time() - psutil.Process(shell.pid).create_time() < 3:  # start times are exact to a second
        time.sleep(0.1)
    images_at = time.time() - 1.5
    (trees.folder / "next.py").write_text(f"{PRELUDE}\nup('next'); rest()\n")
    assert shell.stdin is not None
    with shell.stdin:
        shell.stdin.write(b"go\n")
    trees.pid("next")
    stop = Stop(trees.run, ProcessBackend(pidfile=pidfile), evidence_at=images_at - 1)
    assert stop.go("refused")
    assert "a relaunch" in stop.proof
    assert trees.lives("next")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a program as another user")
@pytest.mark.parametrize("who", ["the training", "its child"])
def test_another_users_process_is_never_signalled(trees: Trees, who: str) -> None:
    drop = "up('child'); os.setuid(65534); rest()"
    trees.train(f"up('trainer'); {drop}" if who == "the training" else f"if os.fork() == 0:\n    {drop}\n{PLAIN}")
    child = trees.pid("child")
    trees.pid("trainer")
    wait_for(lambda: psutil.Process(child).uids().effective == 65534, "it is another user's")
    stop = Stop(trees.run)
    assert stop.go("refused")
    assert f"process {child} belongs to user 65534" in stop.proof
    assert trees.lives("trainer")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a pid namespace")
def test_a_training_in_a_container_is_refused(trees: Trees) -> None:
    trees.start(
        [
            "unshare",
            "--pid",
            "--fork",
            "--kill-child",
            *trees.command("up('trainer'); rest()", "--output_dir", str(trees.run)),
        ]
    )
    trees.pid("trainer")
    stop = Stop(trees.run)
    assert stop.go("refused")
    assert "another pid namespace" in stop.proof


def test_a_signal_that_is_not_permitted_is_told_and_the_stop_fails(trees: Trees) -> None:
    """The machine runs as nobody here: it may look at the training, and not signal it."""
    if os.geteuid() != 0:
        pytest.skip("only root can give up a right")
    trees.train(PLAIN)
    pid = trees.pid("trainer")
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        os.setuid(65534)
        start = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
        os.write(write, send([Member(pid, start, "training")], signal.SIGTERM).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read) as answer:
        assert answer.read() == f"SIGTERM to nobody, not to {pid} (belongs to user 0 now)"
    assert trees.lives("trainer")
