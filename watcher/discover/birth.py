"""When a folder was made: what tells a folder from a new one in its place, as inode numbers are used again."""

from __future__ import annotations

import ctypes
import os
import struct
from functools import cache
from pathlib import Path
from typing import Any

_AT_FDCWD = -100
_STATX_BTIME = 0x800
_MASK, _BTIME = struct.Struct("=I"), struct.Struct("=qI")
_BTIME_OFFSET = 80
"""Of `stx_btime` in `struct statx`, linux/stat.h."""


def born(path: Path) -> int:
    """Give a folder's birth time in nanoseconds; 0 where the file system or the C library keeps none.

    Python has no `statx` before 3.15, and its `os.stat` gives no birth time on Linux.
    """
    statx = _statx()
    found = ctypes.create_string_buffer(256)
    if statx is None or statx(_AT_FDCWD, os.fsencode(path), 0, _STATX_BTIME, found) != 0:
        return 0
    if not _MASK.unpack_from(found)[0] & _STATX_BTIME:
        return 0
    seconds, nanoseconds = _BTIME.unpack_from(found, _BTIME_OFFSET)
    return int(seconds) * 10**9 + int(nanoseconds)


@cache
def _statx() -> Any:
    statx = getattr(ctypes.CDLL(None), "statx", None)  # glibc since 2.28, musl since 1.2.5
    if statx is not None:
        statx.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_char_p)
    return statx
