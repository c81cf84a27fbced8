"""What goes to the process that speaks with W&B, and what it says of what it could not do; as files, in JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from watcher.record.tracker import LowImage

JOBS = "jobs.json"
FAILURES = "failures.jsonl"
AT_WORK = "at-work"
"""Whose job the process is at: the place."""
LONGEST_NAME = 110
"""Characters: W&B takes 128, and ours has some more than the trainer's."""
LOG = "log"
"""What the process and its libraries print."""


@dataclass(frozen=True, slots=True)
class Point:
    """One closed evaluation as a row of a W&B run's history."""

    key: str
    """The same for the same numbers of the same evaluation, also in a store that was made anew."""
    attempt: int
    step: int
    prefix: str
    """Before all of its names but `step`: empty for the main model, else the variant and a slash."""
    values: dict[str, float]
    """By full name."""
    images: tuple[LowImage, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """Points of one run that are to be shown."""

    place: Path
    """The folder of the run's journal and of its offline sessions."""
    id: str
    name: str
    """The trainer's run's, or the watched run's."""
    project: str
    entity: str | None
    group: str
    online: bool
    config: dict[str, Any]
    points: tuple[Point, ...]

    @property
    def title(self) -> str:
        """Give what our run is called."""
        return f"{self.name[:LONGEST_NAME]} (watcher)"


@dataclass(frozen=True, slots=True)
class Failure:
    """A job that could not be done."""

    place: Path
    reason: str
    permanent: bool = False
    """Only the user can mend it."""
    theirs: bool = True
    """It was tried; else it was given up because another was waited for in vain."""


_JOBS: TypeAdapter[list[Job]] = TypeAdapter(list[Job])
_FAILURE: TypeAdapter[Failure] = TypeAdapter(Failure)


def write_jobs(folder: Path, jobs: Sequence[Job]) -> None:
    """Write what is to be done into a batch's folder."""
    text = json.dumps([asdict(job) for job in jobs], default=str)
    (folder / JOBS).write_text(text, encoding="utf-8")


def read_jobs(folder: Path) -> list[Job]:
    """Read what is to be done."""
    return _JOBS.validate_python(json.loads((folder / JOBS).read_text(encoding="utf-8")))


def write_failure(folder: Path, failure: Failure) -> None:
    """Add to what could not be done."""
    with (folder / FAILURES).open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(failure), default=str) + "\n")


def read_failures(folder: Path) -> list[Failure]:
    """Read what could not be done; a line that was cut short, with its process, is none."""
    try:
        lines = (folder / FAILURES).read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return []
    return [_FAILURE.validate_python(json.loads(line)) for line in lines[:-1]]
