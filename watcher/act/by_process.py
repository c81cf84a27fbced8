"""Stopping a run by its processes: each by a descriptor that means it for ever, verified by looking for all of them."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from watcher.act import processes, signals
from watcher.act.backend import ProcessBackend
from watcher.act.caller import veto
from watcher.act.identity import Identity, Member, NoProcessError, confirm, identify, others, own_groups
from watcher.act.moves import OVER, World, also_sent, escalates, perhaps_before, proved, refused, to, vetoed
from watcher.act.processes import Process
from watcher.act.ties import Output, could_train
from watcher.act.unsaved import writing
from watcher.clock import span
from watcher.errors import ActError
from watcher.nouns import ActionKind, Command

AFTER_KILL = 30.0
"""Seconds that a process has to vanish after SIGKILL."""


class ByProcess:
    """The way of `process`; nothing is done in a state that is not stored, so doing a state twice is harmless."""

    def find(
        self, output: Output, backend: ProcessBackend, evidence_at: float, known: Mapping[int, Process] | None = None
    ) -> Identity:
        """Find the processes of a run."""
        return identify(output, backend, evidence_at, known=known)

    def can(self, backend: ProcessBackend, kind: ActionKind) -> bool:  # noqa: ARG002 - as of every way
        """Tell whether it can do an action of this kind: only stop."""
        return kind == "stop"

    def deed(self, backend: ProcessBackend, kind: ActionKind, args: Mapping[str, Any]) -> str:  # noqa: ARG002 - as of every way
        """Say which signals would be sent."""
        kill = f", and SIGKILL if they still run after {span(args['grace'])}" if args["kill"] else ""
        first = f"SIGINT, on which this trainer saves; after {span(args['grace'])} " if backend.interrupt else ""
        return f"These get {first}SIGTERM{kill}"

    def is_gone(self, command: Command, world: World) -> bool:  # noqa: ARG002 - as of every way
        """Tell whether all processes that were identified have ended."""
        return not Identity.from_json(command.identity).living(processes.everything())

    def begin(self, command: Command, world: World, noted: Mapping[str, Any]) -> Command:
        """Look once more who they are, note what they have started since, and store that before any signal."""
        known = processes.everything()
        try:
            identity = confirm(Identity.from_json(command.identity), world.output, _backend(world), known)
        except NoProcessError:
            return _ended(command, world)
        except ActError as error:
            return refused(command, world, error, "nothing was signalled")
        all_noted = {**command.progress, **noted, "groups": own_groups(identity, known)}
        return to(command, "attempting", world, "", identity, all_noted)

    def attempt(self, command: Command, world: World) -> Command:
        """Signal; a daemon that ended in this very state may have done so already, and comes here again."""
        again = perhaps_before(command, world, "SIGTERM")
        if held := veto(world.output, world.ask):
            return vetoed(command, world, f"{held}{again}")
        known = processes.everything()
        identity = Identity.from_json(command.identity)
        try:
            identity = confirm(identity, world.output, _backend(world), known)
            number, why = _first(_backend(world), identity, known)
            sent = f"{signals.send(identity.living(known), number)}{why}"
        except NoProcessError:
            number, sent = signal.SIGTERM, f"SIGTERM to nobody, all had ended{again}"
        except ActError as error:
            return refused(command, world, error, f"nothing was signalled{again}")
        rung = {"interrupted": True} if number is signal.SIGINT else {}
        progress = {**command.progress, "sent": [sent], "at": world.now, "began": world.now, **rung}
        return to(command, "acknowledged", world, "", identity, progress)

    def verify(self, command: Command, world: World) -> Command:
        """Wait until every process is gone; signal what was started meanwhile; kill only when that is allowed.

        What is started faster than it is signalled must not keep this from ending: it is signalled once per look.
        """
        stored = Identity.from_json(command.identity)
        if not stored.is_here:
            return _from_elsewhere(command, world, stored)
        known = processes.everything()
        identity = stored.extended(known)
        new = [member for member in identity.living(known) if member not in stored.members]
        if new and command.progress.get("caught") != world.now and not veto(world.output, world.ask):
            number = _rung(command)
            progress = also_sent(command, signals.send(new, number), caught=world.now)
            return to(command, "acknowledged", world, "", identity, progress)
        if left := identity.living(known):
            return _escalate(command, world, left, identity)
        beside = others(identity, command.progress.get("groups", ()), world.output, _backend(world), known)
        return _beside(command, world, beside) if beside else _verified(command, world, identity)


def _first(backend: ProcessBackend, identity: Identity, known: Mapping[int, Process]) -> tuple[signal.Signals, str]:
    """Give the first signal, and why it is not SIGINT where that is wanted.

    A job that was started in the background by a script ignores SIGINT, and Python then leaves that so.
    """
    if not backend.interrupt:
        return signal.SIGTERM, ""
    trainers = [known[one.pid] for one in identity.living(known) if could_train(known[one.pid])]
    deaf = [one.pid for one in trainers if processes.ignores(one.pid, signal.SIGINT)]
    return (signal.SIGTERM, f" ({deaf[0]} ignores SIGINT)") if deaf else (signal.SIGINT, "")


def _rung(command: Command) -> signal.Signals:
    """Give the signal that was sent last, for what was started since."""
    if command.progress.get("killed"):
        return signal.SIGKILL
    return signal.SIGINT if command.progress.get("interrupted") else signal.SIGTERM


def _backend(world: World) -> ProcessBackend:
    assert isinstance(world.backend, ProcessBackend)
    return world.backend


def _ended(command: Command, world: World) -> Command:
    """The run ended by itself before anything was done; perhaps another one has begun since."""
    try:
        before = Identity.from_json(command.identity).above
        fresh = identify(world.output, _backend(world), world.now, before)
    except NoProcessError:
        return to(command, "cancelled", world, OVER)
    except ActError as error:
        return to(command, "refused", world, f"{OVER}; now {error}")
    proof = f"the run was relaunched ({fresh.named}): an old decision does not stop a new launch"
    return to(command, "refused", world, proof)


def _from_elsewhere(command: Command, world: World, identity: Identity) -> Command:
    """The pids mean nothing here; only after a restart of the same machine it is known that they are gone."""
    is_same_place = (identity.host, identity.namespace) == (processes.host(), processes.pid_namespace())
    if is_same_place and identity.boot_id != processes.boot_id():
        return proved(command, world, f"{identity.host} was started anew since", identity)
    sent = "; ".join(command.progress["sent"])
    proof = f"its end cannot be verified from here: it ran on {identity.host} or in another container ({sent})"
    return to(command, "failed", world, proof)


def _escalate(command: Command, world: World, left: list[Member], identity: Identity) -> Command:
    if not _is_over(command, world):
        return command
    if not command.progress.get("killed") and (file := writing(world.output, left)):
        again = {**command.progress, "at": world.now}
        return replace(command, proof=f"{file} is being written, which is waited for", progress=again)
    if command.progress.get("interrupted") and not veto(world.output, world.ask):
        progress = also_sent(command, signals.send(left, signal.SIGTERM), interrupted=False, at=world.now)
        return to(command, "acknowledged", world, "", identity, progress)
    killed, held = command.progress.get("killed", False), veto(world.output, world.ask)
    if escalates(command, held):
        identity = signals.halt(identity)
        sent = signals.send(identity.living(processes.everything()), signal.SIGKILL)
        progress = also_sent(command, sent, killed=True, at=world.now)
        return to(command, "acknowledged", world, "", identity, progress)
    listed = ", ".join(f"{member.pid} ({member.command[:60]})" for member in left)
    way_out = "" if killed else f"; {held or 'allow SIGKILL with `kill: true`, or end it by hand'}"
    sent = "; ".join(command.progress["sent"])
    return to(command, "failed", world, f"still running after {sent}: {listed}{way_out}", identity)


def _beside(command: Command, world: World, beside: list[Process]) -> Command:
    """Give what came out of the run, or is a relaunch of it, the time to end; it was not identified, so no signal."""
    if not _is_over(command, world):
        return command
    listed = ", ".join(f"{process.pid} ({process.shown[:60]})" for process in beside)
    proof = f"all identified processes are gone, but others run that came out of them or could be the run: {listed}"
    return to(command, "failed", world, f"{proof}; they were not signalled")


def _is_over(command: Command, world: World) -> bool:
    """Tell whether the time that processes have to end after the last signal is over."""
    patience = AFTER_KILL if command.progress.get("killed") else command.args["grace"]
    return bool(world.now - command.progress["at"] >= patience)


def _verified(command: Command, world: World, identity: Identity) -> Command:
    seconds = world.now - command.progress["began"]
    pids = ", ".join(str(member.pid) for member in identity.members)
    gone = f"all processes are gone after {seconds:.0f} s: {pids} ({'; '.join(command.progress['sent'])})"
    return proved(command, world, gone, identity)
