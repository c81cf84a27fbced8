"""Pictures inside another file, such as a TensorBoard event file: named by a path below it, `FILE/@OFFSET+LENGTH`.

No file can lie below a file, so such a path is never a real one, and what keeps pictures by their paths keeps these.
"""

from __future__ import annotations

import re
from pathlib import Path

_SPAN = re.compile(r"@(\d+)\+(\d+)")


def name(file: Path, offset: int, length: int) -> Path:
    """Name the picture whose bytes begin at `offset` of a file."""
    return file / f"@{offset}+{length}"


def read_bytes(path: Path) -> bytes:
    """Read a file, or the picture inside a file that a path names.

    Raises:
        OSError: it cannot be read; `FileNotFoundError` also where the file has become shorter.

    """
    span = _span(path)
    if span is None:
        return path.read_bytes()
    offset, length = span
    with path.parent.open("rb") as file:
        file.seek(offset)
        data = file.read(length)
    if len(data) < length:
        raise FileNotFoundError(f"{path.parent} ends before byte {offset + length}")
    return data


def size(path: Path) -> int:
    """Give the bytes of a file, or of the picture inside a file that a path names.

    Raises:
        OSError: it is not there.

    """
    span = _span(path)
    return path.stat().st_size if span is None else span[1]


def holder(path: Path) -> Path | None:
    """Give the file that a picture lies in; None when it is a file of its own."""
    return None if _span(path) is None else path.parent


def _span(path: Path) -> tuple[int, int] | None:
    match = _SPAN.fullmatch(path.name)
    return (int(match[1]), int(match[2])) if match and path.parent.is_file() else None
