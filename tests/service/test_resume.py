"""`watcher resume` starts what was recorded, as it was, once: real commands under `watcher exec`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.commands import Answer, here
from tests.controlled import PATIENCE, until
from watcher.control import proc, protocol

TRAINS = """
import json, os, sys, time
place = sys.argv[1]
with open(os.path.join(place, "starts"), "a") as file:
    file.write(json.dumps({"argv": sys.argv[1:], "cwd": os.getcwd(), "env": dict(os.environ)}) + "\\n")
while not os.path.exists(os.path.join(place, "end")):
    time.sleep(0.02)
"""


class Run:
    def __init__(self, folder: Path) -> None:
        self.folder, self.path, self.control = folder, folder / "out" / "flux", folder / "out" / ".watcher" / "flux"
        self.path.mkdir(parents=True)
        (folder / "train.py").write_text(TRAINS)

    def launch(self, *more: str, **environment: str) -> None:
        command = [sys.executable, "-m", "watcher", "exec", "--run", str(self.path), "--"]
        training = [sys.executable, "train.py", str(self.path), *more]
        env = {**os.environ, **environment}
        self.process = subprocess.Popen([*command, *training], cwd=self.folder, env=env)
        until(lambda: len(self.starts()) == 1, "the first start")

    def starts(self) -> list[dict[str, object]]:
        place = self.path / "starts"
        return [json.loads(line) for line in place.read_text().split("\n")[:-1]] if place.exists() else []

    def record(self) -> dict[str, object]:
        return protocol.read_json(str(self.control / protocol.LAUNCH)) or {}

    def end(self) -> None:
        (self.path / "end").touch()
        until(lambda: not proc.lives(int(str(self.record()["pid"])), int(str(self.record()["start_time"]))), "its end")
        with suppress(AttributeError):
            self.process.wait(PATIENCE)
        (self.path / "end").unlink()

    def resume(self, *options: str) -> Answer:
        return here("resume", self.path, *options)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    for name in ("WATCHER_CONFIG", "WATCHER_LAUNCH", "WATCHER_CONTROL_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    made = Run(tmp_path)
    yield made
    (made.path / "end").touch()
    if pid := made.record().get("pid"):
        with suppress(ProcessLookupError):
            os.kill(int(str(pid)), signal.SIGTERM)


def test_it_is_started_as_it_was_and_under_control_again(run: Run) -> None:
    run.launch(CUDA_VISIBLE_DEVICES="7", MY_OWN="x")
    first = run.record()["launch_id"]
    run.end()
    answer = run.resume()
    assert answer.status == 0, answer.err
    old, new = run.starts()
    assert (new["argv"], new["cwd"]) == (old["argv"], old["cwd"])
    environment = new["env"]
    assert isinstance(environment, dict)
    assert environment["CUDA_VISIBLE_DEVICES"] == "7"
    assert "MY_OWN" not in environment
    assert "MY_OWN" in answer.out
    record = run.record()
    assert record["launch_id"] != first
    assert environment["WATCHER_LAUNCH"] == record["launch_id"]
    assert f"started: process {record['pid']}" in answer.out
    assert os.getsid(int(str(record["pid"]))) != os.getsid(0)
    run.end()


def test_arguments_are_added_only_where_somebody_says_so(run: Run) -> None:
    run.launch("--lr", "1e-4")
    run.end()
    dry = run.resume("--with", "--resume_from_checkpoint latest", "--dry-run", "--json")
    assert (dry.json["command"][-2:], dry.json["started"]) == (["--resume_from_checkpoint", "latest"], False)
    assert len(run.starts()) == 1
    assert run.resume("--with", "--resume_from_checkpoint latest").status == 0
    assert run.starts()[-1]["argv"] == [str(run.path), "--lr", "1e-4", "--resume_from_checkpoint", "latest"]
    run.end()


def test_what_still_runs_or_is_held_or_holds_secrets_is_not_started(run: Run) -> None:
    run.launch("--api_key", "hush")
    running = run.resume()
    assert (running.status, "still runs" in running.err) == (1, True)
    run.end()
    secret = run.resume()
    assert (secret.status, "hush" in secret.err, "secrets that were not recorded" in secret.err) == (1, False, True)
    (run.path / "HOLD").touch()
    assert "HOLD exists" in run.resume().err
    assert len(run.starts()) == 1


def test_what_is_no_more_there_is_named(run: Run) -> None:
    assert "was not launched by `watcher exec`" in run.resume().err
    run.launch()
    run.end()
    record = run.record()
    for change, words in (
        ({"cwd": "/gone"}, "working folder /gone"),
        ({"argv": ["/gone/python", "x"]}, "program /gone/python"),
        ({"host": "elsewhere"}, "launched on elsewhere"),
    ):
        protocol.write_json(str(run.control / protocol.LAUNCH), {**record, **change})
        answer = run.resume()
        assert (answer.status, words in answer.err) == (1, True), answer.err


def test_one_that_ends_at_once_is_no_start(run: Run) -> None:
    run.launch()
    run.end()
    (run.folder / "train.py").write_text("raise SystemExit('no such model')")
    answer = run.resume()
    assert answer.status == 1
    (log,) = run.control.glob("resumed-*.log")
    assert str(log) in answer.err
    assert "no such model" in log.read_text()


def stand_in(run: Run, monkeypatch: pytest.MonkeyPatch, name: str, program: str) -> None:
    """Put a program of systemd's on PATH that notes its arguments, and does no more than is said."""
    folder = run.folder / "bin"
    folder.mkdir(exist_ok=True)
    script = folder / name
    script.write_text(f'#!/bin/sh\necho "$@" >> {run.folder}/asked\n{program}\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def in_a_unit(run: Run, *more: str) -> None:
    """Have a launch that has ended, and that a unit had started."""
    run.launch(*more)
    run.end()
    unit = {"systemd_unit": "flux.service", "systemd_user": True}
    protocol.write_json(str(run.control / protocol.LAUNCH), {**run.record(), **unit})


def test_a_unit_is_started_by_systemd(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_unit(run)
    stand_in(run, monkeypatch, "systemctl", "")
    monkeypatch.setattr("watcher.byhand.resume.STARTS", 0.5)
    assert "`journalctl -u flux.service`" in run.resume().err
    # systemctl(1): `start PATTERN...`; `--user` talks to the service manager of the calling user.
    assert (run.folder / "asked").read_text() == "--user start flux.service\n"


def test_what_systemd_says_against_it_is_said_at_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_unit(run)
    stand_in(run, monkeypatch, "systemctl", "echo Unit flux.service not found. >&2; exit 5")
    answer = run.resume()
    assert answer.status == 1
    assert "`systemctl --user start flux.service`: Unit flux.service not found." in answer.err


def test_a_units_command_is_not_added_to_and_that_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_unit(run)
    stand_in(run, monkeypatch, "systemctl", "exit 1")
    answer = run.resume("--with", "--more x")
    assert answer.status == 0, answer.err
    assert "not through its unit flux.service" in answer.out
    assert not (run.folder / "asked").exists()
    run.end()


def test_called_within_a_service_it_gets_a_scope_of_its_own(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.launch()
    run.end()
    within = run.folder / "cgroup"
    within.write_text("0::/user.slice/user-1000.slice/user@1000.service/app.slice/watcher.service\n")
    monkeypatch.setattr("watcher.control.record.CGROUP", str(within))
    stand_in(run, monkeypatch, "systemd-run", 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"')
    answer = run.resume()
    assert answer.status == 0, answer.err
    assert "a scope of its own" in answer.out
    # systemd-run(1): `--user`, `--scope`, `--quiet` and `--collect` come before the command, which `--` ends.
    assert (run.folder / "asked").read_text().startswith("--user --scope --quiet --collect -- ")
    assert len(run.starts()) == 2
    run.end()


def test_by_hand_it_is_started_into_the_same_folder(run: Run) -> None:
    run.launch("--api_key", "hush")
    run.end()
    assert f"watcher exec --run {run.path} -- " in run.resume().err
