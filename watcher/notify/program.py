"""A program of the user's, which a rule runs when it fires."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import suppress

from watcher.notify.http import NoticeRefusedError
from watcher.notify.target import Target
from watcher.notify.webhook import payload
from watcher.nouns import Notice
from watcher.part import Duration

SHOWN = 200
"""Characters of what a program complained of."""


class Program(Target):
    """Runs a program, without a shell, with the notice as JSON (docs/notices.md) on its standard input.

    A program that fails is not run again: what it has done by then only its author knows. One that ran while the daemon
    was killed is run once more, with the same `key` in its notice.
    """

    called: str
    """What it is called in `status` and the log."""
    command: tuple[str, ...]
    """The program and its arguments."""
    timeout: Duration = 60.0
    """How long it may take; then it is killed, with all that it started."""

    def label(self) -> str:
        """Give its name."""
        return self.called

    def send(self, notice: Notice, now: float) -> None:  # noqa: ARG002 - a program has its own clock
        """Run it to its end.

        Raises:
            DeliveryError: it cannot be run, takes too long, or ends with another status than 0.

        """
        given = json.dumps(payload(notice), allow_nan=False).encode()
        pipe = subprocess.PIPE
        try:
            # A session of its own, so that all of it can be killed, and a Ctrl-C at the daemon does not reach it.
            child = subprocess.Popen(
                self.command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, start_new_session=True
            )
        except (OSError, ValueError) as error:
            raise NoticeRefusedError(f"{self.command[0]} cannot be run: {error}", permanent=True) from error
        try:
            said, _ = child.communicate(given, self.timeout)
        except subprocess.TimeoutExpired as error:
            _kill(child)
            raise NoticeRefusedError(f"{self.command[0]} took longer than {self.timeout:g} s and was killed") from error
        if child.returncode:
            raise NoticeRefusedError(f"{self.command[0]} ended with status {child.returncode}{_last_line(said)}")


def _kill(child: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    for pipe in (child.stdin, child.stdout):  # not read to its end: what it started may hold that open
        if pipe is not None:
            pipe.close()


def _last_line(said: bytes) -> str:
    lines = said.decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f": {last[:SHOWN]}" if last else ""
