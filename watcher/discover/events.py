"""TensorBoard event files as they grow: which pictures and scalars lie in them, without keeping any picture in memory.

A file is a row of records: length (uint64, little endian), its masked CRC-32C (uint32), data, and the data's;
the data is an `Event` message (https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/lib/io/record_writer.h).
"""

from __future__ import annotations

import logging
import os
import struct
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any, BinaryIO

from watcher import inside

log = logging.getLogger(__name__)
_HEAD, _TAIL = struct.Struct("<QI"), 4
PREFIX = "events.out.tfevents."
LONGEST = 2**30
"""Bytes; no record is longer: what claims to be is no event file."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """A picture in an event file; width and height in pixels."""

    path: Path
    """Names it, see `watcher.inside`."""
    tag: str
    step: int
    """As it was logged: some trainers log the epoch."""
    written_at: float
    """Wall time."""
    width: int
    height: int
    size: int
    """Bytes of the encoded picture."""
    after: int | None = None
    """Step of the last scalar before it in the file; None before the first."""
    repeat: int = 0
    """How many pictures of its tag and step there were before it since that scalar."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """One number in an event file."""

    tag: str
    step: int
    written_at: float
    """Wall time."""
    value: float


@dataclass(slots=True)
class _Tail:
    """How far an event file was read, and which pictures were in it."""

    offset: int = 0
    pictures: list[Embedded] = field(default_factory=list)
    broken: int | None = None
    """The file's size in bytes when it was last found broken at the offset."""
    step: int | None = None
    """Of the last scalar."""
    seen: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Pictures since the last scalar, by tag and step."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    """The loop and those who look into folders beside it ask for the same files."""

    def take(self, path: Path, start: int, data: bytes) -> None:
        """Take in one record, whose data begin at an offset."""
        event = _event(data)
        if any(True for _ in scalars(event)):
            self.step = event.step
            self.seen.clear()
        for picture in _pictures(path, start, data, event):
            place = picture.tag, picture.step
            self.pictures.append(replace(picture, after=self.step, repeat=self.seen[place]))
            self.seen[place] += 1


def is_event_file(name: str) -> bool:
    """Tell an event file by its name, as TensorBoard does."""
    return PREFIX in name


def began(event_file: PurePath) -> float:
    """Give when an event file was begun, by its name (wall time, whole seconds); 0 where it does not say.

    Format: `events.out.tfevents.{seconds}.{host}...` (tensorboard,
    `summary/writer/event_file_writer.py`).
    """
    digits = event_file.name.partition(PREFIX)[2].partition(".")[0]
    return float(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 15 else 0.0


def by_age(event_files: Iterable[Path]) -> list[Path]:
    """Sort event files by when they were begun, the oldest first."""
    return sorted(event_files, key=lambda path: (began(path), path))


def pictures(path: Path) -> list[Embedded]:
    """Give the pictures in an event file so far; only what has come since the last time is read.

    What is torn at its end is left for the next time, as its writer may be about to write on; a file that is broken
    in the middle gives what comes before. It is tried again once it has another size: over a network, what is being
    written may first be seen as zeros. May be asked from several threads at a time.

    Raises:
        OSError: it cannot be read.

    """
    with path.open("rb") as file:
        info = os.fstat(file.fileno())
        tail = _tail(str(path), info.st_ino)
        with tail.lock:
            if info.st_size < tail.offset:  # it was written anew in place
                _forget(tail)
            if info.st_size > tail.offset and info.st_size != tail.broken:
                _read_on(path, file, tail)
            return list(tail.pictures)


def read(path: Path, offset: int = 0) -> Iterator[tuple[int, Any]]:
    """Give the `Event` messages from an offset on, each with the offset behind it, up to a torn end.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no event file, or broken at the offset.

    """
    with path.open("rb") as file:
        for start, data in _records(file, offset):
            yield start + len(data) + _TAIL, _event(data)


def scalars(event: Any) -> Iterator[Scalar]:
    """Give the numbers in an event: in the old form, and as tensors of one number, as TensorFlow 2 writes them."""
    for value in event.summary.value:
        number = _number(value)
        if number is not None:
            yield Scalar(value.tag, event.step, event.wall_time, number)


@lru_cache(maxsize=2**14)
def _tail(path: str, inode: int) -> _Tail:  # noqa: ARG001 - what it is kept by
    return _Tail()


def _forget(tail: _Tail) -> None:
    tail.offset, tail.pictures, tail.broken, tail.step = 0, [], None, None
    tail.seen.clear()


def _read_on(path: Path, file: BinaryIO, tail: _Tail) -> None:
    try:
        for start, data in _records(file, tail.offset):
            tail.take(path, start, data)
            tail.offset = start + len(data) + _TAIL
    except ValueError as error:
        if tail.broken is None:
            log.warning("%s: %s; what comes after is not read", path, error)
        tail.broken = os.fstat(file.fileno()).st_size
    else:
        tail.broken = None


def _records(file: BinaryIO, offset: int) -> Iterator[tuple[int, bytes]]:
    """Give the offset and the data of each whole record."""
    size = os.fstat(file.fileno()).st_size
    while offset + _HEAD.size + _TAIL <= size:
        file.seek(offset)
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return
        length, check = _HEAD.unpack(head)
        if length > LONGEST or _masked_crc(head[:8]) != check:
            raise ValueError(f"no event record at byte {offset}")
        start = offset + _HEAD.size
        if start + length + _TAIL > size:
            return
        yield start, file.read(length)
        offset = start + length + _TAIL


def _masked_crc(data: bytes) -> int:
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    return int(masked_crc32c(data))


def _event(data: bytes) -> Any:
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.event_pb2 import Event

    try:
        return Event.FromString(data)
    except DecodeError as error:
        raise ValueError(f"a record that is no event ({error})") from error


def _pictures(path: Path, start: int, data: bytes, event: Any) -> Iterator[Embedded]:
    at = 0
    for value in event.summary.value:
        if not value.HasField("image"):
            continue
        encoded = value.image.encoded_image_string
        if not encoded:
            continue
        at = data.index(encoded, at)
        place = inside.name(path, start + at, len(encoded))
        size = value.image.width, value.image.height
        yield Embedded(place, value.tag, event.step, event.wall_time, *size, len(encoded))
        at += len(encoded)


def _number(value: Any) -> float | None:
    if value.HasField("simple_value"):
        return float(value.simple_value)
    if not value.HasField("tensor") or value.metadata.plugin_data.plugin_name not in ("scalars", ""):
        return None
    from tensorboard.util.tensor_util import make_ndarray

    numbers = make_ndarray(value.tensor)
    return float(numbers.item()) if numbers.size == 1 and numbers.dtype.kind in "fiu" else None
