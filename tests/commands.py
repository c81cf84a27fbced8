"""`watcher` as users call it: in this process where a process adds nothing, else as one of its own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

from watcher.cli import main

PATIENCE = 120.0
"""Seconds; far more than any command takes, also on a busy machine."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command answered."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Read its output as strict JSON: NaN and Infinity, which Python would take, are refused."""
        found: dict[str, Any] = json.loads(self.out, parse_constant=_refuse)
        return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def here(*arguments: object) -> Answer:
    """Run a command in this process."""
    before, sys.argv = sys.argv, ["watcher", *(str(one) for one in arguments)]
    columns = os.environ.pop("COLUMNS", None)
    out, err = io.StringIO(), io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as end:
        return Answer(int(end.code), out.getvalue(), err.getvalue())
    finally:
        sys.argv = before
        os.environ.update({} if columns is None else {"COLUMNS": columns})
    raise AssertionError("main() has to end with an exit status")


def command(*arguments: object) -> list[str]:
    """Give the arguments that start a command as a process."""
    return [sys.executable, "-m", "watcher", *(str(one) for one in arguments)]


def alone(*arguments: object, environment: Mapping[str, str] | None = None, patience: float = PATIENCE) -> Answer:
    """Run a command as a process of its own."""
    done = subprocess.run(
        command(*arguments),
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=patience,
        env={**_plain(), **(environment or {})},
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def _plain() -> dict[str, str]:
    """Give our environment without what would shape the output."""
    shaping = ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "WATCHER_CONFIG")
    return {name: value for name, value in os.environ.items() if name not in shaping}
