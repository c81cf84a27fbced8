"""An interactive shell in a terminal of its own, for tests: typed to, and read until what is expected appears."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tests.service.daemons import wait_for

PATIENCE = 60.0
"""Seconds; far more than anything takes, also on a busy machine."""
PROMPT = "$> "
INTERRUPT, SUSPEND, QUIT = "\x03", "\x1a", "\x1c"
"""What Ctrl-C, Ctrl-Z and Ctrl-\\ type."""
PROGRAM = """
import os, signal, sys
def say(*words): os.write(2, (" ".join(map(str, words)) + "\\n").encode())
for name in ("WINCH", "USR1", "USR2", *(["CONT"] * ("tty" not in sys.argv))):
    signal.signal(getattr(signal, "SIG" + name), lambda number, _: say("got", signal.Signals(number).name))
if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
    signal.signal(signal.SIGINT, (lambda *_: say("got SIGINT")) if "deaf" in sys.argv else signal.SIG_DFL)
say("ready")
source = open("/dev/tty") if "tty" in sys.argv else sys.stdin
for line in iter(source.readline, ""):
    if line == "end\\n": break
    if line == "size\\n": line = str(os.get_terminal_size(0))
    if line == "front\\n": line = str(os.tcgetpgrp(os.open("/dev/tty", os.O_RDWR)) == os.getpgrp())
    if line == "ttys\\n": line = " ".join(str(os.isatty(one)) for one in (0, 1, 2))
    say("read", line.strip())
sys.exit(7)
"""
"""Says `ready`, tells what it reads and which signals it gets, and ends with status 7."""


class Shell:
    """bash in a terminal of 30 lines and 111 columns; ended with the block."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self._master, slave = pty.openpty()
        self.resize(30, 111)
        plain = {"PS1": PROMPT, "TERM": "dumb", "PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
        plain |= {"PYTHONPATH": str(Path(__file__).parents[2]), **(environment or {})}
        (folder / "probe.py").write_text(PROGRAM)
        words = ["setsid", "-c", "bash", "--norc", "--noprofile", "--noediting", "-i"]
        self.process = subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave, cwd=folder, env=plain)
        os.close(slave)
        self.text = ""
        self._from = 0

    def __enter__(self) -> Self:
        """Wait for the first prompt."""
        self.until(PROMPT)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Hang up; what runs in the terminal is told so, and the shell is ended."""
        self.hang_up()
        try:
            self.process.wait(PATIENCE)
        finally:
            self.process.kill()

    def hang_up(self) -> None:
        """Close the terminal, as when its window is closed."""
        if self._master >= 0:
            os.close(self._master)
        self._master = -1

    def resize(self, lines: int, columns: int) -> None:
        """Give the terminal another size."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, text: str) -> None:
        """Type something; Enter is `\\n`."""
        os.write(self._master, text.encode())

    def until(self, expected: str) -> str:
        """Read until a text appears after what was read before; gives all from there to its end."""
        end = time.monotonic() + PATIENCE
        while (found := self.text.find(expected, self._from)) < 0:
            left = end - time.monotonic()
            assert left > 0, f"{expected!r} did not come: {self.text!r}"
            if select.select([self._master], [], [], left)[0]:
                self.text += os.read(self._master, 4096).decode(errors="replace")
        start, self._from = self._from, found + len(expected)
        return self.text[start : self._from]

    def until_stopped(self) -> None:
        """Wait until what the shell has started is stopped."""
        children = psutil.Process(self.process.pid).children
        wait_for(lambda: {one.status() for one in children()} == {psutil.STATUS_STOPPED}, "the job is stopped")

    def run(self, line: str) -> str:
        """Type a line and give what is shown until the next prompt."""
        self.type(f"{line}\n")
        return self.until(PROMPT)


def python(*arguments: str) -> str:
    """Give the shell command that runs the probe."""
    return " ".join((sys.executable, "probe.py", *arguments))


def plain(text: str) -> str:
    """Take out of a transcript what differs from run to run, and what says that the launcher was used."""
    text = text.replace(f"{sys.executable} -m watcher exec --run out/x -- ", "").replace("\r", "")
    return re.sub(r"\[1\] \d+", "[1] PID", text)
