"""Numbers out of ai-toolkit's `loss_log.db`, a SQLite database that the training goes on writing.

Format: ai-toolkit, `toolkit/logging_aitk.py`, `UILogger`: tables `steps (step, wall_time)` and `metrics (step, key,
value_real, value_text)`, in WAL mode. A training that goes on from an earlier step deletes the later ones, and writes
the step that it goes on from anew. SQLite knows no NaN: a number that was one is NULL, and has no text either.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from watcher.discover.events import Scalar
from watcher.discover.scalars.entry import LIMIT, Entry, Part, Position, TakenBack, is_step

NAME = "loss_log.db"
PATIENCE = 1.0
"""Seconds to wait for a database that its writer has locked."""
START: Position = {"step": -1, "at": 0.0}
_STEPS = "SELECT step, wall_time FROM steps WHERE step > ? ORDER BY step LIMIT ?"
_NUMBERS = "SELECT step, key, value_real, value_text FROM metrics WHERE step > ? AND step <= ? ORDER BY step, key"


def read_loss_log(path: Path, position: Position, limit: int = LIMIT, *, remote: bool = False) -> Part:
    """Read the steps that have come since; a database that cannot be read just now is read the next time.

    It is opened for reading only. While nobody has it open (there is no `-wal` file), SQLite is told that it does not
    change: else it would make files of its own beside it, which might keep the trainer out. One that is open on
    another machine (`remote`) is left alone: its memory is not shared over a network.

    Raises:
        OSError: it is not there, or may not be read.

    """
    before, log = _stamp(path), path.with_name(f"{path.name}-wal")
    is_open = log.exists()
    if is_open and (remote or not path.with_name(f"{path.name}-shm").exists()):
        return Part((), position)
    try:
        found = _read(path, position or START, limit, immutable=not is_open)
    except sqlite3.Error:  # locked for long, being made, or no database at all
        return Part((), position)
    is_sure = is_open or (_stamp(path) == before and not log.exists())
    return found if is_sure else Part((), position)


def _stamp(path: Path) -> tuple[int, int]:
    info = path.stat()
    return info.st_size, info.st_mtime_ns


def _read(path: Path, position: Position, limit: int, *, immutable: bool) -> Part:
    place = f"file:{quote(str(path))}?mode=ro{'&immutable=1' if immutable else ''}"
    with closing(sqlite3.connect(place, uri=True, timeout=PATIENCE, isolation_level=None)) as db:
        db.execute("BEGIN")
        went_back, position = _went_back(db, position)
        last = position["step"]
        times = dict(db.execute(_STEPS, (last, max(1, limit // 8))).fetchall())
        if not times:
            return Part(went_back, position)
        until = max(times)
        rows = db.execute(_NUMBERS, (last, until)).fetchall()
        more = db.execute("SELECT 1 FROM steps WHERE step > ? LIMIT 1", (until,)).fetchone()
    entries = [*went_back, *_scalars(rows, times)]
    return Part(entries, {"step": until, "at": times[until]}, is_last=more is None)


def _went_back(db: sqlite3.Connection, position: Position) -> tuple[list[Entry], Position]:
    """Give what the training took back since the last look, and the last step that stayed as it was."""
    last, at = position["step"], position["at"]
    row = db.execute("SELECT wall_time FROM steps WHERE step = ?", (last,)).fetchone()
    if last < 0 or (row and row[0] == at):
        return [], position
    kept = "SELECT step, wall_time FROM steps WHERE step < ? AND wall_time <= ? ORDER BY step DESC LIMIT 1"
    step, written_at = db.execute(kept, (last, at)).fetchone() or (-1, 0.0)
    return [TakenBack(step + 1, math.nextafter(at, math.inf))], {"step": step, "at": written_at}


def _scalars(rows: list[Any], times: dict[int, float]) -> Iterator[Scalar]:
    for step, key, number, text in rows:
        if step in times and is_step(step) and text is None:
            yield Scalar(str(key), step, times[step], math.nan if number is None else float(number))
