"""Real process trees for tests of stops, and the stop itself on a clock of its own.

    with Trees(tmp_path) as trees:                    # everything that says `up` is ended at the end, by its own pid
        trees.train("up('trainer'); rest()")          # a Python program with `--output_dir RUN`
        pid = trees.pid("trainer")                    # waits until it runs
        stop = Stop(trees.run)
        stop.until("verified")                        # steps in real time; its own clock stands still

Every step of a stop goes through JSON, as if the daemon had been restarted in between.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from tests.service.daemons import lives, wait_for
from watcher import act
from watcher.act import Backend, Caller, Output, ProcessBackend, Rate
from watcher.nouns import FINAL, ActionKind, Command

PRELUDE = """
import os, signal, subprocess, sys, time
def up(name, pid=None):
    with open(os.environ["TREES"], "a") as file:
        file.write(f"{name.replace(' ', '-')} {pid or os.getpid()}\\n")
def rest():
    time.sleep(300)
    os._exit(0)
def child(name, *prepare):
    if os.fork() == 0:
        for step in prepare:
            step()
        up(name)
        rest()
def deaf():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
def on_term(handle):
    signal.signal(signal.SIGTERM, lambda *_: handle())
"""
"""What the programs of trees can do; none lives for longer than five minutes, whatever happens to its test."""


class Trees:
    """Starts programs and ends all that came out of them: they are known by a variable in their environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = folder / "run"
        self.run.mkdir()
        self._list = folder / "pids"
        self._list.touch()
        self._list.chmod(0o666)  # some programs run as another user
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._started:
            process.kill()
            process.wait()
        for pid in psutil.pids():
            self._end(pid)

    def train(self, program: str, *arguments: str, **how: Any) -> subprocess.Popen[bytes]:
        """Start a training: a Python program that is told to write into the run's folder."""
        return self.python(program, "--output_dir", str(self.run), *arguments, **how)

    def python(self, program: str, *arguments: str, **how: Any) -> subprocess.Popen[bytes]:
        """Start a Python program."""
        return self.start(self.command(program, *arguments), **how)

    def command(self, program: str, *arguments: str) -> list[str]:
        """Give the command line of a Python program."""
        return [sys.executable, "-c", PRELUDE + program, *arguments]

    def script(self, name: str, *arguments: str, **how: Any) -> subprocess.Popen[bytes]:
        """Start a Python program by the name of its file; it says `up(NAME)` and rests."""
        path = self.folder / name
        path.write_text(f"{PRELUDE}\nup({name!r})\nrest()\n")
        return self.start([sys.executable, str(path), *arguments], **how)

    def start(
        self, command: Sequence[str], session: bool = True, environment: Mapping[str, str] | None = None, **how: Any
    ) -> subprocess.Popen[bytes]:
        """Start any program; in a session, and so a process group, of its own unless told otherwise."""
        environment = {**os.environ, **(environment or {}), "TREES": str(self._list)}
        process = subprocess.Popen(command, env=environment, start_new_session=session, **how)
        self._started.append(process)
        return process

    def pid(self, name: str) -> int:
        """Give the pid of what said `up(name)` last; waits for the first to say so."""
        return wait_for(lambda: next((pid for told, pid in reversed(self._told()) if told == name), 0), f"{name} is up")

    def lives(self, name: str) -> bool:
        """Tell whether what said `up(name)` still runs."""
        return is_living(self.pid(name))

    def gone(self, name: str) -> None:
        """Wait until what said `up(name)` has ended; a zombie has."""
        wait_for(lambda: not self.lives(name), f"{name} is gone")

    def _told(self) -> list[tuple[str, int]]:
        lines = self._list.read_text().splitlines()
        return [(name, int(pid)) for name, pid in (line.split() for line in lines)]

    def _end(self, pid: int) -> None:
        try:
            process = psutil.Process(pid)
            if process.environ().get("TREES") == str(self._list):
                process.kill()
        except psutil.Error:  # gone, or a zombie
            return


def is_living(pid: int) -> bool:
    """Tell whether a pid runs; a zombie does not."""
    return psutil.pid_exists(pid) and lives(psutil.Process(pid))


class Stop:
    """One stop, from `planned` on; what the daemon would ask its store for is set by the test."""

    def __init__(
        self,
        run: Path,
        backend: Backend | None = None,
        evidence_at: float | None = None,
        *,
        stream: str = "",
        shared: bool = False,
        kind: ActionKind = "stop",
        then: Sequence[Backend] = (),
        **args: Any,
    ) -> None:
        self.run = run
        self.stream, self.shared = stream, shared
        self.backend: Backend = backend or ProcessBackend()
        self.then = then
        """Backends that are tried after the first."""
        self.rates: list[Rate] = []
        self.on_gpu: list[tuple[int, int]] = []
        self.now = time.time() + 10  # a process and what it writes are told apart to a second
        self.no_longer: str | None = None
        self.held: str | None = None
        self.newest: int | None = None
        self.checkpoints: list[tuple[int, str, float]] = []
        self.seen = ["planned"]
        defaults: dict[str, Any] = {"mode": "enforce"}
        if kind == "stop":
            defaults |= {"save": "no", "wait": 60.0, "delay": 0.0, "grace": 60.0, "kill": False}
        self.command = Command(
            id=1,
            run_id="run",
            rule="low",
            kind=kind,
            args={**defaults, **args},
            state="planned",
            reason="too low",
            evidence_at=self.now if evidence_at is None else evidence_at,
            created_at=self.now,
            changed_at=self.now,
        )

    @property
    def state(self) -> str:
        return self.command.state

    @property
    def proof(self) -> str:
        return self.command.proof

    @property
    def pids(self) -> set[int]:
        """Give the pids of the frozen identity."""
        return {member["pid"] for member in self.command.identity["members"]}

    def peek(self) -> Command:
        """Give what the next step makes of the command, without taking it."""
        ask = Caller(
            checkpoints=lambda: self.checkpoints,
            newest=lambda: self.newest,
            recheck=lambda: self.no_longer,
            held=lambda: self.held,
            rates=lambda: self.rates,
            on_gpu=lambda pids: [one for one in self.on_gpu if one[1] in pids],
        )
        return act.step(
            self.command, Output(self.run, self.stream, self.shared), [self.backend, *self.then], self.now, ask
        )

    def step(self, seconds: float = 0.0) -> str:
        """Let the clock go on, then take one step; gives the new state."""
        self.now += seconds
        self.command = restarted(self.peek())
        if self.seen[-1] != self.state:
            self.seen.append(self.state)
        return self.state

    def go(self, *states: str) -> str:
        """Take steps until one of some states is reached, without waiting for anything."""
        while self.state not in states:
            before = self.command
            self.step()
            assert self.command != before, f"{self.state} goes nowhere: {self.proof}"
            assert self.state in states or self.state not in FINAL, f"{self.state}: {self.proof}"
        return self.state

    def until(self, *states: str) -> str:
        """Take steps in real time until one of some states is reached."""

        def reached() -> bool:
            self.step()
            assert self.state in states or self.state not in FINAL, f"{self.state}: {self.proof}"
            return self.state in states

        wait_for(reached, f"the stop is {' or '.join(states)}")
        return self.state

    def changed(self, **identity: Any) -> None:
        """Change what the frozen identity says."""
        stored: Mapping[str, Any] = {**self.command.identity, **identity}
        self.command = Command(**{**asdict(self.command), "identity": stored})


def restarted(command: Command) -> Command:
    """Give a command as the store gives it back."""
    return Command(**json.loads(json.dumps(asdict(command))))
