"""Trainings in processes of their own, armed as a launch arms them: by a `sitecustomize` on PYTHONPATH."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from watcher.control import protocol

ROOM = Path(protocol.__file__).parent
PROGRAM = Path(__file__).with_name("training.py")
PATIENCE = 120.0
"""Seconds after which a test gives up; nothing here is expected to take that long."""
LAUNCH = "launch-1"


def until(look: Callable[[], Any], what: str) -> Any:
    """Wait until something is there, and give it."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.01)
    raise AssertionError(f"no {what} within {PATIENCE:g} s")


def site(folder: Path) -> Path:
    """Make the folder that arms every Python process with it on its PYTHONPATH: a copy of the room, nothing else."""
    place = folder / "site"
    if not place.exists():
        shutil.copytree(ROOM, place / "_control_copy", ignore=shutil.ignore_patterns("__pycache__"))
        (place / "sitecustomize.py").write_text("from _control_copy import arm\narm.arm()\n")
    return place


def environment(folder: Path, launch: str | None = LAUNCH) -> dict[str, str]:
    """Give the environment of a launch; without a launch, one that nothing watches."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WATCHER_", "PYTHON"))}
    kept |= {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    if launch is None:
        return kept
    control = folder / "control"
    control.mkdir(mode=0o700, exist_ok=True)
    return kept | {"PYTHONPATH": str(site(folder)), "WATCHER_CONTROL_DIR": str(control), "WATCHER_LAUNCH": launch}


class Trained:
    """A training process, stepped from here."""

    def __init__(self, folder: Path, launch: str | None = LAUNCH, program: Path = PROGRAM, **given: Any) -> None:
        self.control, self.launch = folder / "control", launch or ""
        self._start(folder, [sys.executable, "-W", "ignore", str(program), json.dumps(given)], launch)

    def _start(self, folder: Path, command: list[str], launch: str | None) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, env=environment(folder, launch), cwd=folder, **pipes)
        self.used: list[list[float]] = []
        assert self._answer() == "up"

    def __enter__(self) -> Trained:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self.process.poll() is None and kind is not None:
            self.process.kill()
        self.end()

    def end(self) -> tuple[int, str]:
        """Let it end by itself; gives its status and what it wrote to standard error."""
        _, said = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, said

    def _answer(self) -> Any:
        line = self.process.stdout.readline()
        if not line:
            raise EOFError(self.process.stderr.read())
        return json.loads(line)

    def ask(self, word: str, value: Any) -> Any:
        """Give it a word and take its answer.

        Raises:
            EOFError: it has ended.
        """
        try:
            self.process.stdin.write(json.dumps([word, value]) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise EOFError from None
        return self._answer()

    def go(self, steps: int = 1) -> None:
        self.used += self.ask("go", steps)

    def send(self, kind: str, launch: str | None = None, expires: float = 600, **args: Any) -> int:
        return protocol.send(str(self.control), launch or self.launch, kind, args, reason="a test", expires=expires)

    def ack(self, number: int) -> dict[str, Any] | None:
        return protocol.ack(str(self.control), number)

    def step_until(self, number: int, *states: str) -> dict[str, Any]:
        """Step until a command has come to one of these states."""

        until(lambda: self.ack(number), f"word about command {number}")

        def reached() -> Any:
            ack = self.ack(number)
            if ack and ack["state"] in (states or protocol.FINAL):
                return ack
            return self.go(1)

        return until(reached, f"{states} of command {number}; it is {self.ack(number)}")

    def waits(self, number: int, *states: str) -> dict[str, Any]:
        """Wait, without a step, until a command has come to one of these states."""
        look = lambda: (ack := self.ack(number)) and ack["state"] in (states or protocol.FINAL) and ack  # noqa: E731
        return until(look, f"{states} of command {number}; it is {self.ack(number)}")

    def log(self) -> str:
        place = self.control / protocol.HOOK_LOG
        return place.read_text() if place.exists() else ""


class Launched(Trained):
    """A training that is started by `watcher exec` into the folder `run`, or another one, and stepped from here."""

    def __init__(
        self,
        folder: Path,
        program: Path = PROGRAM,
        wrapped: Sequence[str] = (),
        into: Path | None = None,
        **given: Any,
    ) -> None:
        self.run = into or folder / "run"
        self.run.mkdir(exist_ok=True)
        self.control = self.run.parent / ".watcher" / self.run.name
        start = [sys.executable, "-m", "watcher", "exec", "--run", str(self.run), "--", *wrapped, sys.executable]
        self._start(folder, [*start, "-W", "ignore", str(program), json.dumps(given)], None)
        self.launch = str(protocol.read_json(str(self.control / protocol.LAUNCH))["launch_id"])

    def begin(self) -> None:
        """Make the first steps, until commands are read."""
        self.go(2)
        until(lambda: protocol.read_json(str(self.control / protocol.HEARTBEAT)), "heartbeat")

    @property
    def trainer(self) -> int:
        """Give the pid of the training, once it has made a step."""
        claim = until(lambda: protocol.read_json(str(self.control / protocol.CLAIM)), "claim")
        return int(claim["pid"])


def curve(folder: Path, steps: int, **given: Any) -> list[list[float]]:
    """Give the rates that the same training uses when nothing watches it."""
    with Trained(folder, launch=None, **given) as alone:
        alone.go(steps)
    return alone.used
