"""The script that trains into a folder on this machine now, by its command line; nothing of it is touched."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import psutil

LASTS = 5.0
"""Seconds for which one look at all processes counts."""
_HINT = b"output_dir"


@dataclass(frozen=True, slots=True)
class Running:
    """A script that runs: its options with all their values, and when it was started (wall time)."""

    cwd: Path
    options: Mapping[str, Sequence[str]]
    started: float


def running(folder: Path) -> Running | None:
    """Find the script whose `--output_dir` is a folder; None where there is none, or two that differ.

    A launcher, its child and the processes of several GPUs all say the same; the youngest of them counts.
    """
    found = [one for one in _all(int(time.monotonic() / LASTS)) if _trains_into(one, folder)]
    if not found or any((one.cwd, one.options) != (found[0].cwd, found[0].options) for one in found):
        return None
    return max(found, key=lambda one: one.started)


def read_options(argv: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Read a script's options as argparse does: `--validation_prompts "a cat" "a dog"` has two values.

    What stands before the script belongs to a launcher. Dashes in names count as underscores.
    """
    scripts = [place for place, part in enumerate(argv) if part.endswith(".py") and not part.startswith("-")]
    options: dict[str, tuple[str, ...]] = {}
    name = ""
    for part in argv[scripts[0] + 1 :] if scripts else ():
        if part.startswith("--"):
            name, is_given, value = part[2:].partition("=")
            name = name.replace("-", "_")
            options[name] = (value,) if is_given else ()
        elif name:
            options[name] += (part,)
    return options


def _trains_into(one: Running, folder: Path) -> bool:
    named = one.options.get("output_dir", ())
    return bool(named) and os.path.realpath(one.cwd / named[-1]) == os.path.realpath(folder)


@lru_cache(maxsize=1)
def _all(_look: int) -> tuple[Running, ...]:
    return tuple(_read())


def _read() -> Iterator[Running]:
    """Read the command lines of all processes that could be such scripts."""
    for entry in sorted((name for name in os.listdir("/proc") if name.isdecimal()), key=int):
        process = Path("/proc", entry)
        try:
            line = (process / "cmdline").read_bytes()
            if _HINT in line.replace(b"-", b"_"):
                argv = [os.fsdecode(part) for part in line.split(b"\0")[:-1]]
                started = psutil.Process(int(entry)).create_time()
                yield Running(Path(os.readlink(process / "cwd")), read_options(argv), started)
        except (OSError, ValueError, psutil.Error):  # it ended, or is another user's
            continue
