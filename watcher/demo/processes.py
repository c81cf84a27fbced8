"""The programs that the demo starts; all of them end with it, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import psutil

GRACE = 15.0
"""Seconds that a program has to end in order."""
_TIED = """import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])"""
"""Becomes the program given, which the kernel kills when its parent dies (PR_SET_PDEATHSIG is 1)."""


class Processes:
    """Starts programs, each in its own session, so that a signal to one reaches no other."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        self._family: dict[str, set[tuple[int, float]]] = {}

    def __enter__(self) -> Processes:
        """Give itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything that still runs."""
        for name in reversed(self._started):
            self.end(name)

    def start(self, name: str, arguments: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
        """Start `python ARGUMENTS` in a folder; what it prints goes to its log."""
        command = [sys.executable, "-c", _TIED, str(os.getpid()), sys.executable, *arguments]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        with self.log(name).open("wb") as log:
            started = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started[name] = started
        return started

    def log(self, name: str) -> Path:
        """Give the file that holds what a program printed."""
        return self._logs / f"{name}.log"

    def status(self, name: str) -> int | None:
        """Give a program's exit status, negative for a signal, or None while it runs; notes its children."""
        found = self._started[name].poll()
        if found is None:
            self._note(name)
        return found

    def survivors(self, name: str) -> list[int]:
        """Give the pids of a program and its known children that still live; looked up in the process table."""
        return [pid for pid, created in sorted(self._family.get(name, ())) if _lives(pid, created)]

    def family(self, name: str) -> list[int]:
        """Give the pids of a program and its children, as far as they were seen."""
        return sorted(pid for pid, _ in self._family.get(name, ()))

    def end(self, name: str) -> int:
        """End a program if it still runs, in order and else by force; gives its exit status."""
        process = self._started[name]
        for number in (signal.SIGTERM, signal.SIGKILL):
            if process.poll() is not None:
                break
            os.killpg(process.pid, number)  # not reaped yet, so the group is still its own
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                continue
        return process.wait()

    def _note(self, name: str) -> None:
        try:
            parent = psutil.Process(self._started[name].pid)
            found = [parent, *parent.children(recursive=True)]
            self._family.setdefault(name, set()).update((one.pid, one.create_time()) for one in found)
        except psutil.NoSuchProcess:  # it ended just now; what was seen before stays known
            return


def _lives(pid: int, created: float) -> bool:
    try:
        process = psutil.Process(pid)
        return process.create_time() == created and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
