"""Acting through a trainer's own ways of being asked: to save, to end; its processes say that it has ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from watcher.act import processes
from watcher.act.backend import NativeBackend, ProcessBackend
from watcher.act.by_process import ByProcess
from watcher.act.caller import veto
from watcher.act.desks import TRAINERS, Asked, Desk, as_stored, desk
from watcher.act.identity import Identity, Member, NoProcessError, confirm, identify, others, own_groups
from watcher.act.kept import Checkpoint
from watcher.act.moves import OVER, SAVES, World, also_sent, proved, refused, saved, to, tried, vetoed
from watcher.act.processes import Process
from watcher.act.programs import UnansweredError
from watcher.act.ties import Output
from watcher.act.unsaved import writing
from watcher.clock import span
from watcher.errors import ActError
from watcher.nouns import ActionKind, Command

LOCKED = 120.0
"""Seconds in which a database that is locked is tried again."""
_PROCESSES = ProcessBackend()


@dataclass(frozen=True, slots=True)
class NativeIdentity:
    """A run's processes, and where their trainer is asked, frozen."""

    processes: Identity
    desk: Desk

    @property
    def named(self) -> str:
        """Name it for people."""
        return self.processes.named

    @property
    def tie(self) -> str:
        """Say what ties it to the run."""
        return self.processes.tie

    @property
    def members(self) -> Sequence[Member]:
        """Give its processes."""
        return self.processes.members

    def to_json(self) -> dict[str, Any]:
        """Give it for the store."""
        return {"processes": self.processes.to_json(), "desk": self.desk.to_json()}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> NativeIdentity:
        """Read it from the store."""
        return NativeIdentity(Identity.from_json(value["processes"]), as_stored(value["desk"]))


class ByNative:
    """The way of `native`. That it asks is stored before it does: a daemon that is killed in between asks no more."""

    def can(self, backend: NativeBackend, kind: ActionKind) -> bool:
        """Tell whether it can do an action: save, and stop, of trainers that can be asked."""
        is_known = backend.trainer in TRAINERS or backend.url is not None or backend.signal is not None
        return is_known and kind in ("stop", "checkpoint")

    def find(
        self, output: Output, backend: NativeBackend, evidence_at: float, known: Mapping[int, Process] | None = None
    ) -> NativeIdentity:
        """Find the processes of a run, and where they are asked."""
        found = identify(output, _PROCESSES, evidence_at, known=known)
        return NativeIdentity(found, desk(backend, output, [member.pid for member in found.members]))

    def deed(self, backend: NativeBackend, kind: ActionKind, args: Mapping[str, Any]) -> str:  # noqa: ARG002
        """Say what the trainer is asked for."""
        way = f" by {backend.signal}" if backend.signal else ", by its own way"
        return f"{backend.trainer or 'The trainer'} is asked to save{' and to end' if kind == 'stop' else ''}{way}"

    def is_gone(self, command: Command, world: World) -> bool:  # noqa: ARG002 - as of every way
        """Tell whether all processes that were identified have ended."""
        return not NativeIdentity.from_json(command.identity).processes.living(processes.everything())

    def begin(self, command: Command, world: World, noted: Mapping[str, Any]) -> Command:
        """Look once more who it is."""
        stored, known = NativeIdentity.from_json(command.identity), processes.everything()
        try:
            found = confirm(stored.processes, world.output, _PROCESSES, known)
        except NoProcessError:
            return to(command, "cancelled", world, OVER)
        except ActError as error:
            return refused(command, world, error)
        groups = own_groups(found, known)
        progress = {**command.progress, **noted, "groups": groups}
        return to(command, "attempting", world, "", replace(stored, processes=found), progress)

    def attempt(self, command: Command, world: World) -> Command:
        """Note that it is asked, before it is."""
        if held := veto(world.output, world.ask):
            return vetoed(command, world, held)
        return to(command, "acknowledged", world, "", None, {**command.progress, "began": world.now})

    def verify(self, command: Command, world: World) -> Command:
        """Ask where that is still to be done, wait for the checkpoint, then for the end."""
        if command.progress.get("phase") == "signals":
            return _by_signals(command, world, ByProcess().verify)
        stored = NativeIdentity.from_json(command.identity)
        if "at" not in command.progress:
            return _ask(command, world, stored)
        if not stored.processes.living(processes.everything()):
            return _ended(command, world, stored)
        new = world.ask.new_checkpoint(command.created_at)
        if new is None:
            return _waits(command, world, stored)
        if command.kind == "checkpoint":
            return saved(command, world, new, tried(command))
        return _end(command, world, stored, new)


def _asked(command: Command, world: World, how: str) -> Command:
    return to(command, "acknowledged", world, "", None, also_sent(command, how, at=world.now))


def _ask(command: Command, world: World, stored: NativeIdentity) -> Command:
    """Ask once: where the daemon was restarted in between, it may have been, and its effect is waited for."""
    where, trying = stored.desk, command.progress.get("trying")
    if trying is None or trying == command.progress.get("locked"):  # so far it was surely not asked
        if held := veto(world.output, world.ask):
            return vetoed(command, world, held)
        return to(command, "acknowledged", world, command.proof, None, {**command.progress, "trying": world.now})
    if trying != world.now:
        return _asked(command, world, "the daemon was restarted right when it asked; it is not asked twice")
    try:
        return _asked(command, world, where.save(_asked_now(world, stored), and_end=_and_end(command, where)))
    except UnansweredError as error:
        if world.now - command.progress["began"] >= LOCKED:
            return to(command, "failed", world, f"it cannot be asked: {error}")
        progress = {**command.progress, "locked": trying}
        return to(command, "acknowledged", world, f"{error}; it is asked again", None, progress)
    except (ActError, OSError) as error:
        return to(command, "failed", world, f"it cannot be asked: {error}")


