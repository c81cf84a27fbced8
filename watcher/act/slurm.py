"""A job as Slurm shows it: what the controller says (`squeue`, `scontrol`), and what accounting says (`sacct`).

Sources: squeue(1), scontrol(1), sacct(1), with the job states of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from watcher.act.programs import ask
from watcher.errors import ActError

RUNS = ("RUNNING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING", "STAGE_OUT", "CONFIGURING")
ENDED = (
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "LAUNCH_FAILED", "NODE_FAIL", "OUT_OF_MEMORY"),
    *("PREEMPTED", "RECONFIG_FAIL", "REVOKED", "TIMEOUT"),
)
"""States in which a job has ended; COMPLETING is none: processes of it may still run then."""
_UNKNOWN = "Invalid job id specified"
_FIELDS = "%i|%A|%U|%T|%V|%S"
"""Id, unique id (of an array's element too), user id, state in full, time of submission, time of start."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job at one moment."""

    name: str
    """Its id, as the user writes it."""
    number: str
    """Its unique number, which is `$SLURM_JOB_ID` for its processes."""
    uid: int
    state: str
    submitted: str
    started_at: float | None
    """None where it has not started."""

    @property
    def has_ended(self) -> bool:
        """Whether it is in a state that it does not leave by itself."""
        return self.state in ENDED


def queue(job: str) -> Job | None:
    """Ask the controller for a job; None where it does not know it, any more or at all.

    Raises:
        UnansweredError: the controller cannot be asked.
        ActError: it says something else, or means several jobs.

    """
    answer = ask("squeue", "--noheader", "--array", "--states=all", f"--jobs={job}", f"--format={_FIELDS}")
    if answer.status:
        if _UNKNOWN in answer.err:
            return None
        raise ActError(f"squeue cannot tell of job {job}: {answer.said}")
    rows = [line.strip() for line in answer.out.splitlines() if line.strip()]
    if len(rows) > 1:
        raise ActError(f"job {job} is {len(rows)} jobs, an array's or a heterogeneous job's; name one, such as {job}_1")
    return _read(job, rows[0]) if rows else None


def _read(job: str, row: str) -> Job:
    fields = row.split("|")
    if len(fields) != len(_FIELDS.split("|")) or job not in fields[:2] or not fields[2].isdigit():
        raise ActError(f"squeue says of job {job} what cannot be understood: {row[:200]!r}")
    _, number, uid, state, submitted, started = fields
    return Job(job, number, int(uid), state.partition(" ")[0], submitted, time_of(started))


def controller_forgot(job: str) -> bool:
    """Tell whether `scontrol` knows a job no more either; False where it cannot be asked."""
    try:
        answer = ask("scontrol", "show", "job", job)
    except ActError:
        return False
    return bool(answer.status) and _UNKNOWN in answer.err + answer.out


def accounting(job: str) -> tuple[str, float | None] | None:
    """Ask accounting for the state of a job and when it was started; None where it tells nothing."""
    try:
        answer = ask("sacct", "-j", job, "-n", "-P", "-X", "-o", "State,Start")
    except ActError:
        return None
    rows = [line.split("|") for line in answer.out.splitlines() if line.strip()]
    if answer.status or len(rows) != 1 or len(rows[0]) != 2:
        return None
    return rows[0][0], time_of(rows[0][1])


def cancel(*words: str) -> str:
    """Let `scancel` do something; gives what it complained of, or nothing.

    Raises:
        UnansweredError: it is not there, or does not answer.

    """
    answer = ask("scancel", *words)
    return answer.said if answer.status else ""


def time_of(text: str) -> float | None:
    """Read a time in Slurm's standard form and UTC; None for `N/A`, `Unknown` and the like."""
    try:
        return datetime.strptime(text.strip(), "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
