"""`validation_media.jsonl`: what SimpleTuner notes of each picture once it has saved it.

Source: SimpleTuner 4.8, `helpers/training/local_metrics.py` (with `report_to: simpletuner`). A line is a JSON object
with `step`, `type`, `label` (the shortname, with an adapter's slug), `index` and `path` (relative to the output
folder). It is appended after the save has returned, so it also says that the file is whole. There is no prompt in it,
and its `resolution` may be wrong.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from watcher.discover.simpletuner.names import Label

MEDIA = "validation_media.jsonl"
LARGEST = 2**20
"""Bytes of a line; a longer one is none that SimpleTuner wrote."""


@dataclass(frozen=True, slots=True)
class Noted:
    """One line: what was saved, and when (wall time; 0 where the line does not say)."""

    label: Label
    step: int
    at: float


@dataclass(slots=True)
class _Log:
    """A log as far as it has been read."""

    inode: int = 0
    read: int = 0
    """Bytes, up to the end of a line."""
    noted: dict[str, Noted] = field(default_factory=dict)
    """By path, relative to the output folder."""


_logs: dict[Path, _Log] = {}
"""What is known of each folder's: it is asked for with every picture, and only ever appended to."""


def noted(folder: Path) -> Mapping[str, Noted]:
    """Give what is noted of a folder's pictures by their paths relative to it, the newest line of each.

    A path that leads elsewhere names no file of the run, so that nobody asks for it. What is no such line is passed
    over; one that is still being written is read when it ends.
    """
    log = _logs.setdefault(folder, _Log())
    try:
        info = os.stat(folder / MEDIA)  # noqa: PTH116 - asked for with every picture
        if info.st_ino != log.inode or info.st_size < log.read:
            log = _logs[folder] = _Log(info.st_ino)
        if info.st_size > log.read:
            _read_on(folder / MEDIA, log)
    except OSError:
        _logs.pop(folder, None)
        return {}
    return log.noted


def _read_on(path: Path, log: _Log) -> None:
    with path.open("rb") as file:
        file.seek(log.read)
        for line in file:
            if not line.endswith(b"\n"):  # torn: it is still being written
                return
            log.read += len(line)
            log.noted.update(_entries(line))


def _entries(line: bytes) -> Iterator[tuple[str, Noted]]:
    """Read a line; gives nothing where it notes no picture."""
    try:
        said = json.loads(line) if len(line) <= LARGEST else None
    except (ValueError, RecursionError):
        return
    if isinstance(said, dict) and said.get("type") == "image" and _is_whole(said):
        label = Label(said["label"], said["index"])
        yield said["path"], Noted(label, said["step"], _time(said.get("timestamp")))


def _is_whole(said: Mapping[str, Any]) -> bool:
    texts, numbers = (said.get("label"), said.get("path")), (said.get("step"), said.get("index"))
    return all(isinstance(one, str) and one for one in texts) and all(_is_number(one) for one in numbers)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _time(stamp: object) -> float:
    try:
        return datetime.fromisoformat(str(stamp)).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0