def _asked_now(world: World, stored: NativeIdentity) -> Asked:
    assert isinstance(world.backend, NativeBackend)
    return Asked(world.backend, stored.processes.living(processes.everything()))


def _and_end(command: Command, where: Desk) -> bool:
    return command.kind == "stop" and where.saves_and_ends_at_once


def _waits(command: Command, world: World, stored: NativeIdentity) -> Command:
    """Wait for the checkpoint; what is not taken in time is taken back, so that something else may be tried."""
    where = stored.desk
    and_end = _and_end(command, where)
    try:
        is_taken = where.is_taken(and_end=and_end)
    except UnansweredError:
        raise
    except ActError as error:
        return to(command, "failed", world, f"what became of the request cannot be seen: {error}")
    held, patience = veto(world.output, world.ask), command.args.get("wait", SAVES)
    is_late = world.now - command.progress["at"] >= patience
    if (held or is_late) and not is_taken:
        where.take_back(and_end=and_end)
        if held:
            return vetoed(command, world, f"{held}; the request was taken back")
        return to(command, "failed", world, f"{where.trainer} has not taken the request within {span(patience)}")
    if is_late and (file := writing(world.output, stored.processes.living(processes.everything()))):
        words = f"{file} is being written, which is waited for"
        return command if command.proof == words else replace(command, proof=words)
    if is_late:
        return to(command, "failed", world, f"no new checkpoint within {span(patience)} after it was asked for")
    words = f"{where.trainer} saves" if is_taken else f"{where.trainer} is to save"
    return command if command.proof == words else replace(command, proof=words)


def _end(command: Command, world: World, stored: NativeIdentity, new: Checkpoint) -> Command:
    """End it, now that it has saved: by asking, or by signals where it cannot be asked."""
    if held := veto(world.output, world.ask):
        return vetoed(command, world, f"{held}; it has saved {new[1]}, and goes on")
    if not stored.desk.ends:
        return _by_signals(command, world, ByProcess().attempt)
    since = command.progress.get("ending_at")
    if since is not None and world.now - since >= command.args["grace"]:
        late = f"still runs {span(command.args['grace'])} later"
        return to(command, "failed", world, f"it has saved {new[1]}, and {late}")
    if since is not None:
        return command
    try:
        sent = stored.desk.end(_asked_now(world, stored))
    except UnansweredError as error:
        return _unended(command, world, new, error)
    except (ActError, OSError) as error:
        return to(command, "failed", world, f"it has saved {new[1]}, but cannot be asked to end: {error}")
    words = f"it has saved {new[1]}, and ends"
    return to(command, "acknowledged", world, words, None, also_sent(command, sent, ending_at=world.now))


def _unended(command: Command, world: World, new: Checkpoint, error: UnansweredError) -> Command:
    """Ask again for a while; then something else may end it."""
    since = command.progress.get("silent_since", world.now)
    if world.now - since >= LOCKED:
        return to(command, "failed", world, f"it has saved {new[1]}, but cannot be asked to end: {error}")
    progress = {**command.progress, "silent_since": since}
    return replace(command, proof=f"it has saved {new[1]}; {error}, and is asked again", progress=progress)


def _by_signals(command: Command, world: World, do: Callable[[Command, World], Command]) -> Command:
    """Go on as `process` does, with the processes that were identified."""
    stored = NativeIdentity.from_json(command.identity)
    before = replace(command, identity=stored.processes.to_json())
    inner = do(before, replace(world, backend=_PROCESSES))
    if inner == before:
        return command
    found = replace(stored, processes=Identity.from_json(inner.identity))
    return replace(inner, identity=found.to_json(), progress={**inner.progress, "phase": "signals"})


def _ended(command: Command, world: World, stored: NativeIdentity) -> Command:
    """See whether all of it is gone, and what it has left; what it did not take must not meet a relaunch."""
    with suppress(ActError, OSError):
        if not stored.desk.is_taken(and_end=_and_end(command, stored.desk)):
            stored.desk.take_back(and_end=_and_end(command, stored.desk))
    if command.kind == "checkpoint":
        new = world.ask.new_checkpoint(command.created_at)
        if new is None:
            return to(command, "cancelled", world, "the training ended before it had saved")
        return saved(command, world, new, " It has ended since.")
    known = processes.everything()
    beside = others(stored.processes, command.progress.get("groups", ()), world.output, _PROCESSES, known)
    if beside:
        listed = ", ".join(f"{process.pid} ({process.shown[:60]})" for process in beside)
        gone = "all identified processes are gone, but others run that could be the run"
        return to(command, "failed", world, f"{gone}: {listed}")
    pids = ", ".join(str(member.pid) for member in stored.members)
    if command.args["save"] == "required" and world.ask.new_checkpoint(command.created_at) is None:
        return to(command, "failed", world, f"all processes are gone: {pids}; but no new checkpoint was written before")
    return proved(command, world, f"all processes are gone: {pids} ({'; '.join(command.progress['sent'])})", stored)
