"""Stopping by a program of the user's: what it is told, and that only what is looked at proves the end."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.service.daemons import PATIENCE, wait_for
from tests.service.trees import Stop, Trees
from watcher.act import CommandBackend
from watcher.act.by_command import ByCommand
from watcher.act.choice import WAYS

PROGRAM = """
import json, os, pathlib, signal, sys, time
home = pathlib.Path(__file__).parent
told = json.load(sys.stdin)
with open(home / "told", "a") as file:
    file.write(json.dumps([sys.argv[1:], told, os.environ["WATCHER_RUN"], os.environ["WATCHER_PATH"]]) + "\\n")
"""
ENDS = "[os.kill(pid, signal.SIGTERM) for pid in told['pids']]"


class Programs:
    """A user's two programs; `status` says what stands in a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said = folder / "said"
        self.write("status.py", "print((home / 'said').read_text(), end=''); sys.exit('boom' in sys.argv)")

    def backend(self, stop: str, *, status: bool = False, **settings: Any) -> CommandBackend:
        self.write("stop.py", stop)
        with_status = (sys.executable, str(self.folder / "status.py")) if status else ()
        return CommandBackend(
            stop=(sys.executable, str(self.folder / "stop.py"), "now; then"), status=with_status, **settings
        )

    def told(self, action: str = "stop") -> list[tuple[list[str], dict[str, Any], str, str]]:
        path = self.folder / "told"
        lines = path.read_text().splitlines() if path.exists() else []
        return [told for told in map(json.loads, lines) if told[1]["action"] == action]

    def write(self, name: str, program: str) -> None:
        (self.folder / name).write_text(f"{PROGRAM}\n{program}\n")


@pytest.fixture
def trees(tmp_path: Path) -> Iterator[Trees]:
    with Trees(tmp_path) as trees:
        yield trees


def making(folder: Path) -> Iterator[Programs]:
    """Make programs, and in the end wait for those that were run: of what no daemon asks for, nobody else would."""
    folder.mkdir()
    yield Programs(folder)
    way = WAYS[CommandBackend]
    assert isinstance(way, ByCommand)
    for running in way._running.values():
        running.answer(PATIENCE)
    way._running.clear()


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    yield from making(tmp_path / "programs")


def backend(programs: Programs, **what: str) -> CommandBackend:
    """Give programs by what they do."""
    for name, program in what.items():
        programs.write(f"{name}.py", program)
    return CommandBackend.model_validate({name: [sys.executable, str(programs.folder / f"{name}.py")] for name in what})


def accepted(act: Stop) -> None:
    """Go on until the program has ended."""
    act.go("acknowledged")
    wait_for(lambda: act.step() and act.command.progress.get("accepted"), "it has exited with 0")


def until(stop: Stop, state: str) -> None:
    """Take steps in real time, with the stop's own clock going on as far as `status` is asked again."""
    wait_for(lambda: stop.step(2.0) == state or stop.state in ("failed", "refused", "cancelled"), f"it is {state}")
    assert stop.state == state, stop.proof


def test_it_is_told_which_run_and_the_processes_prove_the_end(programs: Programs, trees: Trees) -> None:
    trees.train("up('trainer'); rest()")
    pid = trees.pid("trainer")
    stop = Stop(trees.run, programs.backend(ENDS), grace=3600.0)
    until(stop, "verified")
    ((arguments, told, run, path),) = programs.told()
    assert arguments == ["now; then"]  # no shell
    assert (run, path) == (str(trees.run), str(trees.run))
    assert told == {
        "run": str(trees.run),
        "path": str(trees.run),
        "stream": "",
        "action": "stop",
        "reason": "too low",
        "pids": [pid],
        "launch": None,
        "grace": 3600.0,
        "kill": False,
    }
    assert f"all processes are gone: {pid}" in stop.proof
    assert stop.seen == ["planned", "waiting", "rechecked", "attempting", "acknowledged", "verified"]


