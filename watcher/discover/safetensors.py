"""The header of a safetensors file: whether it is whole, and what its writer noted. No tensor is read."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from watcher.discover.disk import modified

LARGEST = 100_000_000
"""Bytes; the format allows no longer header."""


def metadata(path: Path) -> Mapping[str, str] | None:
    """Give what the writer of a whole file noted; None while the file is being written, or is none.

    Format: 8 bytes of header length, little-endian, the header as JSON, then the tensors, which its `data_offsets`
    cover to the last byte (huggingface/safetensors, README). Writers are not atomic: whole is what is long enough.
    """
    try:
        info = path.stat()
        return _read(path, info.st_mtime_ns, info.st_size)
    except OSError:
        return None


def written(path: Path) -> float | None:
    """Give when a whole file was last written (wall time); None while it is being written, or is none."""
    return None if metadata(path) is None else modified(path)


@lru_cache(maxsize=512)
def _read(path: Path, _mtime_ns: int, size: int) -> Mapping[str, str] | None:
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length)) if length <= min(size, LARGEST) else None
        return _noted(header) if isinstance(header, dict) and _end(header) + 8 + length == size else None
    except (OSError, ValueError, TypeError, KeyError, IndexError, struct.error, RecursionError):
        return None


def _end(header: Mapping[str, Any]) -> int:
    return max((int(one["data_offsets"][1]) for name, one in header.items() if name != "__metadata__"), default=0)


def _noted(header: Mapping[str, Any]) -> Mapping[str, str]:
    found = header.get("__metadata__")
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}
