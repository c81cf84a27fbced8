"""Which processes are a run, so surely that they may be signalled; anything less is refused."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from watcher.act import processes
from watcher.act.backend import ProcessBackend
from watcher.act.processes import Process
from watcher.errors import ActError

CLOCK_SLACK = 1.0
"""Seconds; the kernel tells start times relative to a boot time that is exact to a second."""
NOT_TRAINERS = ("tensorboard", "wandb", "jupyter", "http.server", "watcher", "aim", "mlflow", "gradio")
"""Python programs that look into output folders; none of them is ever taken for a training."""


@dataclass(frozen=True, slots=True)
class Member:
    """One process of a run's tree."""

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

    def extended(self, known: Mapping[int, Process]) -> Identity:
        """Add what the members have started since; nothing is ever taken away."""
        alive = [m.pid for m in self.members if is_same(m, known.get(m.pid))]
        have = {(m.pid, m.start) for m in self.members}
        found = (known[pid] for pid in sorted(processes.descendants(alive, known)))
        new = [Member(p.pid, p.start, p.command) for p in found if p.alive and (p.pid, p.start) not in have]
        return replace(self, members=(*self.members, *new)) if new else self


def is_same(member: Member, process: Process | None) -> bool:
    """Tell whether a pid still is the process that was identified, and has not ended."""
    return process is not None and process.start == member.start and process.alive


def identify(run_folder: Path, backend: ProcessBackend, evidence_at: float) -> Identity:
    """Find the processes of a run; they must be older than the images that are held against them.

    Raises:
        ActError: there are none, several unrelated ones, or some that must not be signalled; says which.

    """
    known = processes.everything()
    mine = processes.ancestors(os.getpid(), known)
    candidates, tie = _candidates(run_folder, backend, known)
    roots = _tops([pid for pid in candidates if pid not in mine], known)
    if not roots:
        raise ActError(f"no process of {run_folder} was found on {processes.host()} ({_ways(backend)})")
    if len(roots) > 1:
        raise ActError(f"several unrelated processes could be the run, none is touched: {_listed(roots, known)}")
    tree = processes.descendants(roots, known)
    _refuse(tree, roots[0], mine, known, evidence_at)
    members = [Member(pid, known[pid].start, known[pid].command, pid in roots) for pid in sorted(tree)]
    return Identity(
        host=processes.host(),
        boot_id=processes.boot_id(),
        namespace=processes.pid_namespace(),
        uid=os.geteuid(),
        tie=tie,
        members=tuple(members),
    )


def _candidates(run_folder: Path, backend: ProcessBackend, known: Mapping[int, Process]) -> tuple[list[int], str]:
    if backend.pidfile is not None:
        return [_from_pidfile(backend.pidfile, known)], f"pid file {backend.pidfile}"
    if backend.match is not None:
        pattern = re.compile(backend.match)
        found = [p.pid for p in known.values() if p.alive and pattern.search(p.command)]
        return found, f"command line matches {backend.match!r}"
    tied = {p.pid: tie for p in known.values() if (tie := tie_to(run_folder, p))}
    return list(tied), next(iter(tied.values()), "")


def _from_pidfile(path: Path, known: Mapping[int, Process]) -> int:
    try:
        pid = int(path.expanduser().read_text().split()[0])
    except (OSError, ValueError, IndexError) as error:
        raise ActError(f"pid file {path} cannot be read: {error}") from error
    if pid not in known or not known[pid].alive:
        raise ActError(f"pid file {path} names {pid}, which does not run")
    return pid


def tie_to(run_folder: Path, process: Process) -> str:
    """Say what ties a process to a run's folder: its arguments, or files that it has open for writing.

    Only Python programs are considered, and none that merely looks at results.
    """
    if not process.alive or not _is_python(process) or any(_is_named(process, n) for n in NOT_TRAINERS):
        return ""
    if any(_names(argument, run_folder, process.pid) for argument in process.argv[1:]):
        return f"its arguments name {run_folder}"
    inside = [path for path in processes.written_files(process.pid) if path.is_relative_to(run_folder)]
    return f"it writes {inside[0]}" if inside else ""


def _is_python(process: Process) -> bool:
    return "python" in Path(process.argv[0]).name.lower() if process.argv else False


def _is_named(process: Process, name: str) -> bool:
    """Tell whether a Python process runs a module or script of this name."""
    program = next((part for part in process.argv[1:] if not part.startswith("-")), "")
    return Path(program).stem.split(".")[0] == name or program == name


def _names(argument: str, run_folder: Path, pid: int) -> bool:
    """Tell whether an argument, or its value after `=`, is the run's folder."""
    text = argument.split("=", 1)[1] if argument.startswith("-") and "=" in argument else argument
    if not text or ("/" not in text and not text.strip(".")):
        return False
    try:
        return _leads_to(Path(text), run_folder, pid)
    except (OSError, RuntimeError, ValueError):  # an argument may be anything: too long, an unknown user's home, ...
        return False


def _leads_to(place: Path, folder: Path, pid: int) -> bool:
    """Tell whether a path that a process was given is a folder, or a link to it."""
    place = place.expanduser()
    if not place.is_absolute():
        if (base := processes.working_folder(pid)) is None:
            return False
        place = base / place
    return Path(os.path.normpath(place)) == folder or (place.is_symlink() and place.resolve() == folder)


def _tops(candidates: list[int], known: Mapping[int, Process]) -> list[int]:
    """Keep candidates that descend from no other one: a launcher and its child are one tree."""
    chosen = set(candidates)
    return [pid for pid in candidates if not (processes.ancestors(pid, known) - {pid}) & chosen]


def _refuse(tree: set[int], root: int, mine: set[int], known: Mapping[int, Process], evidence_at: float) -> None:
    """Refuse what must not be signalled.

    Raises:
        ActError: says what and why.

    """
    for pid in sorted(tree):
        process = known[pid]
        if pid in mine or pid == 1:
            raise ActError(f"process {pid} is this program or one that it descends from")
        if process.alive and process.uid != os.geteuid():
            raise ActError(f"process {pid} belongs to user {process.uid}, this program runs as {os.geteuid()}")
        if process.alive and processes.pid_namespace(pid) not in ("", processes.pid_namespace()):
            raise ActError(f"process {pid} lives in another pid namespace (a container)")
    started = known[root].started_at
    if started > evidence_at + CLOCK_SLACK:
        late = started - evidence_at
        raise ActError(f"process {root} started {late:.0f} s after the images in question were written: a relaunch")


def _listed(pids: list[int], known: Mapping[int, Process]) -> str:
    return "; ".join(f"{pid} ({known[pid].command[:80]})" for pid in sorted(pids))


def _ways(backend: ProcessBackend) -> str:
    if backend.match is not None:
        return f"no command line matches {backend.match!r}"
    return "no Python program has it among its arguments or writes in it; set `control: [{process: {match: ...}}]`"
