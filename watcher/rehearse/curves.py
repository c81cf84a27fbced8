"""Curves of past runs from TensorBoard's event files, whoever wrote them: every folder with such files is a run.

Of a run that was resumed, what was written later counts: from the step on at which a later file begins, the earlier
curve is forgotten, as its training was; so it is where the writer says that it begins anew (`SessionLog.START`,
https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/util/event.proto).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from watcher.discover import Scalar, is_event_file, read_events, scalars_of
from watcher.errors import StepError

START = 1
"""`SessionLog.START`."""


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a curve."""

    value: float
    at: float
    """Wall time."""
    attempt: int


@dataclass(slots=True)
class Curve:
    """The values of one tag by step, without what a resumed run has left behind."""

    values: dict[int, Value] = field(default_factory=dict)
    attempt: int = 1
    last: int = -1
    """The step of the newest value."""
    file: Path | None = None
    gone_at: float | None = None
    """Wall time of the newest value that was forgotten, until the next comes."""
    mixed: bool = False
    """Whether two files wrote it at the same time: then only the first is in it."""

    def add(self, one: Scalar, file: Path) -> None:
        """Add what a file says next; files have to come in the order in which they were begun."""
        if self.values and file != self.file and one.step <= self.last:
            if one.written_at < self.values[self.last].at:
                self.mixed = True
                return
            self.forget(one.step)
        if self.gone_at is not None and one.written_at > self.gone_at:
            self.attempt += 1  # what is only written anew bears its old time
        self.values[one.step] = Value(one.value, one.written_at, self.attempt)
        self.last, self.file, self.gone_at = one.step, file, None

    def forget(self, step: int) -> None:
        """Forget everything from a step on."""
        gone = [value.at for at, value in self.values.items() if at >= step]
        if gone:
            self.gone_at = max(gone)
            self.values = {at: value for at, value in self.values.items() if at < step}
            self.last = max(self.values, default=-1)


@dataclass(slots=True)
class Folder:
    """A folder with event files: its curves by tag, all tags that it has, and what could not be read."""

    name: str
    path: Path
    curves: dict[str, Curve] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


def read_folders(places: Sequence[Path], wanted: set[str]) -> Iterator[Folder]:
    """Read the wanted tags of every folder with event files in some places and below, by path.

    Raises:
        StepError: a place is no folder, or there is no event file in it.

    """
    for place in places:
        if not place.is_dir():
            raise StepError(f"{place}: no such folder; --tensorboard wants folders of event files", permanent=True)
    common = Path(os.path.commonpath([place.absolute() for place in places]))
    for place in places:
        unreadable: list[OSError] = []
        found = list(_with_events(place, unreadable))
        if not found and not unreadable:
            raise StepError(f"{place}: no event file (events.out.tfevents.*) in it or below", permanent=True)
        for path, files in found:
            yield _read(Folder(_name(common, path), path), files, wanted)
        for error in unreadable:
            path = Path(error.filename)
            yield Folder(_name(common, path), path, problems=[f"{path}: cannot be read: {error.strerror}"])


def _with_events(place: Path, unreadable: list[OSError]) -> Iterator[tuple[Path, list[Path]]]:
    """Give folders with their event files, each in the order in which TensorBoard reads them: by name."""
    for folder, inner, names in os.walk(place, onerror=unreadable.append):
        inner.sort()
        if files := sorted(name for name in names if is_event_file(name)):
            yield Path(folder), [Path(folder, name) for name in files]


def _name(common: Path, path: Path) -> str:
    """Name a folder from where all the places part."""
    inner = str(path.absolute().relative_to(common))
    return inner if inner != "." else path.resolve().name


def _read(folder: Folder, files: Sequence[Path], wanted: set[str]) -> Folder:
    for file in files:
        try:
            for _, event in read_events(file):
                _take(folder, file, event, wanted)
        except (ValueError, OSError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            folder.problems.append(f"{file}: {why}; what comes after is not read")
    mixed = ", ".join(sorted(tag for tag, curve in folder.curves.items() if curve.mixed))
    if mixed:
        folder.problems.append(
            f"{folder.path}: files overlap in time ({mixed}): several runs? the later one is left out"
        )
    return folder


def _take(folder: Folder, file: Path, event: Any, wanted: set[str]) -> None:
    if event.HasField("session_log") and event.session_log.status == START:
        for curve in folder.curves.values():
            curve.forget(event.step)
    for one in scalars_of(event):
        folder.tags.add(one.tag)
        if one.tag in wanted:
            folder.curves.setdefault(one.tag, Curve()).add(one, file)


def values_of(folder: Folder, tags: Mapping[str, Sequence[str]]) -> dict[str, dict[int, Value]]:
    """Give the values by metric and step; `tags` are those that may be a metric's, of which the first counts."""
    found = {metric: [one.values for tag in some if (one := folder.curves.get(tag))] for metric, some in tags.items()}
    return {metric: curves[0] for metric, curves in found.items() if curves and curves[0]}
