"""How a run's new images are noticed: by file events where they come, else by looking again and again."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from watcher.discover.runs import FoundRun, RunSettings
from watcher.mounts import Mounts

_GLOB = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Watching:
    """How one run is watched."""

    place: str
    """The file system that it lies on, such as `nfs4 at /mnt/lustre`."""
    every: float | None = None
    """Seconds between two looks, where it is polled; None where file events tell."""
    chosen: bool = False
    """By the user, not by the file system."""

    def __str__(self) -> str:
        """Say how, and why."""
        how = "by file events" if self.every is None else f"polled every {self.every:g} s"
        return f"{how}: {self.place}" + (", chosen in the configuration" if self.chosen else "")


def watching(run: FoundRun, mounts: Mounts) -> Watching:
    """Say how a run is watched, by its settings and the file system that it lies on now."""
    return _watching(run.path, run.settings, mounts)


def searching(entry: RunSettings, mounts: Mounts) -> Watching:
    """Say how an entry's folders are searched for, by the folder above everything that it matches."""
    fixed = _GLOB.split(entry.path)[0]
    return _watching(Path(os.path.abspath(fixed)), entry, mounts)  # noqa: PTH100


def _watching(folder: Path, settings: RunSettings, mounts: Mounts) -> Watching:
    mount = mounts.of(folder)
    polled = mount.is_remote if settings.watch == "auto" else settings.watch == "poll"
    return Watching(str(mount), settings.poll if polled else None, settings.watch != "auto")
