"""Finding sample files: a walk over a run's sample folders that trusts nothing but the disk."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePath

from watcher.discover import events
from watcher.discover.disk import is_text
from watcher.discover.layout import BY_EPOCH, Facts, Layout
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
                yield from _embedded(run, layout, entry, before or {})
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


def _embedded(
    run: FoundRun, layout: Layout, entry: os.DirEntry[str], before: Mapping[str, FoundFile]
) -> Iterator[FoundFile]:
    """Give the samples in an event file; one that is gone, or may not be read, holds none."""
    if _stat(entry) is None or not _is_text(entry.path):
        return
    try:
        pictures = events.pictures(Path(entry.path))
    except OSError:
        return
    relative = PurePath(entry.path).relative_to(run.path)
    for picture in pictures:
        written_ns = round(picture.written_at * 1e9)
        old = before.get(str(picture.path))
        if old is not None and (old.size, old.mtime_ns) == (picture.size, written_ns):
            yield old
            continue
        facts = layout.embedded(relative, picture)
        if facts is None or facts.stream != run.stream:
            continue
        if dated := layout.dated(run.place, facts, picture.written_at):
            yield FoundFile(picture.path, picture.size, written_ns, dated)


def set_apart(found: Mapping[str, FoundFile]) -> dict[str, FoundFile]:
    """Make epochs whose steps nothing tells a variant of their own from where others of the run have steps.

    The number of an epoch has no place among steps. What was written before the first step that is known may keep
    its place: an epoch's number is never higher than the steps after it.
    """
    if not any(file.facts.by_epoch for file in found.values()):
        return dict(found)
    first = min((file.mtime_ns for file in found.values() if _has_step(file.facts)), default=None)
    return {path: file if first is None else _apart(file, first) for path, file in found.items()}


def is_apart(facts: Facts) -> bool:
    """Tell what was set apart."""
    return facts.by_epoch and facts.variant.endswith(BY_EPOCH)


def _has_step(facts: Facts) -> bool:
    """Tell what stands at a step; nothing is trained at step 0, however a trainer counts."""
    return bool(facts.step) and not facts.by_epoch


def _apart(file: FoundFile, first: int) -> FoundFile:
    facts = file.facts
    if not facts.by_epoch or file.mtime_ns < first or is_apart(facts):
        return file
    return replace(file, facts=replace(facts, variant=f"{facts.variant} {BY_EPOCH}".strip()))


def _is_same(entry: os.DirEntry[str], before: FoundFile) -> bool:
    info = _stat(entry)
    return info is not None and (info.st_size, info.st_mtime_ns) == (before.size, before.mtime_ns)


def _is_text(path: str) -> bool:
    """Tell whether a path can be written down; Linux allows names that are not UTF-8."""
    if not is_text(path):
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