def test_that_it_was_accepted_proves_nothing(programs: Programs, trees: Trees) -> None:
    trees.train("up('trainer'); rest()")
    pid = trees.pid("trainer")
    stop = Stop(trees.run, programs.backend("", timeout="1h"))
    stop.go("acknowledged")
    wait_for(lambda: stop.step() and stop.command.progress.get("accepted"), "it has exited with 0")
    assert stop.step(59) == "acknowledged"
    assert stop.step(2) == "failed"
    assert f"still running: {pid}" in stop.proof


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("sys.exit('no such container')", "ended with status 1: no such container"),
        ("print('token=abc'); sys.exit(3)", "ended with status 3: token=***"),
        ("time.sleep(300)", "took longer than 0.2 s and was killed"),
    ],
)
def test_a_program_that_does_not_accept_it_fails(programs: Programs, trees: Trees, program: str, why: str) -> None:
    trees.train("up('trainer'); rest()")
    trees.pid("trainer")
    timeout = "200ms" if "sleep" in program else "60s"
    stop = Stop(trees.run, programs.backend(program, timeout=timeout))
    stop.go("acknowledged")
    wait_for(lambda: stop.step() == "failed", "it has failed")
    assert why in stop.proof
    assert trees.lives("trainer")


def test_a_program_that_takes_its_time_holds_nothing_up(programs: Programs, trees: Trees) -> None:
    trees.train("up('trainer'); rest()")
    trees.pid("trainer")
    stop = Stop(
        trees.run, programs.backend(f"while not (home / 'go').exists(): time.sleep(0.01)\n{ENDS}", timeout="1h")
    )
    stop.go("acknowledged")
    assert [stop.step() for _ in range(3)] == ["acknowledged"] * 3
    (programs.folder / "go").touch()
    until(stop, "verified")
    assert len(programs.told()) == 1


def test_a_program_that_is_not_there_is_refused(programs: Programs, trees: Trees) -> None:
    trees.train("up('trainer'); rest()")
    trees.pid("trainer")
    stop = Stop(trees.run, CommandBackend(stop=("/nowhere/stop-it",)))
    stop.go("refused")
    assert "/nowhere/stop-it cannot be run" in stop.proof


def test_without_processes_and_status_nothing_could_prove_it(programs: Programs, trees: Trees) -> None:
    stop = Stop(trees.run, programs.backend("pass"))
    assert stop.step() == "failed"
    assert "give `control: [{command: ...}]` a `status`" in stop.proof


def test_where_it_trains_elsewhere_status_is_the_proof(programs: Programs, trees: Trees) -> None:
    programs.said.write_text("running a1\n")
    stop = Stop(trees.run, programs.backend("(home / 'said').write_text('gone\\n')", status=True), grace=3600.0)
    until(stop, "verified")
    assert "`" + sys.executable + "` says that it is gone" in stop.proof
    assert programs.told()[0][1]["launch"] == "a1"


def test_status_and_processes_must_both_say_so(programs: Programs, trees: Trees) -> None:
    trees.train("up('trainer'); rest()")
    trees.pid("trainer")
    programs.said.write_text("running")
    stop = Stop(trees.run, programs.backend(ENDS, status=True), grace=3600.0)
    stop.go("acknowledged")
    trees.gone("trainer")
    wait_for(lambda: stop.step() and stop.command.progress.get("accepted"), "it has exited with 0")
    assert stop.step(2) == "acknowledged"
    programs.said.write_text("gone")
    until(stop, "verified")


@pytest.mark.parametrize("said", ["", "Gone", "gone already", "running\ngone", "Traceback (most recent call last)"])
def test_a_status_that_says_anything_else_is_no_proof(programs: Programs, trees: Trees, said: str) -> None:
    programs.said.write_text("running")
    stop = Stop(trees.run, programs.backend("pass", status=True))
    stop.go("acknowledged")
    wait_for(lambda: stop.step() and stop.command.progress.get("accepted"), "it has exited with 0")
    programs.said.write_text(said)
    assert stop.step(10) == "acknowledged"
    assert stop.step(60) == "failed"
    assert "has to say `running`, `running ID` or `gone`" in stop.proof


