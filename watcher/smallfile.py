"""Small files, such as configurations, that are asked for again and again: read anew only once they have changed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class UnfitError(OSError):
    """A path leads to something that is not to be read, such as a folder, a pipe, or a file that is too large."""


def fit(path: Path, largest: int) -> os.stat_result:
    """Look at a regular file of at most so many bytes.

    Raises:
        UnfitError: it is something else, and says what.
        OSError: it is not there, or may not be looked at.
        ValueError: the path holds what no path can.

    """
    info = path.stat()
    if not stat.S_ISREG(info.st_mode):
        raise UnfitError("is no file")
    if info.st_size > largest:
        raise UnfitError(f"is larger than {largest} bytes, and no configuration")
    return info


def kept(count: int, largest: int) -> Callable[[Callable[[Path], T]], Callable[[Path], T]]:
    """Keep what was read of the last `count` files, each for as long as its time and size stand still.

    Only what `fit` lets through is read; a reading that raises is not kept. The function that comes of it raises what
    `fit` and the reader raise.
    """

    def keep(read: Callable[[Path], T]) -> Callable[[Path], T]:
        @lru_cache(maxsize=count)
        def as_it_is(path: Path, _mtime_ns: int, _size: int) -> T:
            return read(path)

        @wraps(read)
        def reader(path: Path) -> T:
            info = fit(path, largest)
            return as_it_is(path, info.st_mtime_ns, info.st_size)

        return reader

    return keep
