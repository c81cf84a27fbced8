"""Stopping a run by its systemd unit; verified when that has ended in this very invocation, and no process is left."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from watcher.act import processes, systemd, ties
from watcher.act.backend import SystemdBackend
from watcher.act.caller import veto
from watcher.act.identity import Member, NoProcessError, joined, refuse, refuse_relaunch, refuse_users
from watcher.act.launches import NoLaunchError, refuse_strangers
from watcher.act.moves import OVER, World, also_sent, escalates, perhaps_before, proved, refused, to, vetoed
from watcher.act.processes import Process
from watcher.act.programs import UnansweredError
from watcher.act.systemd import Unit
from watcher.act.ties import Output
from watcher.clock import span
from watcher.errors import ActError
from watcher.nouns import ActionKind, Command

AFTER_KILL = 30.0
"""Seconds that a unit has to end after SIGKILL."""


@dataclass(frozen=True, slots=True)
class UnitIdentity:
    """A unit in one invocation, frozen, and its processes as far as they were seen."""

    host: str
    boot_id: str
    unit: str
    manager: str
    invocation: str
    started_at: float | None
    tie: str
    members: tuple[Member, ...] = ()

    @property
    def named(self) -> str:
        """Name it for people."""
        return f"unit {self.unit} of the {self.manager} manager (invocation {self.invocation[:8]})"

    def to_json(self) -> dict[str, Any]:
        """Give it for the store."""
        return asdict(self)

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> UnitIdentity:
        """Read it from the store."""
        return UnitIdentity(**{**value, "members": tuple(Member(**one) for one in value["members"])})

    def with_members(self, found: Sequence[Process]) -> UnitIdentity:
        """Add processes; nothing is ever taken away."""
        return replace(self, members=joined(self.members, found))


class BySystemd:
    """The way of `systemd`."""

    def find(
        self, output: Output, backend: SystemdBackend, evidence_at: float, known: Mapping[int, Process] | None = None
    ) -> UnitIdentity:
        """Look for the unit, which must be active, and in the invocation in which the images were made."""
        if not backend.unit:
            raise NoLaunchError(f"{output} was not launched by `watcher exec` in a service, and `unit` names none")
        unit = systemd.chosen(backend)
        if not unit.invocation:
            raise ActError(f"unit {unit.name} has no InvocationID (systemd before 232?), so a restart cannot be told")
        if unit.started_at is None:
            raise ActError(f"systemd does not say when unit {unit.name} was started, so a relaunch cannot be told")
        refuse_relaunch(f"unit {unit.name} was started", unit.started_at, evidence_at)
        known = processes.everything() if known is None else known
        refuse_strangers(backend.control, systemd.members(unit, known), known, f"unit {unit.name}")
        return _identity(unit, output, known)

    def can(self, backend: SystemdBackend, kind: ActionKind) -> bool:  # noqa: ARG002 - as of every way
        """Tell whether it can do an action of this kind: only stop."""
        return kind == "stop"

    def deed(self, backend: SystemdBackend, kind: ActionKind, args: Mapping[str, Any]) -> str:  # noqa: ARG002 - as of every way
        """Say what systemctl is told."""
        kill = f", and `systemctl kill` with SIGKILL if it still runs after {span(args['grace'])}"
        return f"`systemctl stop {backend.unit}` ends the whole unit{kill if args['kill'] else ''}"

    def is_gone(self, command: Command, world: World) -> bool:  # noqa: ARG002 - as of every way
        """Tell whether the unit has ended; where nobody can be asked, that is not known."""
        stored = UnitIdentity.from_json(command.identity)
        try:
            return not _is_same(systemd.show(stored.unit, stored.manager), stored)
        except ActError:
            return False

    def begin(self, command: Command, world: World, noted: Mapping[str, Any]) -> Command:
        """Look once more whether it is the same invocation, and store its processes before anything is done."""
        try:
            identity = _confirm(UnitIdentity.from_json(command.identity), world)
        except NoProcessError:
            return to(command, "cancelled", world, OVER)
        except ActError as error:
            return refused(command, world, error, "nothing was stopped")
        return to(command, "attempting", world, "", identity, {**command.progress, **noted})

    def attempt(self, command: Command, world: World) -> Command:
        """Tell systemd to stop the unit; that is harmless where it is being stopped already."""
        again = perhaps_before(command, world, "`systemctl stop`")
        if held := veto(world.output, world.ask):
            return vetoed(command, world, f"{held}{again}")
        stored = UnitIdentity.from_json(command.identity)
        try:
            identity = _confirm(stored, world)
            sent = _tell(identity, "stop", "--no-block")
        except NoProcessError:
            identity, sent = stored, f"nothing to stop, it had ended{again}"
        except ActError as error:
            return refused(command, world, error, f"nothing was stopped{again}")
        if sent.endswith(_REFUSED):
            proof = f"{sent}; use a unit of your user manager, or allow this user to stop it (polkit)"
            return to(command, "failed", world, proof, identity, also_sent(command, sent))
        progress = also_sent(command, sent, at=world.now, began=world.now)
        return to(command, "acknowledged", world, "", identity, progress)

    def verify(self, command: Command, world: World) -> Command:
        """Wait until the unit has ended and none of its processes runs."""
        stored = UnitIdentity.from_json(command.identity)
        if stored.host != processes.host():
            return to(command, "failed", world, f"its end cannot be verified from here: it ran on {stored.host}")
        try:
            unit = systemd.show(stored.unit, stored.manager)
        except ActError as error:
            return _escalate(command, world, stored, f"it is not known whether it runs: {error}", can_kill=False)
        if not unit.has_ended and unit.invocation not in ("", stored.invocation):
            again = f"unit {unit.name} was started again (invocation {unit.invocation[:8]})"
            sent = "; ".join(command.progress["sent"])
            return to(command, "failed", world, f"{again} after {sent}: an old decision does not stop a new launch")
        left = _left(replace(unit, invocation=stored.invocation), stored)
        if not unit.has_ended:
            return _escalate(command, world, stored, f"unit {unit.name} is {unit.state} ({unit.sub})", can_kill=True)
        if left:
            listed = ", ".join(f"{one.pid} ({one.shown[:60]})" for one in left)
            what = f"unit {unit.name} is {unit.state}, but processes of it still run (KillMode=?): {listed}"
            return _escalate(command, world, stored, what, can_kill=False)
        return _verified(command, world, stored, unit)


_REFUSED = "was not accepted"


def _identity(unit: Unit, output: Output, known: Mapping[int, Process]) -> UnitIdentity:
    """Freeze a unit.

    Raises:
        ActError: it holds this program, a GUI, another user's processes, or trains something else.

    """
    tree = systemd.members(unit, known)
    if os.getpid() in {process.pid for process in tree}:
        raise ActError(f"this program itself runs in unit {unit.name}; use the backend `process`")
    refuse_users(tree)
    refuse(tree, output)
    tied = next((one.pid for one in tree if ties.tie_to(output, one).kind in ("told", "writes")), None)
    seen = f"; its process {tied} writes there" if tied else ""
    tie = f"the configuration names its unit{seen}"
    host, boot = processes.host(), processes.boot_id()
    identity = UnitIdentity(host, boot, unit.name, unit.manager, unit.invocation, unit.started_at, tie)
    return identity.with_members(tree)


def _is_same(unit: Unit, stored: UnitIdentity) -> bool:
    return unit.trains and unit.invocation == stored.invocation


def _confirm(stored: UnitIdentity, world: World) -> UnitIdentity:
    """Look at the unit right before something is done to it.

    Raises:
        NoProcessError: it has ended.
        ActError: it was started again, must not be touched any more, or cannot be asked for.

    """
    if (stored.host, stored.boot_id) != (processes.host(), processes.boot_id()):
        raise ActError("this is another host or boot than at the decision")
    unit = systemd.show(stored.unit, stored.manager)
    if not unit.trains:
        raise NoProcessError(f"unit {unit.name} is {unit.state}")
    if unit.invocation != stored.invocation:
        raise ActError(
            f"unit {unit.name} was relaunched (invocation {unit.invocation[:8]}): "
            "an old decision does not stop a new launch"
        )
    known = processes.everything()
    fresh = _identity(unit, world.output, known)
    return stored.with_members([known[one.pid] for one in fresh.members])


def _tell(identity: UnitIdentity, *words: str) -> str:
    """Tell systemctl something about the unit; gives what was said, in words."""
    what = f"`systemctl{' --user' * (identity.manager == 'user')} {' '.join(words)} {identity.unit}`"
    try:
        answer = systemd.control(identity.manager, *words, identity.unit)
    except UnansweredError as error:
        return f"{what}: {error}" + (f"; it {_REFUSED}" if error.permanent else "")
    return f"{what}: {answer.said}; it {_REFUSED}" if answer.status else what


def _left(unit: Unit, stored: UnitIdentity) -> list[Process]:
    """Give what still runs of the processes that were noted, or came out of the invocation."""
    known = processes.everything()
    noted = {(one.pid, one.start) for one in stored.members}
    seen = {process.pid for process in systemd.members(unit, known)}
    is_here = stored.boot_id == processes.boot_id()
    return [
        process
        for process in known.values()
        if process.alive and (process.pid in seen or (is_here and (process.pid, process.start) in noted))
    ]


def _escalate(command: Command, world: World, stored: UnitIdentity, what: str, *, can_kill: bool) -> Command:
    """Wait; after that kill where it is allowed, or say that it failed."""
    patience = AFTER_KILL if command.progress.get("killed") else command.args["grace"]
    if world.now - command.progress["at"] < patience:
        return command
    held = veto(world.output, world.ask)
    if can_kill and escalates(command, held):
        progress = also_sent(command, _tell(stored, "kill", "--signal=SIGKILL"), killed=True, at=world.now)
        return to(command, "acknowledged", world, "", None, progress)
    way_out = (
        "" if command.progress.get("killed") else f"; {held or 'allow SIGKILL with `kill: true`, or end it by hand'}"
    )
    return to(command, "failed", world, f"{what} after {'; '.join(command.progress['sent'])}{way_out}")


def _verified(command: Command, world: World, stored: UnitIdentity, unit: Unit) -> Command:
    seconds = world.now - command.progress["began"]
    pids = ", ".join(str(one.pid) for one in stored.members)
    none = f", and none of its processes runs: {pids}" if pids else ""
    gone = f"unit {unit.name} is {unit.state} after {seconds:.0f} s{none} ({'; '.join(command.progress['sent'])})"
    return proved(command, world, gone, stored)