def test_a_status_that_breaks_down_is_no_proof(programs: Programs, trees: Trees) -> None:
    programs.said.write_text("gone")
    backend = programs.backend("pass", status=True)
    stop = Stop(trees.run, CommandBackend(stop=backend.stop, status=(*backend.status, "boom")))
    assert stop.step() == "refused"


@pytest.mark.parametrize("state", ["waiting", "rechecked", "attempting"])
def test_another_launch_is_refused(programs: Programs, trees: Trees, state: str) -> None:
    programs.said.write_text("running a1")
    stop = Stop(trees.run, programs.backend("pass", status=True))
    stop.go(state)
    programs.said.write_text("running a2")
    stop.go("refused")
    assert "was relaunched (launch a2)" in stop.proof
    assert not programs.told()


def test_a_run_that_has_ended_by_itself_is_not_stopped(programs: Programs, trees: Trees) -> None:
    programs.said.write_text("running")
    stop = Stop(trees.run, programs.backend("pass", status=True), save="wait")
    stop.go("saving")
    assert stop.step(2) == "saving"
    programs.said.write_text("gone")
    assert stop.step(2) == "cancelled"
    assert not programs.told()


def test_what_a_program_did_before_a_restart_is_looked_at_and_not_done_again(programs: Programs, trees: Trees) -> None:
    """The next daemon does not know how the program ended, only what it can see."""
    trees.train("up('trainer'); rest()")
    trees.pid("trainer")
    stop = Stop(trees.run, programs.backend(ENDS), grace=3600.0)
    stop.go("acknowledged")
    trees.gone("trainer")
    stop.command = type(stop.command)(**{**vars_of(stop.command), "id": 2})  # nobody here has started that one
    until(stop, "verified")
    assert "ended unseen: the daemon was restarted" in stop.proof
    assert len(programs.told()) == 1


def vars_of(command: Any) -> dict[str, Any]:
    return {name: getattr(command, name) for name in command.__dataclass_fields__}


def test_a_hold_keeps_the_program_from_being_run(programs: Programs, trees: Trees) -> None:
    programs.said.write_text("running")
    stop = Stop(trees.run, programs.backend("pass", status=True))
    stop.go("attempting")
    stop.held = "held by ann"
    assert stop.step() == "cancelled"
    assert not programs.told()


def test_a_status_that_denies_what_runs_is_refused(programs: Programs, trees: Trees) -> None:
    trees.train("up('trainer'); rest()")
    trees.pid("trainer")
    programs.said.write_text("gone")
    stop = Stop(trees.run, programs.backend("pass", status=True))
    assert stop.step() == "refused"
    assert "says that" in stop.proof
    assert "but its processes run" in stop.proof


def test_a_relaunch_beside_what_is_gone_keeps_it_from_being_verified(programs: Programs, trees: Trees) -> None:
    trees.train("up('trainer'); rest()")
    trees.pid("trainer")
    stop = Stop(trees.run, programs.backend(ENDS))
    stop.go("acknowledged")
    trees.gone("trainer")
    trees.train("up('relaunched'); rest()")
    again = trees.pid("relaunched")
    wait_for(lambda: stop.step() and stop.command.progress.get("accepted"), "it has exited with 0")
    assert stop.step(10) == "acknowledged"
    assert stop.step(60) == "failed"
    assert f"still running: {again}" in stop.proof


def test_processes_that_were_started_meanwhile_are_another_launch(programs: Programs, trees: Trees) -> None:
    with trees.train("up('trainer'); rest()") as process:
        trees.pid("trainer")
        stop = Stop(trees.run, programs.backend(ENDS))
        stop.go("attempting")
        process.kill()
    trees.train("up('relaunched'); rest()")
    trees.pid("relaunched")
    stop.go("refused")
    assert "was relaunched (pid" in stop.proof
    assert not programs.told()
