"""Stopping a run by a program of the user's; that it says so proves nothing, what is looked at afterwards does."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from watcher.act import processes
from watcher.act.backend import CommandBackend, ProcessBackend
from watcher.act.caller import veto
from watcher.act.identity import Identity, Member, NoProcessError, identify, others
from watcher.act.moves import OVER, Paces, World, also_sent, proved, refused, to, vetoed
from watcher.act.processes import Process
from watcher.act.programs import ANSWER, Answer, Running, heard
from watcher.act.ties import Output
from watcher.clock import span
from watcher.errors import ActError
from watcher.nouns import ActionKind, Command

EVERY = 2.0
"""Seconds between two calls of `status` while a run is to end."""
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

    def to_json(self) -> dict[str, Any]:
        """Give it for the store."""
        return {"launch": self.launch, "processes": asdict(self.processes) if self.processes else None}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> CommandIdentity:
        """Read it from the store."""
        stored = value["processes"]
        return CommandIdentity(Identity.from_json(stored) if stored else None, value["launch"])


class ByCommand:
    """The way of `command`; the program that stops may take its time, and is looked after at every pass."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, int, float], Running] = {}
        self._paces = Paces(EVERY)

    def find(
        self, output: Output, backend: CommandBackend, evidence_at: float, known: Mapping[int, Process] | None = None
    ) -> CommandIdentity:
        """Find the run's processes, and ask `status`; at least one of them must know the run, and neither deny it."""
        found: Identity | None = None
        try:
            found = identify(output, _ANYBODY, evidence_at, known=known, ours=False)
        except NoProcessError as error:
            if not backend.status:
                way_out = "give `control: [{command: ...}]` a `status` if it trains elsewhere"
                raise NoProcessError(f"{error}; {way_out}") from error
        if not backend.status:
            return CommandIdentity(found, None)
        launch = _asked(output, backend)
        if launch is None and found is None:
            raise NoProcessError(f"`{backend.status[0]}` says that {output} is gone")
        if launch is None and found is not None:
            raise ActError(f"`{backend.status[0]}` says that {output} is gone, but its processes run: {found.named}")
        return CommandIdentity(found, launch)

    def can(self, backend: CommandBackend, kind: ActionKind) -> bool:  # noqa: ARG002 - as of every way
        """Tell whether it can do an action of this kind: only stop."""
        return kind == "stop"

    def deed(self, backend: CommandBackend, kind: ActionKind, args: Mapping[str, Any]) -> str:  # noqa: ARG002 - as of every way
        """Say which program is run."""
        return (
            f"`{' '.join(backend.stop)[:200]}` is run and has {span(backend.timeout)}; then {span(args['grace'])} pass"
        )

    def is_gone(self, command: Command, world: World) -> bool:
        """Tell whether the run has ended; where that is not sure, it has not."""
        if not self._paces.due(command, world):
            return False
        try:
            return _look(CommandIdentity.from_json(command.identity), world) == ""
        except ActError:
            return False

    def begin(self, command: Command, world: World, noted: Mapping[str, Any]) -> Command:
        """Look once more whether it is the same launch."""
        try:
            identity = _confirm(CommandIdentity.from_json(command.identity), command, world)
        except NoProcessError:
            return to(command, "cancelled", world, OVER)
        except ActError as error:
            return refused(command, world, error, "nothing was run")
        return to(command, "attempting", world, "", identity, {**command.progress, **noted})

    def attempt(self, command: Command, world: World) -> Command:
        """Start the program; one that ran while the daemon was killed right here is run once more."""
        backend = _backend(world)
        if held := veto(world.output, world.ask):
            return vetoed(command, world, held)
        try:
            identity = _confirm(CommandIdentity.from_json(command.identity), command, world)
            running = _start(backend.stop, world.output, _facts(command, identity))
        except NoProcessError:
            progress = also_sent(command, "nothing was run, it had ended", at=world.now, began=world.now, accepted=True)
            return to(command, "acknowledged", world, "", None, progress)
        except ActError as error:
            return refused(command, world, error, "nothing was run")
        self._running[_key(command, world)] = running
        started = processes.read(running.pid)
        noted = {"pid": running.pid, "start": started.start if started else 0, "at": world.now, "began": world.now}
        return to(command, "acknowledged", world, "", identity, also_sent(command, f"ran `{backend.stop[0]}`", **noted))

    def verify(self, command: Command, world: World) -> Command:
        """Wait for the end of the program, then for that of the run."""
        if not command.progress.get("accepted"):
            return self._accepted(command, world)
        if not self._paces.due(command, world):
            return command
        stored = CommandIdentity.from_json(command.identity)
        sent = "; ".join(command.progress["sent"])
        try:
            left = _look(stored, world)
        except ActError as error:
            left = f"it is not known whether it runs: {error}"
        if not left:
            seconds = world.now - command.progress["began"]
            return proved(command, world, f"{_gone(stored, world)} after {seconds:.0f} s ({sent})", stored)
        if world.now - command.progress["at"] < command.args["grace"]:
            return command
        return to(command, "failed", world, f"{left} {span(command.args['grace'])} after it {sent}")

    def _accepted(self, command: Command, world: World) -> Command:
        """See how the program ended; of one that an earlier daemon has started that is not known."""
        backend, key = _backend(world), _key(command, world)
        running = self._running.get(key)
        if running is None:
            if _runs_on(command) and world.now - command.progress["began"] < backend.timeout:
                return command
            sent = f"{backend.stop[0]} ended unseen: the daemon was restarted"
            return to(command, "acknowledged", world, "", None, also_sent(command, sent, accepted=True, at=world.now))
        answer = running.answer(0.0)
        if answer is None and not running.is_late(backend.timeout):
            return command
        del self._running[key]
        if answer is None:
            running.kill()
            return _not_accepted(
                command, world, f"{backend.stop[0]} took longer than {backend.timeout:g} s and was killed"
            )
        if answer.status:
            return _not_accepted(command, world, f"{backend.stop[0]} ended with status {answer.status}: {answer.said}")
        progress = {**command.progress, "accepted": True, "at": world.now}
        return to(command, "acknowledged", world, "", None, progress)


