"""The daemon as a process: ready in time, ended in order, alone with its state, and back after `kill -9`."""

from __future__ import annotations

import json
import os
import pty
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import alone
from tests.service.daemons import Daemon, Ears, Place, lives, wait_for

BEFORE = range(100, 1100, 100)  # fewer images than are read in one slice
"""Steps whose images are there before the daemon: their first look takes it much longer than one query."""


def test_it_is_ready_only_when_all_that_was_there_has_been_taken_in(tmp_path: Path) -> None:
    place = Place(tmp_path)
    images = [path for step in BEFORE for path in place.write(step)]
    for path in images:
        os.utime(path, (0, path.stat().st_mtime - 60))  # they need no quiet time
    with place.daemon() as daemon:
        while "READY=1" not in daemon.ears.heard():
            assert daemon.poll() is None, daemon.log()
        assert place.query("SELECT count(*) FROM samples") == [(len(images),)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(number: signal.Signals, tmp_path: Path) -> None:
    place = Place(tmp_path)
    with place.daemon() as daemon:
        daemon.wait_ready()
        assert json.loads(place.fact("daemon"))["state"] == "running"
        assert daemon.end(number) == 0
        assert not list(place.state.glob("watcher.db-*"))  # the store was closed: nothing is left in its log
        assert daemon.ears.heard()[-1] == "STOPPING=1"
        assert f"stopping: {number.name}" in daemon.log()
        assert json.loads(place.fact("daemon"))["state"] == "stopped"


def test_a_scorer_in_the_midst_of_its_work_ends_with_it(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with place.daemon() as daemon:
        daemon.wait_ready()
        place.write(100)
        scorer = daemon.wait_scorer()
        scorer.suspend()
        assert daemon.end() == 0
        wait_for(lambda: not lives(scorer), "the scorer is gone")


def test_told_to_it_reads_its_rules_again_and_goes_on(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("version: 1\nrules: [{name: low, when: clip/mean < 0.2}]")
    place = Place(tmp_path, rules=["rules.yaml"])
    with place.daemon() as daemon:
        daemon.wait_ready()
        rules.write_text("version: 1\nrules: [{name: lower, when: clip/mean < 0.1}]")
        daemon.process.send_signal(signal.SIGHUP)
        wait_for(daemon.said("rules were read again: lower"), "they are read", daemon)
        rules.write_text("version: 1\nrules: [{name: lower, when: clip/mean < 10}]")
        daemon.process.send_signal(signal.SIGHUP)
        wait_for(daemon.said("changed rules are refused"), "a fault is refused", daemon)
        assert "did you mean 0.1?" in daemon.log()
        assert daemon.end() == 0


def test_a_terminal_that_is_closed_ends_it(tmp_path: Path) -> None:
    """SIGHUP says either that the rules are to be read, or that the terminal is gone."""
    place = Place(tmp_path)
    terminal, inner = pty.openpty()
    takes = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
    command = [sys.executable, "-c", takes, sys.executable, "-m", "watcher", "run", "-c", str(place.config)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=inner, stdout=log, stderr=log, start_new_session=True)
    os.close(inner)
    try:
        wait_for(lambda: (place.state / "watcher.db").exists() and _is_running(place), "it runs")
    finally:
        os.close(terminal)
    assert process.wait(60) == 0
    assert "stopping: SIGHUP" in (tmp_path / "log").read_text()


def _is_running(place: Place) -> bool:
    return bool(place.query("SELECT 1 FROM facts WHERE key = 'daemon' AND json_extract(value, '$.state') = 'running'"))


def test_under_nohup_the_terminal_may_go(tmp_path: Path) -> None:
    place = Place(tmp_path)
    command = ("nohup", sys.executable, "-m", "watcher", "run")
    with place.daemon({"WATCHDOG_USEC": "1000000"}, command=command) as daemon:
        daemon.wait_ready()
        daemon.process.send_signal(signal.SIGHUP)
        before = daemon.ears.heard().count("WATCHDOG=1")
        wait_for(lambda: daemon.ears.heard().count("WATCHDOG=1") >= before + 3, "its loop goes on", daemon)
        assert daemon.end() == 0
        assert "SIGHUP" not in daemon.log()


def test_once_that_is_interrupted_does_not_claim_to_be_done(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.write(100)
    with place.daemon(command=(sys.executable, "-m", "watcher", "run", "--once")) as daemon:
        daemon.wait_scorer().suspend()
        assert daemon.end(signal.SIGINT) == 130


def test_a_second_daemon_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with place.daemon() as daemon:
        daemon.wait_ready()
        refused = alone("run", "-c", place.config)
        assert refused.status == 2
        assert refused.err.count("\n") == 1
        assert f"pid {daemon.pid})" in refused.err
        assert str(place.state) in refused.err
        assert daemon.end() == 0


def test_after_kill_9_the_next_goes_on_and_scores_nothing_twice(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.write(100)
    with place.daemon() as first:
        wait_for(lambda: place.scored() == len(place.scenes), "all images are scored", first)
        first.kill()
    place.write(200)
    with place.daemon() as second:
        wait_for(lambda: place.scored() == 2 * len(place.scenes), "the later images are scored too", second)
        assert set(place.scores().values()) == {1}
        assert second.end() == 0


def test_the_state_is_for_its_user_only(tmp_path: Path) -> None:
    place = Place(tmp_path, state="deep/state")
    with place.daemon() as daemon:
        daemon.wait_ready()
        assert stat.S_IMODE(place.state.stat().st_mode) == 0o700
        assert (place.state / "lock").read_text() == str(daemon.pid)


@pytest.mark.parametrize("state", ["file", "file/below", "/proc/watcher", "/dev/null"])
def test_a_state_folder_that_cannot_be_used_is_a_fault_of_the_configuration(state: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    place = Place(tmp_path, state=state)
    refused = alone("run", "-c", place.config)
    assert refused.status == 2
    assert refused.err.startswith(f"watcher: state folder {place.state} cannot be used: ")
    assert refused.err.count("\n") == 1
    assert (tmp_path / "file").read_text() == "mine"


def test_the_log_has_one_line_for_each_event(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.write(100)
    with Daemon(place.config, ears=Ears(tmp_path / "n")) as daemon:  # a path, as the service manager gives it
        wait_for(daemon.said("step 100 closed"), "the evaluation is closed", daemon)
        assert daemon.end() == 0
        lines = [line for line in daemon.log().splitlines() if " INFO " in line]
    events = [("run shapes", "active"), ("watching", str(place.state)), ("scorer:", "cpu")]
    for words in [*events, ("step 100", "16 images"), ("stopping", "SIGTERM")]:
        assert sum(all(word in line for word in words) for line in lines) == 1, (words, lines)
