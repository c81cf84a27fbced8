"""Who a run is that was launched under control: its launch, the process that has the run in it, and all others."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from watcher.act import processes, ties
from watcher.act.backend import ExecBackend
from watcher.act.identity import Identity, Member, NoProcessError, refuse, refuse_relaunch, refuse_users
from watcher.act.launches import Launch, NoLaunchError, launch_of, launches
from watcher.act.processes import Process
from watcher.act.ties import Output
from watcher.errors import ActError


@dataclass(frozen=True, slots=True)
class LaunchIdentity:
    """A launch and its training, frozen."""

    launch: str
    control: str
    """The control folder."""
    host: str
    trainer: tuple[int, int | None]
    """Pid and start, in clock ticks after boot, of the process that has the run."""
    tie: str
    processes: Identity | None = None
    """All of it, where that is seen from here; None on another host."""

    @property
    def named(self) -> str:
        """Name it for people."""
        return f"process {self.trainer[0]} on {self.host}, launch {self.launch}"

    @property
    def members(self) -> Sequence[Member]:
        """Give its processes, as far as they are seen from here."""
        return self.processes.members if self.processes else ()

    def to_json(self) -> dict[str, Any]:
        """Give it for the store."""
        return asdict(self)

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> LaunchIdentity:
        """Read it from the store."""
        stored, trainer = value["processes"], tuple(value["trainer"])
        seen = Identity.from_json(stored) if stored else None
        return LaunchIdentity(**{**value, "trainer": trainer, "processes": seen})

    def now(self) -> Launch | None:
        """Read the launch as its folder records it now; None where another one has replaced it, or it is gone."""
        found = launch_of(Path(self.control))
        return found if found and found.id == self.launch else None

    def has_trainer(self) -> bool:
        """Tell whether the very process that was identified is there."""
        launch = self.now()
        claim = launch.claim() if launch else None
        is_same = claim is not None and (claim["pid"], claim["start_time"]) == self.trainer
        return launch is not None and is_same and launch.has_trainer()

    def left(self) -> str:
        """Say what of the launch still runs; empty where all of it is proved to be gone."""
        launch = self.now()
        if self.processes is None:
            return f"launch {self.launch} on {self.host} still beats" if launch and launch.beats() else ""
        if not self.processes.is_here:
            return f"it ran on {self.host}, before a restart or in another container: its end is not seen from here"
        known = processes.everything()
        marked = _tree(launch, self.trainer[0], known) if launch else ()
        pids = {*marked, *(one.pid for one in self.processes.extended(known).living(known))}
        listed = ", ".join(f"{pid} ({known[pid].shown[:60]})" for pid in sorted(pids) if pid in known)
        return f"still running: {listed}" if listed else ""


def identify(
    output: Output, backend: ExecBackend, evidence_at: float, known: Mapping[int, Process] | None = None
) -> LaunchIdentity:
    """Find the launch of a run in which a training steps under the hook, and is older than its evidence.

    Raises:
        NoLaunchError: none is recorded.
        NoProcessError: there is one, but nobody reads its commands.
        ActError: there are several, or it is not certain whose it is.

    """
    recorded = launches(output, backend)
    if not recorded:
        raise NoLaunchError(
            f"{output} was not launched by `watcher exec -- COMMAND`, without which it is not told anything"
        )
    known = processes.everything() if known is None else known
    mine = [one for one in recorded if _could_be(one, output, known)]
    there = [one for one in mine if one.has_trainer()]
    if not there:
        raise NoProcessError("; ".join(one.why_nobody() for one in mine or recorded))
    if len(there) > 1:
        raise ActError(f"several launches train into {output}: {', '.join(one.id for one in there)}")
    return _identity(there[0], output, known, evidence_at)


def confirm(stored: LaunchIdentity, output: Output) -> LaunchIdentity:
    """Look once more, right before a command is given: the same launch, the same process, still the run's.

    Raises:
        NoProcessError: it has ended.
        ActError: another launch has taken its place, or it is not to be told any more.

    """
    launch = stored.now()
    if launch is None:
        newer = launch_of(Path(stored.control))
        if newer is not None and newer.has_trainer():
            raise ActError(f"the run was relaunched ({newer.id}): an old decision does not reach a new launch")
        raise NoProcessError(f"launch {stored.launch} has ended")
    if not stored.has_trainer():
        raise NoProcessError(launch.why_nobody())
    if stored.processes is None:
        return stored
    return _identity(launch, output, processes.everything(), None)


def _could_be(launch: Launch, output: Output, known: Mapping[int, Process]) -> bool:
    """Tell whether a launch is the training that is meant, where its folder alone does not say."""
    claim = launch.claim()
    if not output.is_named or claim is None or claim["pid"] not in known or not launch.is_here:
        return not output.is_named
    return ties.tie_to(output, known[claim["pid"]]).kind in ("told", "writes")


def _identity(
    launch: Launch, output: Output, known: Mapping[int, Process], evidence_at: float | None
) -> LaunchIdentity:
    claim = launch.claim()
    assert claim is not None
    tie = f"launched by `watcher exec` as {launch.id}"
    trainer = (claim["pid"], claim["start_time"])
    seen = _seen(launch, claim["pid"], output, known, tie) if launch.is_here else None
    if seen is None:
        _refuse_other_user(launch)
    if evidence_at is not None:
        _refuse_younger(launch, known.get(claim["pid"]) if seen else None, evidence_at)
    return LaunchIdentity(launch.id, str(launch.control), launch.record["host"], trainer, tie, seen)


def _seen(launch: Launch, pid: int, output: Output, known: Mapping[int, Process], tie: str) -> Identity:
    """Give all processes of a launch that runs here; that which trains is its root.

    Raises:
        NoProcessError: it has just ended.
        ActError: it is another user's, or no training, or another run's.

    """
    if pid not in known:
        raise NoProcessError(f"process {pid} of launch {launch.id} has ended")
    root = known[pid]
    tree = {one.pid: one for one in (root, *(known[pid] for pid in _tree(launch, pid, known)))}
    refuse_users([*tree.values()])
    refuse([root], output)
    members = tuple(Member(one.pid, one.start, one.shown, one is root) for one in tree.values())
    return Identity(processes.host(), processes.boot_id(), processes.pid_namespace(), root.uid, tie, members)


def _tree(launch: Launch, trainer: int, known: Mapping[int, Process]) -> Sequence[int]:
    """Give the living processes of a launch; of one by a GUI only what that has started for this training."""
    living = [pid for pid in launch.living() if pid in known]
    if not any(ties.is_gui(known[pid]) for pid in living):
        return living
    top = trainer
    while top in known and (parent := known.get(known[top].parent)) and parent.pid in living:
        if ties.is_gui(parent):
            break
        top = parent.pid
    return sorted({top, *processes.descendants([top], known)} & {*living})


def _refuse_younger(launch: Launch, trainer: Process | None, evidence_at: float) -> None:
    """Refuse a relaunch: by its training's start where that is seen, else by the launch's.

    Raises:
        ActError: says by how much.

    """
    what = f"process {trainer.pid} started" if trainer else f"launch {launch.id} began"
    refuse_relaunch(what, trainer.started_at if trainer else launch.record["launched_at"], evidence_at)


def _refuse_other_user(launch: Launch) -> None:
    """Refuse a launch that another user's training has, where its processes are not seen."""
    user = launch.record["user"]["uid"]
    if user != os.geteuid():
        raise ActError(f"launch {launch.id} belongs to user {user}, this program runs as {os.geteuid()}")
