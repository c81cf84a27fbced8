"""Processes as `/proc` shows them (proc(5)); one that vanishes while it is read is simply not there."""

from __future__ import annotations

import os
from typing import NamedTuple


class Process(NamedTuple):
    """One process at one moment; (boot, pid namespace, pid, start) never comes twice."""

    pid: int
    parent: int
    group: int
    session: int
    start: int
    """Clock ticks after boot."""
    state: str
    """R, S, D, T, Z, ..."""


def read(pid: int) -> Process | None:
    """Read one process; None where there is none, or where the system hides it."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return None
    # The name, in brackets, may itself hold spaces and brackets: fields count from the last one.
    fields = text[text.rindex(")") + 2 :].split()
    return Process(pid, int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]), fields[0])


def everything() -> dict[int, Process]:
    """Read all processes, by pid."""
    found = (read(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return {process.pid: process for process in found if process is not None}


def lives(pid: int, start: int) -> bool:
    """Tell whether the process that had this pid and start still runs; a zombie has ended."""
    process = read(pid)
    return process is not None and process.start == start and process.state not in "ZX"


def environment(pid: int) -> dict[str, str]:
    """Give the environment that a process was started with; nothing where it is another user's or gone."""
    pairs = (part.partition("=") for part in _parts(pid, "environ"))
    return {name: value for name, equals, value in pairs if equals}


def arguments(pid: int) -> list[str]:
    """Give a process's command line; nothing where it is gone."""
    return _parts(pid, "cmdline")


def program(pid: int) -> str:
    """Give the path of the program file that a process runs; empty where it is another user's or gone."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def boot_id() -> str:
    """Give this boot's id."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def pid_namespace() -> str:
    """Give the namespace that pids count in here; empty where it cannot be read."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _parts(pid: int, name: str) -> list[str]:
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            text = file.read()
    except OSError:
        return []
    return [os.fsdecode(part) for part in text.split(b"\0")[:-1]]
