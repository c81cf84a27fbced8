"""How trainers are asked by their own ways: diffusion-pipe's files, ai-toolkit's row of a job, SimpleTuner's counters.

Where that is (`Desk`) is found from the folder and the environment of the training's own processes.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from watcher.act import processes
from watcher.act.launches import NoLaunchError
from watcher.act.programs import UnansweredError
from watcher.act.ties import Output
from watcher.errors import ActError

BUSY = 2.0
"""Seconds that a write to ai-toolkit's database waits for its lock; then it is tried again at the next pass."""
AITK_DATABASE = "aitk_db.db"
AITK_JOB = "AITK_JOB_ID"
COUNTERS = "SIMPLETUNER_ACCELERATE_SIGNAL_FILE"
NEEDED = frozenset({"id", "status", "stop", "save_now"})
"""Columns of ai-toolkit's `Job`; `save_now` is there since May 2026."""


class NotAskableError(NoLaunchError):
    """A training cannot be asked by its own way; that says nothing of the other backends."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Where one training is asked, and how."""

    trainer: str
    place: str
    """diffusion-pipe: the run's folder; ai-toolkit: its database; SimpleTuner: the file of counters."""
    job: str = ""
    """Of ai-toolkit: the job's id."""

    def to_json(self) -> dict[str, Any]:
        """Give it for the store."""
        return asdict(self)

    @property
    def ends(self) -> bool:
        """Whether the trainer can be asked to end; else it is signalled once it has saved."""
        return self.trainer != "simpletuner"

    @property
    def saves_and_ends_at_once(self) -> bool:
        """Whether one request does both."""
        return self.trainer == "diffusion-pipe"

    def save(self, *, and_end: bool = False) -> str:
        """Ask for a checkpoint, or with it for the end; gives what was done, in words.

        Raises:
            UnansweredError: the database is locked just now.
            ActError: it cannot be asked.

        """
        if self.trainer == "diffusion-pipe":
            return _touch(Path(self.place) / ("save_quit" if and_end else "save"))
        if self.trainer == "ai-toolkit":
            return _set_job(self, "save_now", 1)
        return _count_up(Path(self.place))

    def end(self) -> str:
        """Ask it to end, without another checkpoint."""
        return _set_job(self, "stop", 1)

    def is_taken(self, *, and_end: bool = False) -> bool:
        """Tell whether the trainer has taken the request; of counters that is not to be seen."""
        if self.trainer == "diffusion-pipe":
            return not (Path(self.place) / ("save_quit" if and_end else "save")).exists()
        return self.trainer != "ai-toolkit" or not _job(self)["save_now"]

    def take_back(self, *, and_end: bool = False) -> None:
        """Withdraw what the trainer has not taken; counters cannot be withdrawn."""
        if self.trainer == "diffusion-pipe":
            (Path(self.place) / ("save_quit" if and_end else "save")).unlink(missing_ok=True)
        elif self.trainer == "ai-toolkit":
            _set_job(self, "save_now", 0)


def desk(trainer: str, output: Output, pids: Sequence[int]) -> Desk:
    """Find where a training is asked; `pids` are its processes.

    Raises:
        NotAskableError: it cannot be asked; says why.

    """
    return _DESKS[trainer](output, [processes.environment(pid) for pid in pids], pids)


def _diffusion_pipe(output: Output, _environments: Sequence[Mapping[str, str]], _pids: Sequence[int]) -> Desk:
    """Its run folder is polled at each step on all ranks; what is found there is removed (`utils/saver.py`)."""
    if not os.access(output.folder, os.W_OK):
        raise NotAskableError(
            f"{output.folder} cannot be written, where diffusion-pipe looks for `save` and `save_quit`"
        )
    return Desk("diffusion-pipe", str(output.folder))


