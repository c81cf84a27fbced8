"""The state folder: local, writable, one's own; and the daemon that holds it."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from watcher.doctor.finding import Finding, fail, ok, warn
from watcher.doctor.hardware import space
from watcher.doctor.patient import Patient
from watcher.errors import StoreError
from watcher.record.store import NETWORK_FILE_SYSTEMS, file_system
from watcher.view.life import daemon

ROOM = 2**29
"""Bytes; a store grows slowly, but a full disk stops it."""


def state(patient: Patient) -> Iterator[Finding]:
    """Look at the folder, then at what is in it."""
    folder = patient.state
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    kind = file_system(there)
    if kind in NETWORK_FILE_SYSTEMS:
        yield fail("state", f"{folder} is on a network file system ({kind})", "set `state:` to a local folder")
    elif fault := _unwritable(there):
        yield fail("state", f"{folder} cannot be written: {fault}", "set `state:` to a folder of your own")
    else:
        yield _folder(folder, kind)
    yield from space(there, "state", ROOM)
    yield _daemon(patient)


def _unwritable(folder: Path) -> str:
    """Say why a file cannot be made in a folder; empty when it can."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _folder(folder: Path, kind: str) -> Finding:
    if not folder.is_dir():
        return ok("state", f"{folder} is made at the first start ({kind or 'local'})")
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o077 and folder.stat().st_uid == os.geteuid():
        return warn("state", f"{folder} may be read by others (mode {mode:o})", f"chmod 700 {folder}")
    return ok("state", f"{folder} is local ({kind}) and can be written")


def _daemon(patient: Patient) -> Finding:
    try:
        told: object = patient.facts.get("daemon", {})
    except StoreError as error:
        return fail("daemon", str(error), "`watcher run` starts it")
    found = daemon(told if isinstance(told, Mapping) else {})
    match found["state"]:
        case "running":
            return ok("daemon", f"runs as process {found['pid']}")
        case "never":
            return ok("daemon", "none has run yet", "start it with `watcher run`, or as a service")
        case "unseen":
            return ok("daemon", f"runs on {found['host']}, if it still does")
        case "died":
            return warn("daemon", f"process {found['pid']} died without a word", "start it again: it goes on")
        case other:
            return warn("daemon", str(other), "start it with `watcher run`, or as a service")
