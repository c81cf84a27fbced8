"""Finding sample files: a walk over a run's sample folders that trusts nothing but the disk."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath

from watcher.discover import events
from watcher.discover.layout import Facts, Layout
from watcher.discover.runs import FoundRun

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A sample's file as it is now: bytes, modification time in nanoseconds."""

    path: Path
    size: int
    mtime_ns: int
    facts: Facts
    prompt: str | None = None
    """What it bears itself, see `Layout.own_prompt`; asked for once it is whole."""


def scan(
    run: FoundRun, before: Mapping[str, FoundFile] | None = None, trusted: Container[str] = ()
) -> Iterator[FoundFile]:
    """Give every sample file of a run; folders that are not there, or vanish meanwhile, hold none.

    Only regular files inside the run's folder count: symbolic links are left alone. Folders are read anew each time, as
    their own times lie on network file systems. What an earlier scan gave, by path, is given again where size and time
    are the same; of those in `trusted` they are not even asked for.
    """
    if run.layout is None:
        return
    # There may be a million files: what is the same for all of them comes first.
    layout, stream, place, above = run.layout, run.stream, run.place, len(str(run.path).rstrip("/")) + 1
    for folder in layout.sample_folders(run.path):
        if not Path(os.path.realpath(folder)).is_relative_to(run.path):
            continue
        for entry in _files(folder):
            if layout.in_event_files and events.is_event_file(entry.name):
                yield from _embedded(run, layout, entry)
                continue
            old = before.get(entry.path) if before else None
            if old is not None and (entry.path in trusted or _is_same(entry, old)):
                yield old
                continue
            facts = layout.parse(PurePath(entry.path[above:]))
            if facts is None or facts.stream != stream or not _is_text(entry.path):
                continue
            info = _stat(entry)
            if info and (dated := layout.dated(place, facts, info.st_mtime_ns / 1e9)):
                yield FoundFile(Path(entry.path), info.st_size, info.st_mtime_ns, dated)


def _embedded(run: FoundRun, layout: Layout, entry: os.DirEntry[str]) -> Iterator[FoundFile]:
    """Give the samples in an event file; one that is gone, or may not be read, holds none."""
    if _stat(entry) is None or not _is_text(entry.path):
        return
    try:
        pictures = events.pictures(Path(entry.path))
    except OSError:
        return
    relative = PurePath(entry.path).relative_to(run.path)
    for picture in pictures:
        facts = layout.embedded(relative, picture)
        if facts is None or facts.stream != run.stream:
            continue
        if dated := layout.dated(run.place, facts, picture.written_at):
            yield FoundFile(picture.path, picture.size, round(picture.written_at * 1e9), dated)


def _is_same(entry: os.DirEntry[str], before: FoundFile) -> bool:
    info = _stat(entry)
    return info is not None and (info.st_size, info.st_mtime_ns) == (before.size, before.mtime_ns)


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


def _stat(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        info = entry.stat(follow_symlinks=False)
    except OSError:
        return None
    return info if stat.S_ISREG(info.st_mode) else None
