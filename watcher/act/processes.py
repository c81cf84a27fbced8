"""Processes as `/proc` shows them (proc(5)); a process that vanishes while it is read is simply not there."""

from __future__ import annotations

import functools
import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from watcher.act.redact import redacted

PROC = Path("/proc")
CLOCK_SLACK = 1.0
"""Seconds; the kernel tells start times relative to a boot time that is exact to a second."""
_WRITING = os.O_WRONLY | os.O_RDWR


Key = tuple[int, int]
"""Pid and start: a process for as long as this boot lasts."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process at one moment; (boot, pid namespace, pid, start) never comes twice."""

    pid: int
    parent: int
    group: int
    session: int
    start: int
    """Clock ticks after boot."""
    uid: int
    """Effective user."""
    state: str
    """R, S, D, Z, ..."""
    argv: tuple[str, ...]
    threads: int = 1

    @property
    def alive(self) -> bool:
        """Whether it still runs: a zombie has ended, unless only its first thread has (it still holds its GPU)."""
        return self.state not in ("Z", "X") or self.threads > 1

    @property
    def command(self) -> str:
        """Give its command line as it is, secrets included: to be searched, never to be stored or shown."""
        return " ".join(self.argv)

    @property
    def shown(self) -> str:
        """Give its command line for people: secrets are hidden, and it is cut short."""
        return redacted(self.argv)

    @property
    def started_at(self) -> float:
        """Give the wall time of its start, exact to about a second."""
        return boot_time() + self.start / os.sysconf("SC_CLK_TCK")


def read(pid: int) -> Process | None:
    """Read one process; None when there is none, or when the system hides it (`hidepid`).

    Raises:
        OSError: it cannot be read just now (no descriptors left, ...), which does not mean that it is gone.

    """
    try:
        # A name is cut at 15 bytes, perhaps in the middle of a letter.
        text = (PROC / str(pid) / "stat").read_text(errors="replace")
        uid = _uid((PROC / str(pid) / "status").read_text(errors="replace"))
        argv = (PROC / str(pid) / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    # The name, in brackets, may itself hold spaces and brackets: fields count from the last one.
    fields = text[text.rindex(")") + 2 :].split()
    return Process(
        pid=pid,
        state=fields[0],
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        threads=int(fields[17]),
        start=int(fields[19]),
        uid=uid,
        argv=tuple(part.decode(errors="replace") for part in argv),
    )


def everything() -> dict[int, Process]:
    """Read all processes, by pid."""
    found = (read(int(name)) for name in os.listdir(PROC) if name.isdigit())
    return {process.pid: process for process in found if process is not None}


def descendants(roots: Iterable[int], known: Mapping[int, Process]) -> set[int]:
    """Give the pids below some roots, and the roots themselves."""
    children: dict[int, list[int]] = {}
    for process in known.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    waiting = [pid for pid in roots if pid in known]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, [])
    return found


def ancestors(pid: int, known: Mapping[int, Process]) -> set[int]:
    """Give a process and everything that it descends from."""
    found: set[int] = set()
    while pid in known and pid not in found:
        found.add(pid)
        pid = known[pid].parent
    return found


def seen_by(pid: int, path: Path) -> Path:
    """Give a path as a process sees it: from its own root, which a container may have, and its working folder."""
    return PROC / str(pid) / ("root" if path.is_absolute() else "cwd") / str(path).lstrip("/")


def program(pid: int) -> str:
    """Give the name of the program file that a process runs; empty when it is another user's or gone."""
    try:
        return Path(os.readlink(PROC / str(pid) / "exe")).name
    except OSError:
        return ""


def ignores(pid: int, number: int) -> bool:
    """Tell whether a process ignores a signal (`SigIgn` in proc(5)); not so of one that is gone."""
    return _is_in(pid, "SigIgn", number)


def catches(pid: int, number: int) -> bool:
    """Tell whether a process handles a signal itself (`SigCgt` in proc(5)); not so of one that is gone."""
    return _is_in(pid, "SigCgt", number)


def _is_in(pid: int, mask: str, number: int) -> bool:
    try:
        text = (PROC / str(pid) / "status").read_text(errors="replace")
    except OSError:
        return False
    bits = next(line.split()[1] for line in text.splitlines() if line.startswith(f"{mask}:"))
    return bool(int(bits, 16) >> (number - 1) & 1)


def environment(pid: int) -> dict[str, str]:
    """Give the environment that a process was started with; nothing when it is another user's or gone."""
    try:
        text = (PROC / str(pid) / "environ").read_bytes().decode(errors="replace")
    except OSError:
        return {}
    return dict(part.split("=", 1) for part in text.split("\0") if "=" in part)


def written_files(pid: int) -> list[Path]:
    """Give the files that a process has open for writing; none when it is another user's or gone."""
    try:
        names = os.listdir(PROC / str(pid) / "fd")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []
    return [path for name in names if (path := _written(pid, name))]


def _written(pid: int, descriptor: str) -> Path | None:
    try:
        target = os.readlink(PROC / str(pid) / "fd" / descriptor)
        written = target.startswith("/") and _is_written(pid, descriptor)
    except (FileNotFoundError, ProcessLookupError, PermissionError):  # closed just now
        return None
    return Path(target.removesuffix(" (deleted)")) if written else None


def _is_written(pid: int, descriptor: str) -> bool:
    info = (PROC / str(pid) / "fdinfo" / descriptor).read_text()
    flags = next(line.split()[1] for line in info.splitlines() if line.startswith("flags:"))
    return bool(int(flags, 8) & _WRITING)


def _uid(status: str) -> int:
    line = next(line for line in status.splitlines() if line.startswith("Uid:"))
    return int(line.split()[2])


def pid_namespace(pid: int | str = "self") -> str:
    """Give the namespace that a process's pid counts in; empty when it cannot be read."""
    try:
        return os.readlink(PROC / str(pid) / "ns" / "pid")
    except OSError:
        return ""


@functools.cache
def boot_id() -> str:
    """Give this boot's id."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def boot_time() -> float:
    """Give the wall time of the boot; it moves when the clock is set."""
    line = next(line for line in (PROC / "stat").read_text().splitlines() if line.startswith("btime "))
    return float(line.split()[1])


def host() -> str:
    """Give this machine's name."""
    return socket.gethostname()
