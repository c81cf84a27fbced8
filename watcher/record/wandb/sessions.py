"""An offline session of W&B on disk: whether it is whole, and its way to where it stays.

W&B's own writer says nothing when a disk is full, so what it wrote is read back. The file is LevelDB's log: blocks of
32 KiB, the first with a header of seven bytes, of chunks, each with a CRC, a length and whether it is a record's whole,
first, middle or last part; a record is a protobuf of `wandb_internal.proto`.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from watcher.errors import StepError

_HEADER = 7
_BLOCK = 32 * 1024
_CHUNK = struct.Struct("<IHB")
_WHOLE, _LAST = 1, 4


def check(session: Path, points: int) -> None:
    """Make sure that a session's file has all of its points, and its end.

    Raises:
        StepError: it has not.

    """
    (file,) = session.glob("*.wandb")
    found = list(_records(file.read_bytes()))
    rows = sum(record.WhichOneof("record_type") == "history" for record in found)
    if rows != points or not any(record.WhichOneof("record_type") == "exit" for record in found):
        raise StepError(
            f"W&B wrote {rows} of {points} points into its file; nothing is lost, but is the state folder's disk full?"
        )


def _records(data: bytes) -> Iterator[Any]:
    """Give a file's records up to the first that is not whole."""
    from google.protobuf.message import DecodeError
    from wandb.proto.wandb_internal_pb2 import Record

    for body in _bodies(data):
        record = Record()
        try:
            record.ParseFromString(body)
        except DecodeError:
            return
        yield record


def _bodies(data: bytes) -> Iterator[bytes]:
    at, body = _HEADER, b""
    while at + _CHUNK.size <= len(data):
        if (left := _BLOCK - at % _BLOCK) < _CHUNK.size:
            at += left  # a block's rest is too short for a chunk
            continue
        _, length, kind = _CHUNK.unpack_from(data, at)
        at += _CHUNK.size + length
        if at > len(data):
            return
        body += data[at - length : at]
        if kind in (_WHOLE, _LAST):
            yield body
            body = b""


def publish(session: Path, place: Path) -> None:
    """Bring a session to its place, on disk for good and at one stroke, so that `wandb sync` never sees half of one."""
    for passing in ("logs", "tmp"):
        shutil.rmtree(session / passing, ignore_errors=True)
    for path in (*session.rglob("*"), session):
        _sync(path)
    place.mkdir(parents=True, exist_ok=True)
    session.rename(_free(place / session.name))
    _sync(place)


def _free(wanted: Path) -> Path:
    """Give a name that is not taken: W&B's names tell no two sessions of one second apart."""
    number, free = 1, wanted
    while free.exists():
        number, free = number + 1, wanted.with_name(f"{wanted.name}-{number}")
    return free


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
