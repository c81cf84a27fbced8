"""Numbers out of SimpleTuner's `training_metrics.jsonl`: a JSON object a line, appended as the training goes on.

Format: SimpleTuner 4.8 and later, `helpers/training/local_metrics.py`: `{"schema_version": 1, "timestamp": ISO time,
"step": 10, "metrics": {"train_loss": 0.1}}`; only finite numbers are written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from watcher.discover.events import Scalar
from watcher.discover.scalars.entry import LIMIT, Entry, Part, Position, is_step, resumed

CHUNK = 2**22
"""Bytes that are read in one look; no line is longer."""


def read_lines(path: Path, position: Position, limit: int = LIMIT) -> Part:
    """Read the whole lines that have come since; a torn one at the end waits, one that makes no sense is left out.

    Raises:
        OSError: it cannot be read.

    """
    position = resumed(path, path.stat().st_size, position)
    with path.open("rb") as file:
        file.seek(position["offset"])
        data = file.read(CHUNK)
    offset, entries = position["offset"], list[Entry]()
    for line in data.splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        offset += len(line)
        entries += _scalars(line)
        if len(entries) >= limit:
            return Part(entries, {**position, "offset": offset}, is_last=False)
    if offset == position["offset"] and len(data) == CHUNK:
        offset += CHUNK
    return Part(entries, {**position, "offset": offset}, is_last=len(data) < CHUNK)


def _scalars(line: bytes) -> Iterator[Scalar]:
    try:
        found = json.loads(line)
        at = datetime.fromisoformat(found["timestamp"]).timestamp()
        step, numbers = found["step"], dict(found["metrics"])
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError, OSError):
        return
    for tag, value in numbers.items() if is_step(step) else ():
        if (number := _number(value)) is not None:
            yield Scalar(str(tag), step, at, number)


def _number(value: Any) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:
        return None
