"""Commands under `watcher exec`, for tests: what they said, and what is recorded of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.commands import PATIENCE

ROOT = Path(__file__).parents[2]
EXEC = [sys.executable, "-m", "watcher", "exec", "--run", "out/x", "--"]
PLAIN = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": "/nonexistent"}
"""No locale: Python would add one to its own environment."""


def said(folder: Path, command: Sequence[str], **how: object) -> tuple[int, bytes, bytes]:
    """Run a command and give its status, output and errors."""
    settings = {"cwd": folder, "env": PLAIN, "capture_output": True, "timeout": PATIENCE, "check": False, **how}
    done = subprocess.run(command, **settings)  # type: ignore[call-overload]
    return done.returncode, done.stdout, done.stderr


WAITS = "import sys; print('up', flush=True); sys.stdin.read()"
"""A program that runs until its input ends."""
ARMED = "import sys; print('up', '_watcher_control_v1.arm' in sys.modules, flush=True); sys.stdin.read()"


def control(folder: Path) -> Path:
    return folder / "out" / ".watcher" / "x"


def recorded(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((control(folder) / "launch.json").read_text())
    return found


@contextmanager
def launched(folder: Path, *command: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Launch a command, wait until it says `up`, and end its input and itself in the end."""
    words, given = [*EXEC, *command], {**PLAIN, **environment}
    pipe = subprocess.PIPE
    with subprocess.Popen(words, cwd=folder, env=given, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        said_first = process.stdout.readline()
        assert said_first.startswith(b"up"), process.communicate(timeout=PATIENCE)
        process.said = said_first.decode().split()[1:]  # type: ignore[attr-defined]
        try:
            yield process
        finally:
            process.communicate(timeout=PATIENCE)
