"""Finding sample files: a walk over a run's sample folders that trusts nothing but the disk."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath

from watcher.discover.layout import Facts
from watcher.discover.runs import FoundRun

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A sample's file as it is now: bytes, modification time in nanoseconds."""

    path: Path
    size: int
    mtime_ns: int
    facts: Facts


def scan(run: FoundRun) -> Iterator[FoundFile]:
    """Give every sample file of a run; folders that are not there, or vanish meanwhile, hold none.

    Only regular files inside the run's folder count: symbolic links are left alone.
    """
    if run.layout is None:
        return
    for folder in run.layout.sample_folders(run.path):
        if not Path(os.path.realpath(folder)).is_relative_to(run.path):
            continue
        for entry in _files(folder):
            facts = run.layout.parse(PurePath(entry.path).relative_to(run.path))
            if facts is not None and _is_text(entry.path) and (found := _found(entry, facts)):
                yield found


def _is_text(path: str) -> bool:
    """Tell whether a path can be written down; Linux allows names that are not UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        _warn_once(os.fsencode(path))
        return False
    return True


@lru_cache(maxsize=1024)
def _warn_once(path: bytes) -> None:
    log.warning("%r: left out, its name is not UTF-8; rename it", path)


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from _files(Path(entry.path))
                else:
                    yield entry
    except OSError:
        return


def _found(entry: os.DirEntry[str], facts: Facts) -> FoundFile | None:
    try:
        info = entry.stat(follow_symlinks=False)
    except OSError:
        return None
    if not stat.S_ISREG(info.st_mode):
        return None
    return FoundFile(Path(entry.path), info.st_size, info.st_mtime_ns, facts)
