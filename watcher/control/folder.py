"""Where the control folder of a run is: beside the run's folder, or in the state folder where that cannot be.

Never inside of the run's own: trainers upload and list that, and some refuse one that is not empty.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import Callable, NamedTuple

from . import proc
from .protocol import LAUNCH, read_json
from .start import LaunchError

BESIDE = ".watcher"
"""The folder beside the runs that holds a control folder for each."""
IN_STATE = "control"
"""The folder in the state folder that holds the control folders that cannot be beside their runs."""
_BAD_USAGE = 2


class Place(NamedTuple):
    """A control folder, which is there."""

    path: str
    run: str | None
    """The run's folder, which need not exist yet; None where it is not known."""
    why: str = ""
    """Why it is not beside the run's folder; empty where it is."""


class _CannotBeHereError(Exception):
    """There can be no control folder beside the run's."""


def place(run: str | None, launch_id: str, state: Callable[[], str]) -> Place:
    """Make the control folder of a launch, readable for nobody else; `state` gives the state folder if it is needed.

    Links in the path of the run's folder are resolved first, so that every path to it leads to the same place.

    Raises:
        LaunchError: it is there, but is not this user's or not private; or it can be made nowhere.

    """
    if run is None:
        return Place(_in_state(state(), launch_id), None, "the run's folder is not known")
    folder = os.path.realpath(run)
    try:
        found = _beside(folder)
    except _CannotBeHereError as error:
        return Place(_in_state(state(), state_name(folder)), folder, str(error))
    if is_busy(found):
        return Place(_in_state(state(), launch_id), folder, "another launch trains into the run's folder")
    return Place(found, folder)


def beside(run: str) -> str:
    """Give the path of the control folder beside a run's folder, whether or not it is there."""
    parent, name = os.path.split(os.path.realpath(run))
    return os.path.join(parent, BESIDE, name)


def state_name(run: str) -> str:
    """Give the name in the state folder of the control folder of a run, unique by the run's whole path."""
    digest = hashlib.sha256(os.fsencode(os.path.realpath(run))).hexdigest()[:12]
    return f"{os.path.basename(os.path.realpath(run))}-{digest}"


def is_busy(control: str) -> bool:
    """Tell whether a launch that the control folder records still runs on this machine."""
    known = read_json(os.path.join(control, LAUNCH)) or {}
    here = (known.get("boot_id"), known.get("pid_namespace")) == (proc.boot_id(), proc.pid_namespace())
    pid, start = known.get("pid"), known.get("start_time")
    return here and isinstance(pid, int) and isinstance(start, int) and proc.lives(pid, start)


def _beside(run: str) -> str:
    path = beside(run)
    shared, name = os.path.split(path)
    if not name:
        raise _CannotBeHereError("the run's folder has no parent")
    try:
        os.makedirs(shared, mode=0o755, exist_ok=True)  # also where new folders are the group's
        _refuse_open(shared)
        return _private(path)
    except OSError as error:
        raise _CannotBeHereError(f"{error.filename or path}: {error.strerror or error}") from error


def _refuse_open(shared: str) -> None:
    """Refuse a folder in which somebody else could put another control folder in place of ours."""
    info = os.stat(shared)
    is_open = bool(info.st_mode & 0o022) and not info.st_mode & stat.S_ISVTX
    if info.st_uid not in (os.geteuid(), 0) or is_open:
        raise _CannotBeHereError(f"others may change {shared}")


def _in_state(state: str, name: str) -> str:
    path = os.path.join(state, IN_STATE, name)
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        return _private(path)
    except (OSError, _CannotBeHereError) as error:
        raise LaunchError(f"no control folder can be made: {error}; `--config` names another state folder") from error


def _private(path: str) -> str:
    """Make a folder that only this user can look into, or make sure that it is one.

    Raises:
        LaunchError: what is there must not be used.
        _CannotBeHereError: the file system cannot keep it private.
        OSError: it cannot be made.

    """
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        _refuse_unsafe(path)
        return path
    if os.lstat(path).st_mode & 0o077:
        os.rmdir(path)
        raise _CannotBeHereError(f"the file system of {path} cannot keep a folder private")
    return path


def _refuse_unsafe(path: str) -> None:
    info = os.lstat(path)
    if not stat.S_ISDIR(info.st_mode):
        raise LaunchError(f"control folder {path} is no folder; move it away", _BAD_USAGE)
    if info.st_uid != os.geteuid():
        whose = f"belongs to user {info.st_uid}, this is user {os.geteuid()}"
        raise LaunchError(f"control folder {path} {whose}; start it as that user, or name another --run", _BAD_USAGE)
    if info.st_mode & 0o077:
        raise LaunchError(f"control folder {path} is open to others; `chmod 700` it, or move it away", _BAD_USAGE)
