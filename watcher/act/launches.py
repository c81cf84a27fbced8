"""Runs that were launched under control: their control folder, and whether the training that has them is there.

The formats are those of docs/control-protocol.md and, of `launch.json`, of docs/control.md.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watcher.act import processes
from watcher.act.backend import ExecBackend
from watcher.act.identity import NoProcessError
from watcher.act.processes import Process
from watcher.act.ties import Output
from watcher.clock import span
from watcher.control import folder as folders
from watcher.control import protocol, whose
from watcher.control.armed import NOT_ARMED, armed, members
from watcher.control.lease import holder
from watcher.errors import ActError
from watcher.launch import output_folder

HELPERS = frozenset({"awk", "cat", "grep", "logger", "sed", "sleep", "srun", "slurmstepd", "stdbuf", "tee", "ts"})
SILENT = 60.0
"""Seconds without a heartbeat, which comes every ten, after which a training on another host counts as gone."""


class NoLaunchError(NoProcessError):
    """The run was not launched under control; that says nothing of the other backends."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A launch as its control folder records it."""

    control: Path
    record: Mapping[str, Any]
    """`launch.json`."""

    @property
    def id(self) -> str:
        """Give the launch's id."""
        return str(self.record["launch_id"])

    @property
    def is_here(self) -> bool:
        """Whether its pids mean the same processes here and now."""
        there = (self.record["boot_id"], self.record["pid_namespace"])
        return there == (processes.boot_id(), processes.pid_namespace())

    def claim(self) -> Mapping[str, Any] | None:
        """Give the process that has the run in this launch; None while none has."""
        return self._of_this_launch(protocol.CLAIM)

    def heartbeat(self) -> Mapping[str, Any] | None:
        """Give the newest heartbeat of this launch."""
        return self._of_this_launch(protocol.HEARTBEAT)

    def _of_this_launch(self, name: str) -> Mapping[str, Any] | None:
        found = protocol.read_json(str(self.control / name))
        return found if found and found.get("launch_id") == self.id else None

    def living(self) -> list[int]:
        """Give the pids of its living processes; those on another host are not seen from here."""
        return [one.pid for one in members(dict(self.record))] if self.is_here else []

    def beats(self) -> bool:
        """Tell whether its hook was heard of just now, by the wall clocks of both machines."""
        beat = self.heartbeat()
        return beat is not None and beat["state"] == "running" and abs(time.time() - beat["at"]) < SILENT

    def has_trainer(self) -> bool:
        """Tell whether the process that has the run is there, so that somebody reads commands."""
        claim = self.claim()
        if claim is None:
            return False
        if not self.is_here:
            return self.beats()
        process = processes.read(claim["pid"])
        return process is not None and process.alive and process.start == claim["start_time"]

    @property
    def run(self) -> str | None:
        """Give the run's folder, resolved, as was known at the start, or as its training was told; else None.

        Under a GUI only the training itself is told the folder.
        """
        if self.record.get("run"):
            return str(self.record["run"])
        claim = self.claim() or {}
        try:
            folder = output_folder(claim.get("argv") or (), Path(claim.get("cwd") or "/"))
        except OSError:
            return None
        return os.path.realpath(folder) if folder else None

    def writes_to(self, run: str) -> bool:
        """Tell whether it is into a run's folder (resolved)."""
        return self.run == run

    def why_nobody(self) -> str:
        """Say why nobody reads commands."""
        claim, beat = self.claim(), self.heartbeat()
        if claim is None:
            return f"launch {self.id} is {(reach := armed(str(self.control))).state}: {reach.reason}"
        if self.is_here or beat is None:
            return f"process {claim['pid']}, which had the run in launch {self.id}, has ended"
        silence = span(max(0.0, time.time() - beat["at"]))
        return f"launch {self.id} on {self.record['host']} was last heard of {silence} ago"


