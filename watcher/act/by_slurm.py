"""Stopping a run by its Slurm job: SIGTERM to all of it, then `scancel`; verified by a state that it does not leave."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from watcher.act import processes, slurm
from watcher.act.backend import SlurmBackend
from watcher.act.caller import veto
from watcher.act.identity import Member, NoProcessError, joined, refuse, refuse_relaunch
from watcher.act.launches import NoLaunchError, refuse_strangers
from watcher.act.moves import OVER, Paces, World, also_sent, perhaps_before, proved, refused, to, vetoed
from watcher.act.processes import Process
from watcher.act.programs import UnansweredError
from watcher.act.slurm import Job
from watcher.act.ties import Output
from watcher.clock import span
from watcher.errors import ActError
from watcher.nouns import ActionKind, Command

EVERY = 5.0
"""Seconds between two looks at a job that is to end: the controller serves a whole cluster."""
AFTER_CANCEL = 60.0
"""Seconds that a job has to end after `scancel`, at least: Slurm itself sends SIGKILL after `KillWait`, usually 30."""


@dataclass(frozen=True, slots=True)
class JobIdentity:
    """A job in one of its starts, frozen, and its processes on this host."""

    job: str
    number: str
    uid: int
    submitted: str
    started_at: float
    tie: str
    host: str
    boot_id: str
    members: tuple[Member, ...] = ()

    @property
    def named(self) -> str:
        """Name it for people."""
        return f"Slurm job {self.job} (submitted {self.submitted})"

    def to_json(self) -> dict[str, Any]:
        """Give it for the store."""
        return asdict(self)

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> JobIdentity:
        """Read it from the store."""
        return JobIdentity(**{**value, "members": tuple(Member(**one) for one in value["members"])})


class BySlurm:
    """The way of `slurm`."""

    def __init__(self) -> None:
        self._paces = Paces(EVERY)

    def find(
        self, output: Output, backend: SlurmBackend, evidence_at: float, known: Mapping[int, Process] | None = None
    ) -> JobIdentity:
        """Look for the job, which must be this user's, run, and have been started before the images were made."""
        if not backend.job:
            raise NoLaunchError(f"{output} was not launched by `watcher exec` in a Slurm job, and `job` names none")
        job = slurm.queue(backend.job)
        if job is None:
            raise NoProcessError(f"Slurm does not know job {backend.job}")
        _refuse_others(job)
        if job.state not in slurm.RUNS or job.started_at is None:
            raise NoProcessError(f"Slurm job {job.name} is {job.state}")
        refuse_relaunch(f"Slurm job {job.name} was started", job.started_at, evidence_at)
        known = processes.everything() if known is None else known
        refuse_strangers(backend.control, _here(job.number, known), known, f"Slurm job {job.name}")
        return _identity(job, job.started_at, output, known)

    def can(self, backend: SlurmBackend, kind: ActionKind) -> bool:  # noqa: ARG002 - as of every way
        """Tell whether it can do an action of this kind: only stop."""
        return kind == "stop"

    def deed(self, backend: SlurmBackend, kind: ActionKind, args: Mapping[str, Any]) -> str:  # noqa: ARG002 - as of every way
        """Say what scancel is told."""
        later = f"`scancel {backend.job}` if it still runs after {span(args['grace'] / 2)}"
        return f"All of it gets SIGTERM (`scancel --full --signal=TERM {backend.job}`), and {later}"

    def is_gone(self, command: Command, world: World) -> bool:
        """Tell whether the job has ended; where nobody can be asked, that is not known."""
        if not self._paces.due(command, world):
            return False
        try:
            _confirm(JobIdentity.from_json(command.identity), world)
        except NoProcessError:
            return True
        except ActError:
            return False
        return False

    def begin(self, command: Command, world: World, noted: Mapping[str, Any]) -> Command:
        """Look once more whether it is the same job in the same start."""
        try:
            identity = _confirm(JobIdentity.from_json(command.identity), world)
        except NoProcessError:
            return to(command, "cancelled", world, OVER)
        except ActError as error:
            return refused(command, world, error, "nothing was cancelled")
        return to(command, "attempting", world, "", identity, {**command.progress, **noted})

    def attempt(self, command: Command, world: World) -> Command:
        """Send SIGTERM to all steps, the batch script and its children; a job that cannot be signalled is cancelled."""
        again = perhaps_before(command, world, "SIGTERM")
        if held := veto(world.output, world.ask):
            return vetoed(command, world, f"{held}{again}")
        identity = JobIdentity.from_json(command.identity)
        at = world.now
        try:
            identity = _confirm(identity, world)
            sent, accepted = _tell("--full", "--signal=TERM", identity.job)
            at = world.now if accepted else world.now - command.args["grace"]
        except NoProcessError:
            sent = f"nothing to signal, it had ended{again}"
        except ActError as error:
            return refused(command, world, error, f"nothing was cancelled{again}")
        return to(command, "acknowledged", world, "", identity, also_sent(command, sent, at=at, began=world.now))

    def verify(self, command: Command, world: World) -> Command:
        """Wait until the controller and accounting say that it has ended."""
        if not self._paces.due(command, world):
            return command
        stored = JobIdentity.from_json(command.identity)
        try:
            job = slurm.queue(stored.job)
        except ActError as error:
            return _escalate(command, world, stored, f"it is not known whether it runs: {error}")
        if job is not None and not job.has_ended:
            if (job.number, job.started_at) != (stored.number, stored.started_at):
                return _relaunched(command, world, f"Slurm job {job.name} was requeued and is {job.state}")
            return _escalate(command, world, stored, f"Slurm job {job.name} is {job.state}", is_sure=True)
        return _ended(command, world, stored, job)


