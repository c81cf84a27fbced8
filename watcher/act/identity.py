"""Which processes are a run, so surely that they may be signalled; anything less is refused."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from watcher.act import processes, ties
from watcher.act.backend import ProcessBackend
from watcher.act.processes import Process
from watcher.errors import ActError

CLOCK_SLACK = 1.0
"""Seconds; the kernel tells start times relative to a boot time that is exact to a second."""


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

    def to_json(self) -> dict[str, Any]:
        """Give it for the store."""
        return asdict(self)

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Identity:
        """Read it from the store."""
        return Identity(**{**value, "members": tuple(Member(**member) for member in value["members"])})

    @property
    def roots(self) -> list[Member]:
        """Give the tops of the tree."""
        return [member for member in self.members if member.root]

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
        have = {(m.pid, m.start) for m in self.members}
        below = processes.descendants([m.pid for m in self.living(known)], known)
        found = [known[pid] for pid in sorted(below) if known[pid].alive]
        new = [Member(p.pid, p.start, p.shown) for p in found if (p.pid, p.start) not in have]
        return replace(self, members=(*self.members, *new)) if new else self


def is_same(member: Member, process: Process | None) -> bool:
    """Tell whether a pid still is the process that was identified, and has not ended."""
    return process is not None and process.start == member.start and process.alive


def identify(run_folder: Path, backend: ProcessBackend, evidence_at: float) -> Identity:
    """Find the processes of a run; they must be older than the images that are held against them.

    Raises:
        NoProcessError: there are none.
        ActError: there are several unrelated ones, or some that must not be signalled; says which.

    """
    known = processes.everything()
    roots, tie = _roots(run_folder, backend, known)
    if not roots:
        raise NoProcessError(
            f"no process of {run_folder} was found on {processes.host()}: {_ways(run_folder, backend, known)}"
        )
    if len(roots) > 1:
        raise ActError(f"several unrelated processes could be the run, none is touched: {_listed(roots, known)}")
    tree = [known[pid] for pid in sorted(processes.descendants(roots, known))]
    _refuse(tree, run_folder)
    _refuse_younger(tree, known[roots[0]], evidence_at)
    return Identity(
        host=processes.host(),
        boot_id=processes.boot_id(),
        namespace=processes.pid_namespace(),
        uid=os.geteuid(),
        tie=tie,
        members=tuple(Member(p.pid, p.start, p.shown, p.pid in roots) for p in tree),
    )


def confirm(identity: Identity, run_folder: Path, backend: ProcessBackend, known: Mapping[int, Process]) -> Identity:
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
    _refuse([known[member.pid] for member in living], run_folder)
    tied, _ = _roots(run_folder, backend, known)
    if others := [pid for pid in tied if pid not in {member.pid for member in living}]:
        raise ActError(f"meanwhile other processes could be the run: {_listed(others, known)}")
    if not tied and any(member.root for member in living):
        raise ActError(f"nothing ties pid {living[0].pid} to the run any more (it was: {identity.tie})")
    return identity


def own_groups(identity: Identity, known: Mapping[int, Process]) -> list[int]:
    """Give the process groups that hold members only: whatever appears in one of them later came out of the run."""
    pids = {member.pid for member in identity.living(known)}
    shared = {process.group for process in known.values() if process.alive and process.pid not in pids}
    return sorted({known[pid].group for pid in pids} - shared)


def others(
    identity: Identity, groups: Sequence[int], run_folder: Path, backend: ProcessBackend, known: Mapping[int, Process]
) -> list[Process]:
    """Give what runs beside the members and came out of them, or could be the run: a helper, or a relaunch."""
    have = {(member.pid, member.start) for member in identity.members}
    try:
        tied, _ = _roots(run_folder, backend, known)
    except ActError:  # a pid file that is gone or stale names nobody
        tied = []
    found = [process for process in known.values() if process.group in groups or process.pid in tied]
    return [process for process in found if process.alive and (process.pid, process.start) not in have]


def _roots(run_folder: Path, backend: ProcessBackend, known: Mapping[int, Process]) -> tuple[list[int], str]:
    """Give the tops of all trees that could be the run, this program's own left out, and what ties them to it.

    Raises:
        ActError: a pid file names what this program itself descends from, or cannot be trusted.

    """
    found, tie = _candidates(run_folder, backend, known)
    mine = processes.ancestors(os.getpid(), known)
    strangers = [pid for pid in found if pid not in mine and pid != 1]
    if backend.pidfile is not None and found and not strangers:
        raise ActError(f"process {found[0]} is this program or one that it descends from")
    return _tops(strangers, known), tie


def _candidates(run_folder: Path, backend: ProcessBackend, known: Mapping[int, Process]) -> tuple[list[int], str]:
    if backend.pidfile is not None:
        return _from_pidfile(backend.pidfile, known), f"pid file {backend.pidfile}"
    if backend.match is not None:
        pattern = re.compile(backend.match)
        found = [p.pid for p in known.values() if pattern.search(p.command) and ties.could_train(p)]
        return found, f"command line matches {backend.match!r}"
    tied = {p.pid: tie for p in known.values() if (tie := ties.tie_to(run_folder, p))}
    return list(tied), next(iter(tied.values()), "")


def _from_pidfile(path: Path, known: Mapping[int, Process]) -> list[int]:
    """Give the process that a pid file names, if it runs.

    Raises:
        ActError: the file cannot be read, or is older than the process, whose pid was reused.

    """
    try:
        text, written_at = path.read_text().split(), path.stat().st_mtime
        process = known.get(int(text[0]))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, IndexError) as error:
        raise ActError(f"pid file {path} holds no pid, or cannot be read: {error}") from error
    if process is None or not process.alive:
        return []
    if process.started_at > written_at + CLOCK_SLACK:
        raise ActError(f"pid file {path} is older than process {process.pid} ({process.shown}): the pid was reused")
    return [process.pid]


def _tops(candidates: list[int], known: Mapping[int, Process]) -> list[int]:
    """Keep candidates that descend from no other one: a launcher and its child are one tree."""
    chosen = set(candidates)
    return [pid for pid in candidates if not (processes.ancestors(pid, known) - {pid}) & chosen]


def _refuse(tree: list[Process], run_folder: Path) -> None:
    """Refuse what must not be signalled.

    Raises:
        ActError: says what and why.

    """
    for process in tree:
        if process.alive and process.uid != os.geteuid():
            raise ActError(f"process {process.pid} belongs to user {process.uid}, this program runs as {os.geteuid()}")
        if process.alive and processes.pid_namespace(process.pid) not in ("", processes.pid_namespace()):
            raise ActError(f"process {process.pid} lives in another pid namespace (a container)")
    if elsewhere := ties.writes_elsewhere(run_folder, tree):
        raise ActError(f"process {tree[0].pid} ({tree[0].shown}) writes to {elsewhere}, not to the run")


def _refuse_younger(tree: list[Process], root: Process, evidence_at: float) -> None:
    """Refuse a relaunch; where a shell is the root, its eldest Python program must be old enough.

    Raises:
        ActError: says by how much.

    """
    eldest = min((p for p in tree if ties.could_train(p)), key=lambda p: p.start, default=root)
    late = eldest.started_at - evidence_at
    if late > CLOCK_SLACK:
        raise ActError(
            f"process {eldest.pid} started {late:.0f} s after the images in question were written: a relaunch"
        )


def _listed(pids: list[int], known: Mapping[int, Process]) -> str:
    return "; ".join(f"{pid} ({known[pid].shown})" for pid in sorted(pids))


def _ways(run_folder: Path, backend: ProcessBackend, known: Mapping[int, Process]) -> str:
    """Say how it was looked for, and what to do if it is not simply over."""
    if backend.pidfile is not None:
        return f"pid file {backend.pidfile} is not there, or names a process that has ended"
    if backend.match is not None:
        return f"no Python program's command line matches {backend.match!r}"
    readers = [process.pid for process in known.values() if ties.names(run_folder, process)]
    seen = f" ({_listed(readers, known)} name it, but not as their output)" if readers else ""
    way_out = "if it still runs elsewhere or unrecognised, set `control: [{process: {match: ...}}]` or `pidfile`"
    return f"no Python program is told to write there or has a file open for writing in it{seen}; {way_out}"
