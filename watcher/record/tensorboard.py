"""TensorBoard: an event folder of our own beside the trainer's, so that one `--logdir` shows both.

Own folder because TensorBoard reads the files of a folder one after the other and never returns to an older
one: a second writer in the trainer's folder would lose data.

An event file can only grow. What was written and holds no more is taken back with a `SessionLog.START` event: at it
TensorBoard forgets everything from the event's step on. Each file begins with one, so that what an earlier daemon
wrote, but was killed before it could note that, does not stand there twice. No file stays open between two writes.
"""

from __future__ import annotations

import io
import os
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import PrivateAttr

from watcher.nouns import Evaluation, Run, Setup
from watcher.record.tracker import LowImages, Tracker, no_images

FOLDER = "watcher"
PREFIX = "events.out.tfevents."


class TensorBoard(Tracker):
    """Scalars named as the metrics are, at the evaluation's step and the wall time of its last image."""

    name: ClassVar[str] = "tensorboard"

    beside_trainer: bool = True
    """Write into `watcher/` in the trainer's logging folder; else, or where that is not writable, the state folder."""
    _files: dict[str, Path] = PrivateAttr(default_factory=dict)

    def place(self, run: Run, setup: Setup, state: Path) -> str:
        """Give the event folder."""
        own = f"{run.name.replace('/', '_')}-{run.id}"
        logging_folder = setup.logging_folder
        if self.beside_trainer and logging_folder is not None:
            mine = logging_folder.resolve().is_relative_to(run.path.resolve()) and not run.stream
            folder = logging_folder / (FOLDER if mine else f"{FOLDER}-{own}")  # a shared one has many runs
            if os.access(folder if folder.exists() else logging_folder, os.W_OK):
                return str(folder)
        return str(state / "tensorboard" / own)

    def holds(self, place: str) -> bool:
        """Tell whether the folder has an event file."""
        return _newest(Path(place)) is not None

    def write(
        self, place: str, evaluations: Sequence[Evaluation], since: int | None, _lowest: LowImages = no_images
    ) -> Sequence[Evaluation]:
        """Append to the event file, with one write for all."""
        file = self._files.pop(place, None)
        begins = file is None or not file.exists()
        events = [event for evaluation in evaluations for event in _scalars(evaluation)]
        if begins and since is None:
            since = evaluations[0].step
        if since is not None:
            events.insert(0, _restart(since))
        if file is None or begins:
            file = _new_file(Path(place))
            events.insert(0, _version())
        with file.open("ab", buffering=0) as out:
            _write_all(out, _records(events))
        self._files[place] = file  # not after an error: what follows a torn record is never read
        return evaluations


def _newest(folder: Path) -> Path | None:
    return max(folder.glob(PREFIX + "*"), default=None)


def _new_file(folder: Path) -> Path:
    """Name a file that TensorBoard reads after those that are there: it goes by name, which begins with a time."""
    folder.mkdir(parents=True, exist_ok=True)
    newest = _newest(folder)
    stamp = newest.name.removeprefix(PREFIX).split(".")[0] if newest else ""
    after = int(stamp) + 1 if stamp.isdecimal() else 0
    return folder / f"{PREFIX}{max(int(time.time()), after):010d}.{socket.gethostname()}.{os.getpid()}"


def _version() -> Any:
    from tensorboard.compat.proto.event_pb2 import Event

    return Event(wall_time=time.time(), file_version="brain.Event:2")


def _restart(step: int) -> Any:
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog

    return Event(wall_time=time.time(), step=step, session_log=SessionLog(status=SessionLog.START))


def _scalars(evaluation: Evaluation) -> Iterator[Any]:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    prefix = f"{evaluation.variant}/" if evaluation.variant else ""
    for name, value in sorted(evaluation.metrics.items()):
        summary = Summary(value=[Summary.Value(tag=prefix + name, simple_value=value)])
        yield Event(wall_time=evaluation.last_at, step=evaluation.step, summary=summary)


def _records(events: Sequence[Any]) -> bytes:
    from tensorboard.summary.writer.record_writer import RecordWriter

    buffer = io.BytesIO()
    writer: Any = RecordWriter(buffer)
    for event in events:
        writer.write(event.SerializeToString())
    return buffer.getvalue()


def _write_all(out: io.FileIO, data: bytes) -> None:
    """Write everything; a disk that fills up first takes a part and then says so."""
    while data:
        data = data[out.write(data) :]
