"""Processes as `/proc` shows them (proc(5)); a process that vanishes while it is read is simply not there."""

from __future__ import annotations

import functools
import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_WRITING = os.O_WRONLY | os.O_RDWR


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
    """R, S, D, Z, ...; a zombie has ended."""
    argv: tuple[str, ...]

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.state not in ("Z", "X")

    @property
    def command(self) -> str:
        """Give its command line."""
        return " ".join(self.argv)

    @property
    def started_at(self) -> float:
        """Give the wall time of its start, exact to about a second."""
        return boot_time() + self.start / os.sysconf("SC_CLK_TCK")


def read(pid: int) -> Process | None:
    """Read one process; None when there is none."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
        uid = _uid((PROC / str(pid) / "status").read_text())
        argv = (PROC / str(pid) / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except (OSError, ValueError):
        return None
    # The name, in brackets, may itself hold spaces and brackets: fields count from the last one.
    fields = text[text.rindex(")") + 2 :].split()
    return Process(
        pid=pid,
        state=fields[0],
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
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


def working_folder(pid: int) -> Path | None:
    """Give a process's working folder; None when it is another user's or gone."""
    try:
        return Path(os.readlink(PROC / str(pid) / "cwd"))
    except OSError:
        return None


def written_files(pid: int) -> list[Path]:
    """Give the files that a process has open for writing."""
    found = []
    try:
        for name in os.listdir(PROC / str(pid) / "fd"):
            target = os.readlink(PROC / str(pid) / "fd" / name)
            if target.startswith("/") and _is_written(pid, name):
                found.append(Path(target.removesuffix(" (deleted)")))
    except OSError:
        return found
    return found


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
