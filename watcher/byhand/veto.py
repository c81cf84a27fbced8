"""Vetoes by hand: a fact in the store, or the file `HOLD` where no daemon knows the run."""

from __future__ import annotations

import getpass
import os
import time
from pathlib import Path

from watcher.byhand.meant import Meant
from watcher.config import find_config, load_sections, state_folder
from watcher.errors import StepError
from watcher.nouns import HOLD
from watcher.record import holds, runs
from watcher.record.held import Hold
from watcher.record.store import open_beside
from watcher.steps import freezing

MARK = "held by "
"""How a file `HOLD` begins that `watcher hold` has written."""


def who() -> str:
    """Give the name of the user who gives the order."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"user {os.getuid()}"


def hold(meant: Meant, why: str) -> str:
    """Veto every action on a run; gives what was done, for people. A second time, only the reason may change.

    Raises:
        StoreError: the store cannot be written.
        OSError: the folder cannot be written.

    """
    new = Hold(who(), time.time(), why)
    if meant.store is None:
        return _hold_folder(meant.run.path, new)
    with meant.store.change("hold") as db:
        before = holds.of_run(db, meant.run.id)
        if before is not None and why in ("", before.why):
            return f"{meant.run.name} is already {before}"
        holds.put(db, meant.run.id, new)
        runs.add_event(db, meant.run.id, "held", str(new), new.at)
    return f"{meant.run.name} is {new}. Nothing is done to it until `watcher release`."


def _hold_folder(folder: Path, new: Hold) -> str:
    place = folder / HOLD
    try:
        with place.open("x") as file:
            file.write(f"{new}\n")
    except FileExistsError:
        return f"{folder} is already held: {place} exists"
    return f"{folder} is {new}. No daemon knows it, so this stands in the file {place}."


def thaw(config: Path | None) -> str:
    """Let rules act again, which only observe since a budget was spent; gives what was done, for people.

    Raises:
        ConfigError: there is no configuration that can be used.
        StoreError: the store cannot be written.

    """
    state = state_folder(load_sections(config.expanduser() if config else find_config(), "state"))
    store = open_beside(state)
    if store is None:
        return f"nothing is frozen: no daemon has run over {state} yet"
    try:
        with store.change("release all") as db:
            why = freezing.thaw(db, who(), time.time())
    finally:
        store.close()
    return f"rules may act again; they only observed because {why}" if why else "nothing is frozen"


def release(meant: Meant) -> str:
    """Take a veto back; gives what was done, for people. A file `HOLD` that somebody else made is left alone.

    Raises:
        StepError: the run stays held by such a file; says how to remove it.
        StoreError: the store cannot be written.
        OSError: the folder cannot be written.

    """
    done = [*_release_fact(meant), *_release_file(meant.run.path)]
    return f"{meant.run.name} is released" if done else f"{meant.run.name} was not held"


def _release_fact(meant: Meant) -> list[str]:
    if meant.store is None:
        return []
    with meant.store.change("release") as db:
        before = holds.of_run(db, meant.run.id)
        if before is None:
            return []
        holds.drop(db, meant.run.id)
        runs.add_event(db, meant.run.id, "released", f"by {who()}; it was {before}", time.time())
    return [str(before)]


def _release_file(folder: Path) -> list[str]:
    place = folder / HOLD
    if not os.path.lexists(place):
        return []
    if not _is_ours(place):
        raise StepError(f"{folder} is still held: {place} was not made by `watcher hold`; remove it with `rm {place}`")
    place.unlink()
    return [str(place)]


def _is_ours(place: Path) -> bool:
    return not place.is_symlink() and place.is_file() and place.read_bytes()[:100].startswith(MARK.encode())
