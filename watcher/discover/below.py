"""What stands in the names of a folder's files, asked for again and again: only folders that have changed are read."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
FRESH = 2 * 10**9
"""Nanoseconds; a folder that has changed so lately may change again within the same tick of its file system's clock."""


def below(folder: Path, read: Callable[[str], frozenset[T]]) -> frozenset[T]:
    """Give what `read` finds in the paths of the files in a folder and below; folders that cannot be read hold none.

    `read` must depend on nothing but the path, and be equal to another that reads alike.
    """
    found: set[T] = set()
    waiting = [str(folder)]
    while waiting:
        names, folders = _in(waiting.pop(), read)
        found |= names
        waiting += folders
    return frozenset(found)


def _in(folder: str, read: Callable[[str], frozenset[T]]) -> tuple[frozenset[T], tuple[str, ...]]:
    try:
        changed = os.stat(folder).st_mtime_ns  # noqa: PTH116 - as scandir names them
        settled = time.time_ns() - changed > FRESH
        return _kept(folder, changed, read) if settled else _read(folder, read)
    except OSError:
        return frozenset(), ()


@lru_cache(maxsize=2**14)
def _kept(folder: str, _changed_ns: int, read: Callable[[str], frozenset[T]]) -> tuple[frozenset[T], tuple[str, ...]]:
    return _read(folder, read)


def _read(folder: str, read: Callable[[str], frozenset[T]]) -> tuple[frozenset[T], tuple[str, ...]]:
    found: set[T] = set()
    folders = []
    for entry in _entries(folder):
        if entry.is_dir(follow_symlinks=False):
            folders.append(entry.path)
        elif entry.is_file(follow_symlinks=False):
            found |= read(entry.path)
    return frozenset(found), tuple(folders)


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from entries
