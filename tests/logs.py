"""What trainers log numbers into, written as they do: TensorBoard's event files, JSON lines, a loss log in SQLite."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

Logged = Sequence[tuple[float, int, Mapping[str, float]]]
"""Wall time, step, and numbers by tag."""


def event_file(folder: Path, began: float, logged: Logged, purge: int | None = None) -> Path:
    """Write an event file as `SummaryWriter(log_dir, purge_step=...)` does that was made at a wall time; appends."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"events.out.tfevents.{began:.0f}.host.1.0"
    begins = not path.exists()
    with path.open("ab") as file:
        writer = RecordWriter(file)
        events = [Event(wall_time=began, file_version="brain.Event:2")] if begins else []
        if purge is not None:
            events.append(Event(wall_time=began, step=purge, session_log=SessionLog(status=SessionLog.START)))
        events += [_event(at, step, tag, value) for at, step, numbers in logged for tag, value in numbers.items()]
        for event in events:
            writer.write(event.SerializeToString())
    return path


def _event(at: float, step: int, tag: str, value: float) -> Event:
    return Event(wall_time=at, step=step, summary=Summary(value=[Summary.Value(tag=tag, simple_value=value)]))


def metric_lines(path: Path, logged: Logged) -> Path:
    """Append to SimpleTuner's `training_metrics.jsonl`, which leaves out what is not finite."""
    with path.open("a", encoding="utf-8") as file:
        for at, step, numbers in logged:
            finite = {tag: value for tag, value in numbers.items() if math.isfinite(value)}
            entry = {"schema_version": 1, "timestamp": datetime.fromtimestamp(at, UTC).isoformat(), "step": step}
            file.write(json.dumps({**entry, "metrics": finite}) + "\n")
    return path


class LossLog:
    """ai-toolkit's `loss_log.db` while a training has it open, as its `UILogger` writes it."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA foreign_keys=ON")
        self._db.execute("CREATE TABLE IF NOT EXISTS steps (step INTEGER PRIMARY KEY, wall_time REAL NOT NULL)")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS metrics (step INTEGER NOT NULL, key TEXT NOT NULL, value_real REAL, value_text "
            "TEXT, PRIMARY KEY (step, key), FOREIGN KEY (step) REFERENCES steps(step) ON DELETE CASCADE)"
        )
        self._is_first = True

    def write(self, logged: Logged) -> None:
        """Commit some steps; the first of a start deletes what comes after it."""
        for at, step, numbers in logged:
            if self._is_first:
                self._db.execute("DELETE FROM steps WHERE step > ?", (step,))
            self._is_first = False
            self._db.execute("BEGIN")
            new = "INSERT INTO steps VALUES (?, ?) ON CONFLICT(step) DO UPDATE SET wall_time = excluded.wall_time"
            self._db.execute(new, (step, at))
            for key, value in numbers.items():
                self._db.execute("INSERT OR REPLACE INTO metrics VALUES (?, ?, ?, NULL)", (step, key, value))
            self._db.execute("COMMIT")

    def hold(self) -> None:
        """Begin to write, and leave it open."""
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute("INSERT INTO steps VALUES (999999, 1.0)")

    def let_go(self) -> None:
        """Take back what was begun."""
        self._db.execute("ROLLBACK")

    def close(self) -> None:
        self._db.close()