def _ai_toolkit(_output: Output, environments: Sequence[Mapping[str, str]], pids: Sequence[int]) -> Desk:
    """Only jobs of its user interface look into the database: theirs have the job's id in their environment."""
    jobs = {one[AITK_JOB] for one in environments if one.get(AITK_JOB)}
    if len(jobs) != 1:
        raise NotAskableError("it is no job of ai-toolkit's user interface (AITK_JOB_ID is not set), and polls nothing")
    places = [_cwd(pid) / AITK_DATABASE for pid in pids]
    there = next((place for place in places if place.is_file()), None)
    if there is None:
        raise NotAskableError(f"{AITK_DATABASE} is not in the working folder of its processes")
    found = Desk("ai-toolkit", str(there), jobs.pop())
    try:
        status = _job(found)["status"]
    except UnansweredError as error:  # to look at it costs no stop: what comes next may do it
        raise NotAskableError(str(error)) from error
    if status not in ("running", "queued"):
        raise NotAskableError(f"its job in {there} is `{status}`, not running")
    return found


def _simpletuner(_output: Output, environments: Sequence[Mapping[str, str]], pids: Sequence[int]) -> Desk:
    """The file has to be named before the launch, and to be there (SimpleTuner 3.2.1 and newer)."""
    named = {_cwd(pid) / one[COUNTERS] for one, pid in zip(environments, pids, strict=True) if one.get(COUNTERS)}
    if len(named) != 1:
        raise NotAskableError(f"it was started without {COUNTERS}, and cannot be asked for a checkpoint")
    place = Path(os.path.realpath(named.pop()))
    if not place.is_file():
        raise NotAskableError(f"{place} is not there, which {COUNTERS} names")
    return Desk("simpletuner", str(place))


def _cwd(pid: int) -> Path:
    """Give a process's working folder.

    Raises:
        NotAskableError: it has ended, or is another user's.

    """
    try:
        return Path(os.readlink(processes.PROC / str(pid) / "cwd"))
    except OSError as error:
        raise NotAskableError(f"the working folder of process {pid} cannot be seen: {error}") from error


_DESKS: Mapping[str, Callable[[Output, Sequence[Mapping[str, str]], Sequence[int]], Desk]] = {
    "diffusion-pipe": _diffusion_pipe,
    "ai-toolkit": _ai_toolkit,
    "simpletuner": _simpletuner,
}
TRAINERS = frozenset(_DESKS)
"""Layouts whose trainers can be asked."""


def _touch(place: Path) -> str:
    place.touch()
    return f"wrote {place}"


def _count_up(place: Path) -> str:
    """Raise the counter of checkpoints, as SimpleTuner's own interface does: whole, beside, and renamed."""
    try:
        known = json.loads(place.read_text() or "{}")
        known["manual_checkpoint"] = int(known.get("manual_checkpoint", 0)) + 1
    except (ValueError, TypeError, AttributeError) as error:  # no object, or no number in it
        raise ActError(f"{place} holds no counters: {error}") from error
    beside = place.with_name(f".{place.name}.watcher")
    beside.write_text(json.dumps(known))
    beside.chmod(place.stat().st_mode & 0o777)
    beside.replace(place)
    return f"raised manual_checkpoint in {place} to {known['manual_checkpoint']}"


@contextmanager
def _database(place: str) -> Iterator[sqlite3.Connection]:
    """Open ai-toolkit's database, which is never made; a lock is waited for briefly.

    Raises:
        UnansweredError: it is locked, or cannot be read just now.

    """
    try:
        uri = f"{Path(place).as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY)) as database, database:
            yield database
    except sqlite3.OperationalError as error:
        raise UnansweredError(f"{place}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise NotAskableError(f"{place} is no database of ai-toolkit: {error}") from error


def _job(found: Desk) -> Mapping[str, Any]:
    with _database(found.place) as database:
        columns = {row[1] for row in database.execute("PRAGMA table_info(Job)")}
        if lacking := sorted(NEEDED - columns):
            raise NotAskableError(f"{found.place} has no `{lacking[0]}` in `Job`; ai-toolkit is too old to be asked")
        row = database.execute("SELECT status, stop, save_now FROM Job WHERE id = ?", (found.job,)).fetchone()
    if row is None:
        raise ActError(f"{found.place} has no job {found.job}")
    return dict(zip(("status", "stop", "save_now"), row, strict=True))


def _set_job(found: Desk, column: str, value: int) -> str:
    statements = {
        "save_now": "UPDATE Job SET save_now = ? WHERE id = ?",
        "stop": "UPDATE Job SET stop = ? WHERE id = ?",
    }
    with _database(found.place) as database:
        database.execute(statements[column], (value, found.job))
    return f"set {column} = {value} for job {found.job} in {found.place}"
