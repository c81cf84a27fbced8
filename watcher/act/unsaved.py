"""Whether a training is just writing a checkpoint: then the time that it has to end is not over."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from watcher.act import processes
from watcher.act.identity import Member
from watcher.act.ties import Output

SUFFIXES = frozenset({".bin", ".ckpt", ".distcp", ".pkl", ".pt", ".pth", ".safetensors", ".tmp"})
"""Of files that hold weights or an optimizer's state; `.tmp` is what some are called while they are written."""
STILL = 60.0
"""Seconds in which a file that somebody writes does not grow, after which nothing is written any more."""


def writing(output: Output, members: Sequence[Member]) -> str:
    """Name a checkpoint's file below the run's folder that one of these processes is writing; empty where none is.

    It is told by what they have open for writing, and that it has changed just now by the clock of this machine.
    """
    folder = os.path.realpath(output.folder)
    for member in members:
        for path in processes.written_files(member.pid):
            if path.suffix in SUFFIXES and str(path).startswith(f"{folder}{os.sep}") and _changes(path):
                return str(path)
    return ""


def _changes(path: Path) -> bool:
    try:
        return abs(time.time() - path.stat().st_mtime) < STILL
    except OSError:  # it is gone: renamed into place, or given up
        return False