def launch_of(control: Path) -> Launch | None:
    """Read the launch that a control folder records; None where there is none that may be trusted."""
    record = protocol.read_json(str(control / protocol.LAUNCH))
    if record is None or not isinstance(record.get("launch_id"), str):
        return None
    try:
        return None if whose.unfit(str(control), record["launch_id"]) else Launch(control, record)
    except OSError:
        return None


def launch_beside(run: str) -> Launch | None:
    """Give the launch whose control folder is beside a run's folder."""
    return launch_of(Path(folders.beside(run)))


def launches_in(state: Path) -> list[Launch]:
    """Give the launches whose control folders are in a state folder."""
    shared = state / folders.IN_STATE
    places = [shared / name for name in sorted(os.listdir(shared))] if shared.is_dir() else []
    return [launch for place in places if (launch := launch_of(place))]


def under_control(run: Path) -> dict[str, Any] | None:
    """Tell of the launch beside a run's folder: whether it can be reached from inside, and how far its training is."""
    launch = launch_beside(os.path.realpath(run))
    if launch is None:
        return None
    reach, beat = armed(str(launch.control)), launch.heartbeat() or {}
    known = {name: beat.get(name) for name in ("step", "learning_rates", "seconds_since_step")}
    return {"launch": launch.id, "state": reach.state, "reason": reach.reason, **known}


def unarmed(output: Output, backend: ExecBackend) -> str:
    """Say why no training of a run can be told anything from inside; empty where one can, or will be once it steps."""
    found = [armed(str(one.control)) for one in launches(output, backend)]
    if not found:
        return f"{output} was not launched by `watcher exec -- COMMAND`"
    return "" if any(reach.state != NOT_ARMED for reach in found) else "; ".join(reach.reason for reach in found)


def launches(output: Output, backend: ExecBackend) -> list[Launch]:
    """Give the launches that are recorded for a run's folder, wherever their control folders are."""
    if backend.folder:
        found = launch_of(backend.folder)
        return [found] if found else []
    return launches_of(os.path.realpath(output.folder), launches_in(backend.state) if backend.state else ())


def launches_of(run: str, in_state: Iterable[Launch]) -> list[Launch]:
    """Give those of the launches beside a run's folder (resolved) and in a state folder that write to it."""
    beside = launch_beside(run)
    return [one for one in (*([beside] if beside else ()), *in_state) if one.writes_to(run)]


def last_launch(output: Output, backend: ExecBackend) -> Launch | None:
    """Give the newest launch that is recorded for a run's folder, also one that has ended."""
    found = launches(output, backend)
    return max(found, key=lambda one: float(one.record["launched_at"]), default=None)


def refuse_strangers(control: Path | None, tree: Sequence[Process], known: Mapping[int, Process], what: str) -> None:
    """Refuse to end a unit or job that only a launch record names, if it holds more than that launch.

    Raises:
        ActError: names what else runs in it.

    """
    launch = launch_of(control) if control else None
    mine = set(launch.living()) if launch else set()
    own = {above for pid in mine for above in processes.ancestors(pid, known)}
    others = [one for one in tree if one.pid not in own and not _is_helper(one)] if control else []
    if others:
        stranger = f"process {others[0].pid} ({others[0].shown[:60]})"
        raise ActError(
            f"{what} also runs {stranger}, which is not the launch's; name it in `control:` to end all of it"
        )


def _is_helper(process: Process) -> bool:
    """Tell whether a process only serves: Slurm's own around a task, or a filter that what is printed goes through."""
    name = Path(process.argv[0]).name if process.argv else ""
    return name in HELPERS or any("slurm_script" in word for word in process.argv)


def acting_for(output: Output, backend: ExecBackend) -> Path | None:
    """Give the state folder of the watcher on this machine that has a run's lease; None where none has."""
    here = whose.me()
    for launch in launches(output, backend):
        owner = holder(str(launch.control)) or {}
        if owner.get("state") and all(owner.get(name) == here[name] for name in ("host", "boot_id")):
            return Path(str(owner["state"]))
    return None