def _backend(world: World) -> CommandBackend:
    assert isinstance(world.backend, CommandBackend)
    return world.backend


def _key(command: Command, world: World) -> tuple[str, int, float]:
    return str(world.output), command.id, command.created_at


def _runs_on(command: Command) -> bool:
    """Tell whether the program that an earlier daemon has started still runs."""
    process = processes.read(command.progress["pid"])
    return process is not None and process.alive and process.start == command.progress["start"]


def _not_accepted(command: Command, world: World, why: str) -> Command:
    return to(command, "failed", world, f"{why}; the run may still train")


def _facts(command: Command, identity: CommandIdentity) -> dict[str, Any]:
    """Give what the program is told beside the run, as JSON."""
    pids = [member.pid for member in identity.members]
    args = {name: command.args[name] for name in ("grace", "kill")}
    return {"action": "stop", "reason": command.reason, "pids": pids, "launch": identity.launch, **args}


def _start(words: Sequence[str], output: Output, facts: Mapping[str, Any]) -> Running:
    """Start a program of the user's.

    Raises:
        UnansweredError: it cannot be run.

    """
    run, path = output.name or str(output), str(output.folder)
    given = json.dumps({"run": run, "path": path, "stream": output.stream, **facts}).encode()
    return Running(words, {**os.environ, "WATCHER_RUN": run, "WATCHER_PATH": path}, given)


def _asked(output: Output, backend: CommandBackend) -> str | None:
    """Ask `status`: gives the launch that it calls running, perhaps empty; None where it says `gone`.

    Raises:
        ActError: it says anything else; a program that breaks down must never pass for a run that has ended.

    """
    name = backend.status[0]
    answer: Answer = heard(_start(backend.status, output, {"action": "status"}), name, ANSWER)
    word, _, launch = answer.out.strip().partition(" ")
    if answer.status or "\n" in answer.out.strip() or word not in ("running", "gone") or (word == "gone" and launch):
        raise ActError(
            f"`{name}` has to say `running`, `running ID` or `gone` and exit with 0; it said {answer.said!r}"
        )
    return launch.strip() if word == "running" else None


def _confirm(stored: CommandIdentity, command: Command, world: World) -> CommandIdentity:
    """Find the run anew, right before something is done to it.

    Raises:
        NoProcessError: it has ended.
        ActError: it is another launch, or not to be told any more.

    """
    fresh = ByCommand().find(world.output, _backend(world), command.evidence_at)
    if fresh.launch != stored.launch or _roots(fresh) != _roots(stored):
        raise ActError(f"the run was relaunched ({fresh.named}): an old decision does not stop a new launch")
    return fresh


def _roots(identity: CommandIdentity) -> list[tuple[int, int]]:
    return [(one.pid, one.start) for one in identity.processes.roots] if identity.processes else []


def _look(stored: CommandIdentity, world: World) -> str:
    """Say what of a run is still there, or nothing where all of it is proved to be gone.

    Raises:
        ActError: that cannot be told.

    """
    backend, known = _backend(world), processes.everything()
    if stored.processes:
        if not stored.processes.is_here:
            raise ActError(f"it ran on {stored.processes.host}, before a restart or in another container")
        here = stored.processes.extended(known)
        left = here.living(known)
        beside = [] if left else others(here, (), world.output, _ANYBODY, known)
        listed = [f"{one.pid} ({one.command[:60]})" for one in left]
        if listed := [*listed, *(f"{one.pid} ({one.shown[:60]})" for one in beside)]:
            return f"still running: {', '.join(listed)}"
    if not backend.status:
        return "" if stored.processes else "nothing tells that it is gone"
    launch = _asked(world.output, backend)
    if launch is None:
        return ""
    return f"`{backend.status[0]}` still calls it running{f' ({launch})' if launch else ''}"


def _gone(stored: CommandIdentity, world: World) -> str:
    backend = _backend(world)
    pids = ", ".join(str(one.pid) for one in stored.members)
    seen = f"all processes are gone: {pids}" if pids else ""
    said = f"`{backend.status[0]}` says that it is gone" if backend.status else ""
    return ", ".join(part for part in (seen, said) if part)
