"""Trainings that run on this machine now, by what their command lines say; nothing of them is touched."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from watcher.launch import launch_settings

LASTS = 5.0
"""Seconds for which one look at all processes counts."""
_HINTS = (b"output_dir", b"config_file")


@dataclass(frozen=True, slots=True)
class Running:
    """A training that runs: its processes, their options and those of their configuration file, by name."""

    pids: tuple[int, ...]
    cwd: Path
    settings: Mapping[str, str]
    started_at: float = 0.0
    """Wall time, exact to about a second; 0 when unknown."""

    def path(self, name: str) -> Path | None:
        """Give a setting as a path as the process sees it; None when it is not set."""
        value = self.settings.get(name)
        return self.cwd / Path(value) if value else None


def running(folder: Path, stream: str) -> Running | None:
    """Find the training into a folder under this `output_name`; None where there is none, or two that differ.

    A launcher, its child and the processes of several GPUs all say the same.
    """
    found = [one for one in _all(int(time.monotonic() / LASTS)) if _is(one, folder, stream)]
    if not found or any((one.cwd, one.settings) != (found[0].cwd, found[0].settings) for one in found):
        return None
    first = min(one.started_at for one in found)
    return replace(found[0], pids=tuple(pid for one in found for pid in one.pids), started_at=first)


def running_into(folder: Path) -> list[Running]:
    """Give every process that was told to write into a folder, by pid."""
    return [one for one in _all(int(time.monotonic() / LASTS)) if _is_into(one, folder)]


def _is(one: Running, folder: Path, stream: str) -> bool:
    return one.settings.get("output_name", "") == stream and _is_into(one, folder)


def _is_into(one: Running, folder: Path) -> bool:
    output = one.path("output_dir")
    return output is not None and os.path.realpath(output) == os.path.realpath(folder)


@lru_cache(maxsize=1)
def _all(_look: int) -> tuple[Running, ...]:
    return tuple(_read())


def _read() -> Iterator[Running]:
    """Read the command lines of all processes that could be trainings, by pid."""
    for entry in sorted((name for name in os.listdir("/proc") if name.isdecimal()), key=int):
        process = Path("/proc", entry)
        try:
            line = (process / "cmdline").read_bytes()
            if any(hint in line for hint in _HINTS):
                argv = [os.fsdecode(part) for part in line.split(b"\0")[:-1]]
                cwd = Path(os.readlink(process / "cwd"))
                yield Running((int(entry),), cwd, launch_settings(argv, cwd), _started_at(process))
        except (OSError, ValueError):  # it ended, or is another user's
            continue


def _started_at(process: Path) -> float:
    """Give when a process began (wall time); proc(5): `starttime` is in clock ticks since the boot at `btime`.

    Raises:
        OSError: it is gone.

    """
    ticks = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()[19]
    boot = re.search(r"^btime (\d+)$", Path("/proc/stat").read_text(), re.MULTILINE)
    return float(boot[1]) + int(ticks) / os.sysconf("SC_CLK_TCK") if boot else 0.0
