"""ai-toolkit's jobs: rows of a SQLite database that the trainer polls at each step, `stop` before `save_now`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from watcher.act.backend import NativeBackend
from watcher.act.desks.desk import Asked, Desk, NotAskableError, cwds, environments
from watcher.act.programs import UnansweredError
from watcher.act.ties import Output
from watcher.errors import ActError

BUSY = 2.0
"""Seconds that a write waits for the database's lock; then it is tried again at the next pass."""
DATABASE = "aitk_db.db"
VARIABLE = "AITK_JOB_ID"
NEEDED = frozenset({"id", "status", "stop", "save_now"})
"""Columns of `Job`; `save_now` is there since May 2026."""
_SETS = {
    "save_now": "UPDATE Job SET save_now = ? WHERE id = ?",
    "stop": "UPDATE Job SET stop = ? WHERE id = ?",
}


class Job(Desk):
    """The database, and in it the job."""

    way: ClassVar[str] = "job"
    trainer: ClassVar[str] = "ai-toolkit"
    ends: ClassVar[bool] = True

    def save(self, asked: Asked, *, and_end: bool = False) -> str:  # noqa: ARG002 - as of every desk
        """Set `save_now`."""
        return self._set("save_now", 1)

    def end(self, asked: Asked) -> str:  # noqa: ARG002 - as of every desk
        """Set `stop`."""
        return self._set("stop", 1)

    def is_taken(self, *, and_end: bool = False) -> bool:  # noqa: ARG002 - as of every desk
        """Tell whether the trainer has set `save_now` back."""
        return not row(self)["save_now"]

    def take_back(self, *, and_end: bool = False) -> None:  # noqa: ARG002 - as of every desk
        """Set `save_now` back."""
        self._set("save_now", 0)

    def _set(self, column: str, value: int) -> str:
        with _database(self.place) as database:
            database.execute(_SETS[column], (value, self.job))
        return f"set {column} = {value} for job {self.job} in {self.place}"


def find(_backend: NativeBackend, _output: Output, pids: Sequence[int]) -> Desk:
    """Find the job: only those of its user interface look into the database, and have their id in the environment.

    Raises:
        NotAskableError: it is none, or does not run.

    """
    jobs = {one[VARIABLE] for one in environments(pids) if one.get(VARIABLE)}
    if len(jobs) != 1:
        raise NotAskableError(f"it is no job of ai-toolkit's user interface ({VARIABLE} is not set), and polls nothing")
    there = next((place for folder in cwds(pids) if (place := folder / DATABASE).is_file()), None)
    if there is None:
        raise NotAskableError(f"{DATABASE} is not in the working folder of its processes")
    found = Job(str(there), jobs.pop())
    try:
        status = row(found)["status"]
    except UnansweredError as error:  # to look at it costs no stop: what comes next may do it
        raise NotAskableError(str(error)) from error
    if status not in ("running", "queued"):
        raise NotAskableError(f"its job in {there} is `{status}`, not running")
    return found


def row(found: Job) -> Mapping[str, Any]:
    """Read what the database says of a job.

    Raises:
        UnansweredError: it is locked, or cannot be read just now.
        NotAskableError: it is none of an ai-toolkit that can be asked.
        ActError: it has no such job.

    """
    with _database(found.place) as database:
        columns = {line[1] for line in database.execute("PRAGMA table_info(Job)")}
        if lacking := sorted(NEEDED - columns):
            raise NotAskableError(f"{found.place} has no `{lacking[0]}` in `Job`; ai-toolkit is too old to be asked")
        told = database.execute("SELECT status, stop, save_now FROM Job WHERE id = ?", (found.job,)).fetchone()
    if told is None:
        raise ActError(f"{found.place} has no job {found.job}")
    return dict(zip(("status", "stop", "save_now"), told, strict=True))


@contextmanager
def _database(place: str) -> Iterator[sqlite3.Connection]:
    """Open the database, which is never made; a lock is waited for briefly.

    Raises:
        UnansweredError: it is locked, or cannot be read just now.
        NotAskableError: it is no database.

    """
    try:
        uri = f"{Path(place).as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY)) as database, database:
            yield database
    except sqlite3.OperationalError as error:
        raise UnansweredError(f"{place}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise NotAskableError(f"{place} is no database of ai-toolkit: {error}") from error
