"""Which processes are a run, so surely that they may be signalled; anything less is refused."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from watcher.act import processes, ties
from watcher.act.backend import ProcessBackend
from watcher.act.candidates import listed, roots, ways
from watcher.act.processes import CLOCK_SLACK, Key, Process
from watcher.act.ties import Output
from watcher.errors import ActError


class NoProcessError(ActError):
    """Nothing that runs is the run."""


@dataclass(frozen=True, slots=True)
class Member:
    """One process of a run's tree; its command line is without secrets."""

    pid: int
    start: int
    command: str
    root: bool = False


@dataclass(frozen=True, slots=True)
class Identity:
    """A run's processes, frozen: where they run, who they are, and what ties them to the run."""

    host: str
    boot_id: str
    namespace: str
    uid: int
    tie: str
    members: tuple[Member, ...]
    above: tuple[Key, ...] = ()
    """What the run was started by: a shell, a GUI, a service; never part of it, nor a relaunch of it."""

    def to_json(self) -> dict[str, Any]:
        """Give it for the store."""
        return asdict(self)

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Identity:
        """Read it from the store."""
        members = tuple(Member(**member) for member in value["members"])
        above = tuple((pid, start) for pid, start in value.get("above", ()))
        return Identity(**{**value, "members": members, "above": above})

    @property
    def roots(self) -> list[Member]:
        """Give the tops of the tree."""
        return [member for member in self.members if member.root]

    @property
    def named(self) -> str:
        """Name the tops of the tree for people."""
        return "pid " + ", ".join(f"{root.pid} ({root.command[:80]})" for root in self.roots)

    @property
    def is_here(self) -> bool:
        """Whether its pids mean the same processes here and now: same host, boot, pid namespace and user."""
        here = (processes.host(), processes.boot_id(), processes.pid_namespace(), os.geteuid())
        return (self.host, self.boot_id, self.namespace, self.uid) == here

    def living(self, known: Mapping[int, Process]) -> list[Member]:
        """Give the members that still run."""
        return [member for member in self.members if is_same(member, known.get(member.pid))]

    def extended(self, known: Mapping[int, Process]) -> Identity:
        """Add what the members have started since; nothing is ever taken away."""
        below = processes.descendants([m.pid for m in self.living(known)], known)
        members = joined(self.members, [known[pid] for pid in sorted(below) if known[pid].alive])
        return replace(self, members=members) if members != self.members else self


def joined(members: tuple[Member, ...], found: Sequence[Process]) -> tuple[Member, ...]:
    """Add processes to those that are members; nothing is ever taken away."""
    have = {(one.pid, one.start) for one in members}
    new = (Member(one.pid, one.start, one.shown) for one in found if (one.pid, one.start) not in have)
    return (*members, *new)


def is_same(member: Member, process: Process | None) -> bool:
    """Tell whether a pid still is the process that was identified, and has not ended."""
    return process is not None and process.start == member.start and process.alive


def identify(
    output: Output,
    backend: ProcessBackend,
    evidence_at: float,
    apart: Sequence[Key] = (),
    known: Mapping[int, Process] | None = None,
    *,
    ours: bool = True,
) -> Identity:
    """Find the processes of a run; they must be older than the images that are held against them.

    What is `apart` is known not to be the run; `known` are all processes, where they were just read. Unless they are
    to be `ours`, those of other users and in containers count too: they are not for this program to signal.

    Raises:
        NoProcessError: there are none.
        ActError: there are several unrelated ones, or some that must not be signalled; says which.

    """
    known = processes.everything() if known is None else known
    tops, tie = roots(output, backend, known, apart)
    if not tops:
        raise NoProcessError(f"no process of {output} was found on {processes.host()}: {ways(output, backend, known)}")
    if len(tops) > 1:
        raise ActError(f"several unrelated processes could be the run, none is touched: {listed(tops, known)}")
    tree = [known[pid] for pid in sorted(processes.descendants(tops, known))]
    if ours:
        _refuse_strangers(tree)
    refuse(tree, output)
    _refuse_younger(tree, known[tops[0]], evidence_at)
    return Identity(
        host=processes.host(),
        boot_id=processes.boot_id(),
        namespace=processes.pid_namespace(),
        uid=os.geteuid(),
        tie=tie,
        members=tuple(Member(p.pid, p.start, p.shown, p.pid in tops) for p in tree),
        above=tuple((pid, known[pid].start) for pid in sorted(processes.ancestors(tops[0], known) - set(tops))),
    )


