"""Trainings that run on this machine now, by what their command lines say; nothing of them is touched.

The last source of what a layout's own files do not tell, prompts above all. Of processes that may not be looked into,
such as those of other users, nothing is known.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import psutil

from watcher.launch import is_output, launch_settings, launch_words

LASTS = 5.0
"""Seconds for which one look at all processes counts."""
SLACK = 2.0
"""Seconds by which the clocks of files and of processes may differ."""
CONFIGS = (".json", ".toml", ".yaml", ".yml")
_HINTS = (b"python", b".py", b"accelerate", b"simpletuner", b"output_dir", b"config_file")
"""Parts of command lines of what could be a training."""


@dataclass(frozen=True, slots=True)
class Running:
    """A training that runs: its processes, their options and those of their configuration file, by name."""

    pids: tuple[int, ...]
    cwd: Path
    settings: Mapping[str, str]
    words: Mapping[str, tuple[str, ...]]
    """All words that follow each option of the command line; those before the first one under an empty name."""
    argv: tuple[str, ...] = ()
    """The command line of its first process."""

    @property
    def source(self) -> Path:
        """Where its command line stands."""
        return Path("/proc", str(self.pids[0]), "cmdline")

    @property
    def files(self) -> list[Path]:
        """The configuration files that its command line names, as options or alone."""
        named = [word for words in self.words.values() for word in words if word.endswith(CONFIGS)]
        return [self.cwd / word for word in named]

    def path(self, name: str) -> Path | None:
        """Give a setting as a path as the process sees it; None when it is not set."""
        value = self.settings.get(name)
        return self.cwd / Path(value) if value else None

    def texts(self, name: str) -> tuple[str, ...]:
        """Give all values of a setting; of a configuration file's, only one is known."""
        value = self.settings.get(name)
        return self.words.get(name) or ((value,) if value else ())

    @property
    def started_at(self) -> float:
        """When its first process was started (wall time); 0 when that has ended."""
        try:
            return psutil.Process(self.pids[0]).create_time()
        except psutil.Error:
            return 0.0

    def has_read(self, path: Path) -> bool:
        """Tell whether a file is as it was when the training was started: many read their configuration only then."""
        try:
            return path.stat().st_mtime <= self.started_at + SLACK
        except OSError:
            return False

    def writes_to(self, folder: Path) -> bool:
        """Tell whether one of its settings names a folder as the one to write to."""
        real = os.path.realpath(folder)
        named = [value for name, value in self.settings.items() if value and is_output(name)]
        return any(leads_to(self.cwd, value, real) for value in named)


def leads_to(base: Path, named: str, real: str) -> bool:
    """Tell whether a path that counts from a folder is a real path."""
    try:
        return os.path.realpath(base / os.path.expanduser(named)) == real  # noqa: PTH111 - raises for unknown users
    except (OSError, ValueError):  # an option may hold anything
        return False


def running(is_meant: Callable[[Running], bool]) -> Running | None:
    """Find the training that is meant; None where there is none, or two that differ.

    A launcher, its child and the processes of several GPUs all say the same.
    """
    found = meant(is_meant)
    if not found or any((one.cwd, one.settings) != (found[0].cwd, found[0].settings) for one in found):
        return None
    return replace(found[0], pids=tuple(pid for one in found for pid in one.pids))


def meant(is_meant: Callable[[Running], bool]) -> list[Running]:
    """Give every process that is meant, by pid."""
    return [one for one in processes(int(time.monotonic() / LASTS)) if is_meant(one)]


@lru_cache(maxsize=1)
def processes(_look: int) -> tuple[Running, ...]:
    """Give all processes that could be trainings, by pid, as the look of this number saw them."""
    return tuple(_read())


def _read() -> Iterator[Running]:
    """Read the command lines of all processes that could be trainings, by pid."""
    for entry in sorted((name for name in os.listdir("/proc") if name.isdecimal()), key=int):
        process = Path("/proc", entry)
        try:
            line = (process / "cmdline").read_bytes()
            if any(hint in line for hint in _HINTS):
                argv = tuple(os.fsdecode(part) for part in line.split(b"\0")[:-1])
                cwd = Path(os.readlink(process / "cwd"))
                yield Running((int(entry),), cwd, launch_settings(argv, cwd), launch_words(argv), argv)
        except (OSError, ValueError):  # it ended, or is another user's
            continue
