"""The lock of a state folder: one process at a time carries its actions out."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from watcher.errors import ConfigError

PATIENCE = 10.0
"""Seconds that a daemon waits for a command, which holds the lock for one step of an action at a time."""


class LockedError(ConfigError):
    """Another process has the state folder."""


@contextmanager
def locked(state: Path, command: str = "") -> Iterator[None]:
    """Hold the state folder's lock; the kernel gives it back however the process ends.

    `command` names a command that only borrows it; without one it is the daemon, which waits for such commands.

    Raises:
        LockedError: another process holds it.
        ConfigError: there can be none.

    """
    with _lock_file(state) as file:
        _take(file, state, 0.0 if command else PATIENCE)
        with suppress(OSError):  # on a full disk the owner, which is for people only, stays unknown
            file.truncate(0)
            file.write(f"{os.getpid()} {command}".strip().encode())
        yield


def _take(file: IO[bytes], state: Path, patience: float) -> None:
    deadline = time.monotonic() + patience
    while not _taken(file, state):
        pid, _, command = os.pread(file.fileno(), 80, 0).decode(errors="replace").strip().partition(" ")
        if command and time.monotonic() < deadline:
            time.sleep(0.05)
            continue
        who = f"`{command}` (pid {pid}) works" if command else f"a daemon (pid {pid or 'unknown'}) already watches"
        raise LockedError(f"{who} with state folder {state}; stop it, or set another `state:`")


def _taken(file: IO[bytes], state: Path) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:  # a file system without locks
        raise _unusable(state, error) from error
    return True


def _lock_file(state: Path) -> IO[bytes]:
    """Make the state folder where it is not there yet, and open its lock.

    Raises:
        ConfigError: the folder cannot be made or written.

    """
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        return (state / "lock").open("ab+", buffering=0)
    except OSError as error:
        raise _unusable(state, error) from error


def _unusable(state: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"state folder {state} cannot be used: {error.strerror}; set `state:` in watcher.yaml to a folder that "
        "this user can write"
    )