def confirm(identity: Identity, output: Output, backend: ProcessBackend, known: Mapping[int, Process]) -> Identity:
    """Look once more, right before a signal: the same processes, still tied to the run, and what they started since.

    Raises:
        NoProcessError: all of them have ended.
        ActError: they cannot be taken for the run any more, or others could be; says why.

    """
    if not identity.is_here:
        raise ActError("this is another host, boot, pid namespace or user than at the decision")
    if reused := [m.pid for m in identity.roots if m.pid in known and known[m.pid].start != m.start]:
        raise ActError(f"pid {reused[0]} is another process now")
    identity = identity.extended(known)
    if not (living := identity.living(known)):
        raise NoProcessError("all processes of the run have ended")
    tree = [known[member.pid] for member in living]
    _refuse_strangers(tree)
    refuse(tree, output)
    tied, _ = roots(output, backend, known, identity.above)
    if others := [pid for pid in tied if pid not in {member.pid for member in living}]:
        raise ActError(f"meanwhile other processes could be the run: {listed(others, known)}")
    if not tied and any(member.root for member in living):
        raise ActError(f"nothing ties pid {living[0].pid} to the run any more (it was: {identity.tie})")
    return identity


def own_groups(identity: Identity, known: Mapping[int, Process]) -> list[int]:
    """Give the process groups that hold members only: whatever appears in one of them later came out of the run."""
    pids = {member.pid for member in identity.living(known)}
    shared = {process.group for process in known.values() if process.alive and process.pid not in pids}
    return sorted({known[pid].group for pid in pids} - shared)


def others(
    identity: Identity, groups: Sequence[int], output: Output, backend: ProcessBackend, known: Mapping[int, Process]
) -> list[Process]:
    """Give what runs beside the members and came out of them, or could be the run: a helper, or a relaunch.

    Another training that shares the folder is neither.
    """
    have = {(member.pid, member.start) for member in identity.members}
    try:
        tied, _ = roots(output, backend, known, identity.above)
    except ActError:  # a pid file that is gone or stale names nobody; of what is unclear nothing is known
        tied = []
    found = [process for process in known.values() if process.group in groups or process.pid in tied]
    left = [process for process in found if process.alive and (process.pid, process.start) not in have]
    return [process for process in left if ties.tie_to(output, process).kind != "other"]


def _refuse_strangers(tree: list[Process]) -> None:
    """Refuse what this program must not signal, whatever it is.

    Raises:
        ActError: says what and why.

    """
    refuse_users(tree)
    for process in tree:
        if process.alive and processes.pid_namespace(process.pid) not in ("", processes.pid_namespace()):
            raise ActError(f"process {process.pid} lives in another pid namespace (a container)")


def refuse_users(tree: Sequence[Process]) -> None:
    """Refuse what belongs to another user, also where root asks.

    Raises:
        ActError: says whose it is.

    """
    for process in tree:
        if process.alive and process.uid != os.geteuid():
            raise ActError(f"process {process.pid} belongs to user {process.uid}, this program runs as {os.geteuid()}")


def refuse(tree: Sequence[Process], output: Output) -> None:
    """Refuse what is not the run, or more than the run.

    Raises:
        ActError: says what and why.

    """
    for process in tree:
        if ties.is_gui(process):
            raise ActError(f"process {process.pid} ({process.shown}) is no training but starts them, and must go on")
    if otherwise := ties.trains_otherwise(output, tree):
        raise ActError(f"process {tree[0].pid} ({tree[0].shown}) {otherwise}")


def _refuse_younger(tree: list[Process], root: Process, evidence_at: float) -> None:
    """Refuse a relaunch; where a shell is the root, its eldest Python program must be old enough.

    Raises:
        ActError: says by how much.

    """
    eldest = min((p for p in tree if ties.could_train(p)), key=lambda p: p.start, default=root)
    refuse_relaunch(f"process {eldest.pid} started", eldest.started_at, evidence_at)


def refuse_relaunch(what: str, started_at: float, evidence_at: float) -> None:
    """Refuse what was started after the images that are held against it; `what` says who was started.

    Raises:
        ActError: says by how much.

    """
    late = started_at - evidence_at
    if late > CLOCK_SLACK:
        raise ActError(f"{what} {late:.0f} s after the images in question were written: a relaunch")
