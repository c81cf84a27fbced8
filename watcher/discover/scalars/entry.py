"""What the files that trainers log numbers into say, a part at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watcher.discover.events import Scalar

Position = Mapping[str, Any]
"""How far a file was read, as its reader wrote it: JSON, kept in the store beside what was read."""
HEAD = 64
"""Bytes that a file is known by."""
LIMIT = 4000
"""Numbers that are taken out of files in one look; the rest follows in the next."""


@dataclass(frozen=True, slots=True)
class TakenBack:
    """A training that is started again takes back what its folder's files hold from a step on."""

    step: int
    written_at: float
    """Wall time; what was logged later holds."""


Entry = Scalar | TakenBack


@dataclass(frozen=True, slots=True)
class Part:
    """What was read of a file in one look."""

    entries: Sequence[Entry]
    """In the order of the file."""
    position: Position
    is_last: bool = True
    """Whether the file holds no more, for now."""


def resumed(path: Path, size: int, position: Position) -> Position:
    """Give the position where a file of so many bytes is to be read on: the start where it is another by the same name.

    It is known by how it begins, as copies that are brought up to date (rsync) are new files each time. Both formats
    begin with a time.

    Raises:
        OSError: it cannot be read.

    """
    length, offset = position.get("of", 0), position.get("offset", 0)
    if length and size >= offset and (size == offset or _head(path, length) == position["head"]):
        return position
    length = min(HEAD, size)
    return {"of": length, "head": _head(path, length), "offset": 0}


def _head(path: Path, length: int) -> str:
    with path.open("rb") as file:
        return file.read(length).hex()


def is_step(step: Any) -> bool:
    """Tell whether something is a step that can be stored."""
    return isinstance(step, int) and not isinstance(step, bool) and 0 <= step < 2**63
