"""Whether file events arrive, and whether there are enough of them to give."""

from __future__ import annotations

import os
import queue
import tempfile
from collections.abc import Iterator
from pathlib import Path

from watcher.discover import Hint, Observer
from watcher.doctor.finding import Finding, ok, warn
from watcher.doctor.patient import Patient
from watcher.record.store import NETWORK_FILE_SYSTEMS, file_system
from watcher.view.text import counted

WAIT = 5.0
"""Seconds in which an event has to come."""
LIMITS = Path("/proc/sys/fs/inotify")
SCANNED = "images are still found, by a look every ten seconds"


def events(patient: Patient) -> Iterator[Finding]:
    """Try file events in a folder of our own, and compare the kernel's limits with the folders to be watched."""
    yield _trial(patient.state)
    yield _limits(patient)
    yield from _networks(patient)


def _trial(state: Path) -> Finding:
    """Write a file beside the store, or where temporary files go, and wait for its event; never in a run's folder."""
    with tempfile.TemporaryDirectory(prefix="watcher-doctor-", dir=_place(state)) as folder:
        if _arrives(Path(folder)):
            return ok("events", "file events arrive")
    return warn("events", "no file event came for a file just written", f"{SCANNED}; see the kernel's inotify limits")


def _place(state: Path) -> Path | None:
    return state if state.is_dir() and os.access(state, os.W_OK) else None


def _arrives(folder: Path) -> bool:
    hints: queue.SimpleQueue[Hint] = queue.SimpleQueue()
    observer = Observer(hints.put)
    observer.start()
    try:
        observer.watch([folder])
        (folder / "trial").write_bytes(b"x")
        hints.get(timeout=WAIT)
    except queue.Empty:
        return False
    finally:
        observer.stop()
    return True


def _limits(patient: Patient) -> Finding:
    wanted = sum(_folders(place) for run in patient.runs if run.layout for place in run.layout.sample_folders(run.path))
    limit, used = _number("max_user_watches"), _used()
    told = f"{counted(wanted, 'folder')} to watch; this user has {used} of {limit} inotify watches in use"
    if limit is not None and wanted > limit - used:
        more = max(2 * (wanted + used), 524288)
        return warn("inotify", told, f"{SCANNED}; for events: sudo sysctl fs.inotify.max_user_watches={more}")
    return ok("inotify", told)


def _folders(top: Path) -> int:
    return sum(1 for _ in os.walk(top))


def _number(name: str) -> int | None:
    try:
        return int((LIMITS / name).read_text())
    except (OSError, ValueError):
        return None


def _used() -> int:
    """Count this user's inotify watches: a line each in /proc/PID/fdinfo, see proc(5)."""
    return sum(_watches(Path(entry)) for entry in os.scandir("/proc") if entry.name.isdigit())


def _watches(process: Path) -> int:
    try:
        if process.stat().st_uid != os.geteuid():
            return 0
        links = [name for name in os.listdir(process / "fd") if _is_inotify(process / "fd" / name)]
        texts = [(process / "fdinfo" / name).read_text() for name in links]
    except OSError:  # it ended meanwhile, or hides
        return 0
    return sum(line.startswith("inotify ") for text in texts for line in text.splitlines())


def _is_inotify(link: Path) -> bool:
    try:
        return os.readlink(link) == "anon_inode:inotify"
    except OSError:
        return False


def _networks(patient: Patient) -> Iterator[Finding]:
    kinds = {run.path: kind for run in patient.runs if (kind := file_system(run.path)) in NETWORK_FILE_SYSTEMS}
    if kinds:
        named = ", ".join(sorted(set(kinds.values())))
        told = f"{counted(len(kinds), 'run')} on a network file system ({named}), such as {next(iter(kinds))}"
        yield ok("network", f"{told}: events of other machines do not come from there, so it is looked into regularly")
