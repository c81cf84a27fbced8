"""TensorBoard: an event folder of our own beside the trainer's, so that one `--logdir` shows both.

Own folder because TensorBoard reads the files of a folder one after the other and never returns to an older
one: a second writer in the trainer's folder would lose data.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

from pydantic import PrivateAttr

from watcher.nouns import Evaluation, Run
from watcher.record.tracker import Tracker

FOLDER = "watcher"


class TensorBoard(Tracker):
    """Scalars named as the metrics are, at the evaluation's step and the wall time of its last image."""

    name: ClassVar[str] = "tensorboard"

    beside_trainer: bool = True
    """Write into `watcher/` in the trainer's logging folder; else, or where that is not writable, the state folder."""
    _writers: dict[Path, Any] = PrivateAttr(default_factory=dict)

    def write(self, run: Run, evaluation: Evaluation, logging_folder: Path | None, state: Path) -> str:
        """Write one evaluation's metrics and flush them; gives the event folder."""
        folder = self._folder(run, logging_folder, state)
        writer = self._writer(folder)
        for event in _events(evaluation):
            writer.add_event(event)
        writer.flush()
        return str(folder)

    def close(self) -> None:
        """Close every event file."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _folder(self, run: Run, logging_folder: Path | None, state: Path) -> Path:
        if self.beside_trainer and logging_folder is not None and os.access(logging_folder, os.W_OK):
            return logging_folder / FOLDER
        return state / "tensorboard" / f"{run.name.replace('/', '_')}-{run.id}"

    def _writer(self, folder: Path) -> Any:
        known = self._writers.get(folder)
        if known is not None and folder.is_dir():
            return known
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        folder.mkdir(parents=True, exist_ok=True)
        self._writers[folder] = EventFileWriter(str(folder))
        return self._writers[folder]


def _events(evaluation: Evaluation) -> list[Any]:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    prefix = f"{evaluation.variant}/" if evaluation.variant else ""
    return [
        Event(
            wall_time=evaluation.last_at,
            step=evaluation.step,
            summary=Summary(value=[Summary.Value(tag=prefix + name, simple_value=value)]),
        )
        for name, value in sorted(evaluation.metrics.items())
    ]