def _refuse_others(job: Job) -> None:
    if job.uid != os.geteuid():
        raise ActError(f"Slurm job {job.name} belongs to user {job.uid}, this program runs as {os.geteuid()}")


def _here(number: str, known: Mapping[int, Process]) -> list[Process]:
    """Give the job's processes that are seen from here: by the variable that Slurm gives them."""
    return [one for one in known.values() if one.alive and _job_of(one.pid) == number]


def _job_of(pid: int) -> str:
    return processes.environment(pid).get("SLURM_JOB_ID", "")


def _identity(job: Job, started_at: float, output: Output, known: Mapping[int, Process]) -> JobIdentity:
    """Freeze a job.

    Raises:
        ActError: it holds this program, a GUI, or trains something else, as far as that is seen from here.

    """
    tree = _here(job.number, known)
    if os.getpid() in {process.pid for process in tree}:
        raise ActError(f"this program itself runs in Slurm job {job.name}; use the backend `process`")
    refuse(tree, output)
    members = joined((), tree)
    tie = "the configuration names its job"
    place = (processes.host(), processes.boot_id())
    return JobIdentity(job.name, job.number, job.uid, job.submitted, started_at, tie, *place, members)


def _confirm(stored: JobIdentity, world: World) -> JobIdentity:
    """Look at the job right before something is done to it.

    Raises:
        NoProcessError: it has ended.
        ActError: it was requeued, must not be touched any more, or cannot be asked for.

    """
    job = slurm.queue(stored.job)
    if job is None or job.has_ended or job.state == "COMPLETING":
        raise NoProcessError(f"Slurm job {stored.job} has ended")
    _refuse_others(job)
    if (job.number, job.started_at) != (stored.number, stored.started_at):
        raise ActError(
            f"Slurm job {job.name} was requeued (it is {job.state}): an old decision does not stop a new launch"
        )
    return _identity(job, stored.started_at, world.output, processes.everything())


def _tell(*words: str) -> tuple[str, bool]:
    """Let scancel do something; gives what was done, in words, and whether it may have been accepted."""
    what = f"`scancel {' '.join(words)}`"
    try:
        trouble = slurm.cancel(*words)
    except UnansweredError as error:
        return f"{what}: {error}", not error.permanent
    return (f"{what} was not accepted: {trouble}", False) if trouble else (what, True)


def _escalate(command: Command, world: World, stored: JobIdentity, what: str, *, is_sure: bool = False) -> Command:
    """Wait for half of `grace`, cancel the job if it surely is the same, wait again, or say that it failed."""
    half, waited = command.args["grace"] / 2, world.now - command.progress["at"]
    is_cancelled = command.progress.get("cancelled", False)
    held = veto(world.output, world.ask)
    if is_sure and not is_cancelled and not held and waited >= half:
        sent, accepted = _tell(stored.job)
        progress = also_sent(command, sent, cancelled=True, at=world.now)
        if not accepted:
            return to(command, "failed", world, f"{what} after {'; '.join(progress['sent'])}", None, progress)
        return to(command, "acknowledged", world, "", None, progress)
    if waited < (max(half, AFTER_CANCEL) if is_cancelled else command.args["grace"]):
        return command
    why = f"; {held}" if held else ""
    return to(command, "failed", world, f"{what} after {'; '.join(command.progress['sent'])}{why}")


def _relaunched(command: Command, world: World, what: str) -> Command:
    sent = "; ".join(command.progress["sent"])
    return to(command, "failed", world, f"{what} after {sent}: an old decision does not stop a new launch")


def _ended(command: Command, world: World, stored: JobIdentity, job: Job | None) -> Command:
    """Ask for the proof of a job that the controller calls ended, or knows no more."""
    if job is not None and job.started_at != stored.started_at:
        return _relaunched(command, world, f"Slurm job {job.name} was requeued, and is {job.state} now")
    known = processes.everything()
    if left := _here(stored.number, known):
        return _escalate(command, world, stored, f"it has ended, but processes of it run here: {_pids(left)}")
    told = slurm.accounting(stored.job)
    if told and told[0].partition(" ")[0] in slurm.ENDED:
        if told[1] != stored.started_at:
            return _relaunched(command, world, f"Slurm job {stored.job} was requeued, and is {told[0]} now")
        return _verified(command, world, stored, f"{told[0]} (sacct)")
    if told:
        return _escalate(command, world, stored, f"the controller calls it ended, sacct still says {told[0]}")
    if job is not None:
        return _verified(command, world, stored, f"{job.state} (squeue; sacct tells nothing of it)")
    if slurm.controller_forgot(stored.job):
        return _verified(command, world, stored, "known to the controller no more (squeue, scontrol)")
    return _escalate(command, world, stored, "nobody tells how it stands: neither squeue, sacct nor scontrol")


def _pids(left: Sequence[Process]) -> str:
    return ", ".join(f"{one.pid} ({one.shown[:60]})" for one in left)


def _verified(command: Command, world: World, stored: JobIdentity, how: str) -> Command:
    seconds = world.now - command.progress["began"]
    sent = "; ".join(command.progress["sent"])
    return proved(command, world, f"Slurm job {stored.job} is {how} after {seconds:.0f} s ({sent})", stored)
