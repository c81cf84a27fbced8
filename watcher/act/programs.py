"""Asking other programs, systemd's and Slurm's and the user's: exact arguments, no shell, and never for long."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from watcher.act.redact import redacted
from watcher.errors import ActError

ANSWER = 5.0
"""Seconds that a program has to answer; the loop waits for it."""
PAUSE = 30.0
"""Seconds in which a program that did not answer is not asked again: a dead server must not hold up every run."""
LONGEST = 1 << 16
"""Bytes that are read of an answer."""
SHOWN = 300
"""Characters of what a program says that are passed on."""
_OURS = ("SQUEUE_", "SACCT_", "SCANCEL_", "SYSTEMD_PAGER")
"""Variables that would change what the programs do beside the arguments that they are given."""
_late: dict[str, float] = {}
"""By path, when a program last did not answer; monotonic seconds."""


class UnansweredError(ActError):
    """A program is not there, cannot answer, or does not in time; nothing is known then."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a program ended, and what it said."""

    status: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Give what it complained of, on one line and without secrets."""
        text = " ".join((self.err.strip() or self.out.strip()).split())
        return redacted(tuple(text.split(" ")))[:SHOWN] if text else f"status {self.status}, without a word"


class Running:
    """A program that was started, in a session of its own, so that a Ctrl-C at the watcher does not reach it.

    What it says goes to files: a pipe that something it has started holds open could be waited for without end.
    """

    def __init__(self, words: Sequence[str], environment: Mapping[str, str], given: bytes = b"") -> None:
        self._out, self._err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        self._began = time.monotonic()
        with tempfile.TemporaryFile() as stdin:
            stdin.write(given)
            stdin.seek(0)
            try:
                self._process = subprocess.Popen(
                    words, stdin=stdin, stdout=self._out, stderr=self._err, env=environment, start_new_session=True
                )
            except (OSError, ValueError) as error:
                self._close()
                raise UnansweredError(f"{words[0]} cannot be run: {error}", permanent=True) from error

    @property
    def pid(self) -> int:
        """Give its pid."""
        return self._process.pid

    def answer(self, patience: float) -> Answer | None:
        """Wait for its end at most so many seconds; None where it still runs."""
        try:
            status = self._process.wait(patience)
        except subprocess.TimeoutExpired:
            return None
        answer = Answer(status, _read(self._out), _read(self._err))
        self._close()
        return answer

    def is_late(self, timeout: float) -> bool:
        """Tell whether it runs for longer than that."""
        return time.monotonic() - self._began > timeout

    def kill(self) -> None:
        """End it, and all that stayed in its session."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        self._close()

    def _close(self) -> None:
        self._out.close()
        self._err.close()


def ask(*words: str, timeout: float = ANSWER) -> Answer:
    """Run a program of systemd or Slurm to its end; times in what it says are in UTC.

    Raises:
        UnansweredError: it is not installed, cannot be run, or does not answer in time.

    """
    place = shutil.which(words[0])
    if place is None:
        raise UnansweredError(f"{words[0]} was not found on PATH", permanent=True)
    if time.monotonic() - _late.get(place, -PAUSE) < PAUSE:
        raise UnansweredError(f"{words[0]} did not answer a moment ago and is not asked again so soon")
    try:
        return heard(Running((place, *words[1:]), _environment()), words[0], timeout)
    except UnansweredError:
        _late[place] = time.monotonic()
        raise


def heard(running: Running, name: str, timeout: float) -> Answer:
    """Give the answer of a program that was started.

    Raises:
        UnansweredError: it took longer, and was killed.

    """
    answer = running.answer(timeout)
    if answer is None:
        running.kill()
        raise UnansweredError(f"{name} did not answer within {timeout:g} s and was killed")
    return answer


def _environment() -> dict[str, str]:
    """Give the programs what makes their answers the same everywhere, and leads to the user's manager."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    fixed = {"TZ": "UTC", "LC_ALL": "C", "SLURM_TIME_FORMAT": "standard"}
    runtime = Path(f"/run/user/{os.geteuid()}")
    return {**({"XDG_RUNTIME_DIR": str(runtime)} if runtime.is_dir() else {}), **kept, **fixed}


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(LONGEST).decode(errors="replace")
