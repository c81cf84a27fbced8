"""Who a run is to programs of the user's, what they are told of it, and whether any of it is still there."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from watcher.act import processes
from watcher.act.backend import CommandBackend, ProcessBackend
from watcher.act.identity import Identity, Member, NoProcessError, identify, others
from watcher.act.processes import Process
from watcher.act.programs import ANSWER, Answer, Running, heard
from watcher.act.ties import Output
from watcher.errors import ActError

_ANYBODY = ProcessBackend()


@dataclass(frozen=True, slots=True)
class CommandIdentity:
    """A run's processes, where any were found, and what `status` said of its launch, frozen."""

    processes: Identity | None
    launch: str | None
    """What `status` said after `running`; None where there is no such program."""

    @property
    def named(self) -> str:
        """Name it for people."""
        launch = f"launch {self.launch}" if self.launch else "what its `status` calls running"
        return self.processes.named if self.processes else launch

    @property
    def tie(self) -> str:
        """Say what ties it to the run."""
        said = "" if self.launch is None else "its `status` says that it runs"
        return "; ".join(part for part in (self.processes.tie if self.processes else "", said) if part)

    @property
    def members(self) -> Sequence[Member]:
        """Give its processes."""
        return self.processes.members if self.processes else ()

    @property
    def roots(self) -> list[tuple[int, int]]:
        """Give pid and start of the tops of its tree."""
        return [(one.pid, one.start) for one in self.processes.roots] if self.processes else []

    def to_json(self) -> dict[str, Any]:
        """Give it for the store."""
        return {"launch": self.launch, "processes": asdict(self.processes) if self.processes else None}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> CommandIdentity:
        """Read it from the store."""
        stored = value["processes"]
        return CommandIdentity(Identity.from_json(stored) if stored else None, value["launch"])


def find(
    output: Output, backend: CommandBackend, evidence_at: float, known: Mapping[int, Process] | None = None
) -> CommandIdentity:
    """Find a run's processes, and ask `status`; at least one of them must know the run, and neither deny it.

    Raises:
        NoProcessError: nothing that runs is the run.
        ActError: it cannot be told, or must not be touched.

    """
    found: Identity | None = None
    try:
        found = identify(output, _ANYBODY, evidence_at, known=known, ours=False)
    except NoProcessError as error:
        if not backend.status:
            way_out = "give `control: [{command: ...}]` a `status` if it trains elsewhere"
            raise NoProcessError(f"{error}; {way_out}") from error
    if not backend.status:
        return CommandIdentity(found, None)
    launch = asked(output, backend)
    if launch is None and found is None:
        raise NoProcessError(f"`{backend.status[0]}` says that {output} is gone")
    if launch is None and found is not None:
        raise ActError(f"`{backend.status[0]}` says that {output} is gone, but its processes run: {found.named}")
    return CommandIdentity(found, launch)


def start(words: Sequence[str], output: Output, facts: Mapping[str, Any]) -> Running:
    """Start a program of the user's.

    Raises:
        UnansweredError: it cannot be run.

    """
    run, path = output.name or str(output), str(output.folder)
    given = json.dumps({"run": run, "path": path, "stream": output.stream, **facts}).encode()
    return Running(words, {**os.environ, "WATCHER_RUN": run, "WATCHER_PATH": path}, given)


def asked(output: Output, backend: CommandBackend) -> str | None:
    """Ask `status`: gives the launch that it calls running, perhaps empty; None where it says `gone`.

    Raises:
        ActError: it says anything else; a program that breaks down must never pass for a run that has ended.

    """
    name = backend.status[0]
    answer: Answer = heard(start(backend.status, output, {"action": "status"}), name, ANSWER)
    word, _, launch = answer.out.strip().partition(" ")
    if answer.status or "\n" in answer.out.strip() or word not in ("running", "gone") or (word == "gone" and launch):
        raise ActError(
            f"`{name}` has to say `running`, `running ID` or `gone` and exit with 0; it said {answer.said!r}"
        )
    return launch.strip() if word == "running" else None


def look(stored: CommandIdentity, output: Output, backend: CommandBackend) -> str:
    """Say what of a run is still there, or nothing where all of it is proved to be gone.

    Raises:
        ActError: that cannot be told.

    """
    known = processes.everything()
    if stored.processes:
        if not stored.processes.is_here:
            raise ActError(f"it ran on {stored.processes.host}, before a restart or in another container")
        here = stored.processes.extended(known)
        left = here.living(known)
        beside = [] if left else others(here, (), output, _ANYBODY, known)
        listed = [f"{one.pid} ({one.command[:60]})" for one in left]
        if listed := [*listed, *(f"{one.pid} ({one.shown[:60]})" for one in beside)]:
            return f"still running: {', '.join(listed)}"
    if not backend.status:
        return "" if stored.processes else "nothing tells that it is gone"
    launch = asked(output, backend)
    if launch is None:
        return ""
    return f"`{backend.status[0]}` still calls it running{f' ({launch})' if launch else ''}"


def gone(stored: CommandIdentity, backend: CommandBackend) -> str:
    """Say by what it is known that all of a run is gone."""
    pids = ", ".join(str(one.pid) for one in stored.members)
    seen = f"all processes are gone: {pids}" if pids else ""
    said = f"`{backend.status[0]}` says that it is gone" if backend.status else ""
    return ", ".join(part for part in (seen, said) if part)
