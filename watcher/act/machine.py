"""The life of a stop: `planned -> waiting -> rechecked -> [saving] -> attempting -> acknowledged -> verified`.

Or `failed`, `cancelled`, `refused`. `step` makes one transition; the caller stores its result before it calls
again, so nothing is done in a state that is not on disk, and a daemon killed anywhere goes on from there.
Doing a state twice is harmless: signals go only to processes that are the very ones identified.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from watcher.act import processes, signals
from watcher.act.backend import Backend, ProcessBackend
from watcher.act.caller import Caller, veto
from watcher.act.identity import Identity, Member, NoProcessError, confirm, identify, others, own_groups
from watcher.act.processes import Process
from watcher.act.ties import Output
from watcher.clock import clock, span
from watcher.errors import ActError
from watcher.nouns import FINAL, ActionState, Command

AFTER_KILL = 30.0
"""Seconds that a process has to vanish after SIGKILL."""


@dataclass(frozen=True, slots=True)
class _World:
    """What a transition may look at."""

    output: Output
    backend: ProcessBackend
    now: float
    ask: Caller


def step(command: Command, output: Output, backend: Backend, now: float, ask: Caller) -> Command:
    """Make the next transition of a stop; the same command comes back while it has to wait, and once it is final.

    While it waits, `proof` says for what.
    """
    if command.state in FINAL:
        return command
    if not isinstance(backend, ProcessBackend):
        proof = f"no backend {backend.name} can stop this run"
        return replace(command, state="failed", changed_at=now, proof=proof)
    return _TRANSITIONS[command.state](command, _World(output, backend, now, ask))


def _plan(command: Command, world: _World) -> Command:
    try:
        identity = identify(world.output, world.backend, command.evidence_at)
    except ActError as error:
        return _unplanned(command, world, error)
    if command.args.get("mode") != "enforce":
        return _to(command, "refused", world, f"observe mode: would have stopped {_named(identity)}", identity)
    delay = command.args["delay"]
    until = f"until {clock(command.created_at + delay)} it can be vetoed" if delay else ""
    return _to(command, "waiting", world, until, identity)


def _unplanned(command: Command, world: _World, error: ActError) -> Command:
    """End a stop of which it is not known whom it would be for; one that is only observed has not failed."""
    if command.args.get("mode") != "enforce":
        return _to(command, "refused", world, f"observe mode: could not have stopped it: {error}")
    return _to(command, "failed" if isinstance(error, NoProcessError) else "refused", world, str(error))


def _wait(command: Command, world: _World) -> Command:
    if held := veto(world.output, world.ask):
        return _vetoed(command, world, held)
    if world.now - command.created_at < command.args["delay"] or world.ask.behind():
        return command
    return _to(command, "rechecked", world)


def _recheck(command: Command, world: _World) -> Command:
    if held := veto(world.output, world.ask):
        return _vetoed(command, world, held)
    if why_not := world.ask.recheck():
        return _to(command, "cancelled", world, why_not)
    if command.args["save"] == "no":
        return _begin(command, world)
    return _to(command, "saving", world, _awaited(command, world), progress={"since": world.now})


def _awaited(command: Command, world: _World) -> str:
    """Say what is waited for, for how long, and what comes then."""
    until = f"it waits for the trainer's next checkpoint, until {clock(world.now + command.args['wait'])} at the latest"
    then = "the run goes on" if command.args["save"] == "required" else "it is stopped"
    return f"{until}; without one {then}. If it ended now, {world.ask.kept.survives(would=True)}"


def _save(command: Command, world: _World) -> Command:
    """Wait for a checkpoint that the trainer makes by itself after the decision."""
    if held := veto(world.output, world.ask):
        return _vetoed(command, world, held)
    if why_not := world.ask.recheck():
        return _to(command, "cancelled", world, why_not)
    new = [found for found in world.ask.checkpoints() if found[2] > command.created_at]
    if new:
        return _begin(command, world, {"checkpoint": list(new[-1])})
    if world.now - command.progress["since"] < command.args["wait"]:
        gone = not Identity.from_json(command.identity).living(processes.everything())
        return _begin(command, world) if gone else command
    waited = f"no new checkpoint within {span(command.args['wait'])}"
    if command.args["save"] == "required":
        return _to(command, "failed", world, f"{waited}, and without one the run must not be stopped; it goes on")
    return _begin(command, world, {"lost": waited})


def _begin(command: Command, world: _World, progress: Mapping[str, Any] | None = None) -> Command:
    """Look once more who they are, note what they have started since, and store that before any signal."""
    known = processes.everything()
    try:
        identity = confirm(Identity.from_json(command.identity), world.output, world.backend, known)
    except NoProcessError:
        return _ended(command, world)
    except ActError as error:
        return _to(command, "refused", world, f"{error}; nothing was signalled")
    noted = {**command.progress, **(progress or {}), "groups": own_groups(identity, known)}
    return _to(command, "attempting", world, "", identity, noted)


def _ended(command: Command, world: _World) -> Command:
    """The run ended by itself before anything was done; perhaps another one has begun since."""
    over = "the run had ended by itself before anything was done"
    try:
        before = Identity.from_json(command.identity).above
        fresh = identify(world.output, world.backend, world.now, before)
    except NoProcessError:
        return _to(command, "cancelled", world, over)
    except ActError as error:
        return _to(command, "refused", world, f"{over}; now {error}")
    proof = f"the run was relaunched ({_named(fresh)}): an old decision does not stop a new launch"
    return _to(command, "refused", world, proof)


def _attempt(command: Command, world: _World) -> Command:
    """Signal; a daemon that ended in this very state may have done so already, and comes here again."""
    again = "" if world.now == command.changed_at else "; the daemon was restarted, SIGTERM may have been sent before"
    if held := veto(world.output, world.ask):
        return _vetoed(command, world, f"{held}{again}")
    known = processes.everything()
    identity = Identity.from_json(command.identity)
    try:
        identity = confirm(identity, world.output, world.backend, known)
        sent = signals.send(identity.living(known), signal.SIGTERM)
    except NoProcessError:
        sent = f"SIGTERM to nobody, all had ended{again}"
    except ActError as error:
        return _to(command, "refused", world, f"{error}; nothing was signalled{again}")
    progress = {**command.progress, "sent": [sent], "at": world.now, "began": world.now}
    return _to(command, "acknowledged", world, "", identity, progress)


def _verify(command: Command, world: _World) -> Command:
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
        number = signal.SIGKILL if command.progress.get("killed") else signal.SIGTERM
        progress = {**_also_sent(command, signals.send(new, number)), "caught": world.now}
        return _to(command, "acknowledged", world, "", identity, progress)
    if left := identity.living(known):
        return _escalate(command, world, left, identity)
    beside = others(identity, command.progress.get("groups", ()), world.output, world.backend, known)
    return _beside(command, world, beside) if beside else _verified(command, world, identity)


def _from_elsewhere(command: Command, world: _World, identity: Identity) -> Command:
    """The pids mean nothing here; only after a restart of the same machine it is known that they are gone."""
    is_same_place = (identity.host, identity.namespace) == (processes.host(), processes.pid_namespace())
    if is_same_place and identity.boot_id != processes.boot_id():
        return _proved(command, world, f"{identity.host} was started anew since", identity)
    sent = "; ".join(command.progress["sent"])
    proof = f"its end cannot be verified from here: it ran on {identity.host} or in another container ({sent})"
    return _to(command, "failed", world, proof)


def _escalate(command: Command, world: _World, left: list[Member], identity: Identity) -> Command:
    if not _is_over(command, world):
        return command
    killed, held = command.progress.get("killed", False), veto(world.output, world.ask)
    if command.args["kill"] and not killed and not held:
        identity = signals.halt(identity)
        sent = signals.send(identity.living(processes.everything()), signal.SIGKILL)
        progress = {**_also_sent(command, sent), "killed": True, "at": world.now}
        return _to(command, "acknowledged", world, "", identity, progress)
    listed = ", ".join(f"{member.pid} ({member.command[:60]})" for member in left)
    way_out = "" if killed else f"; {held or 'allow SIGKILL with `kill: true`, or end it by hand'}"
    sent = "; ".join(command.progress["sent"])
    return _to(command, "failed", world, f"still running after {sent}: {listed}{way_out}", identity)


def _beside(command: Command, world: _World, beside: list[Process]) -> Command:
    """Give what came out of the run, or is a relaunch of it, the time to end; it was not identified, so no signal."""
    if not _is_over(command, world):
        return command
    listed = ", ".join(f"{process.pid} ({process.shown[:60]})" for process in beside)
    proof = f"all identified processes are gone, but others run that came out of them or could be the run: {listed}"
    return _to(command, "failed", world, f"{proof}; they were not signalled")


def _is_over(command: Command, world: _World) -> bool:
    """Tell whether the time that processes have to end after the last signal is over."""
    patience = AFTER_KILL if command.progress.get("killed") else command.args["grace"]
    return bool(world.now - command.progress["at"] >= patience)


def _also_sent(command: Command, sent: str) -> dict[str, Any]:
    return {**command.progress, "sent": [*command.progress["sent"], sent]}


def _verified(command: Command, world: _World, identity: Identity) -> Command:
    seconds = world.now - command.progress["began"]
    pids = ", ".join(str(member.pid) for member in identity.members)
    gone = f"all processes are gone after {seconds:.0f} s: {pids} ({'; '.join(command.progress['sent'])})"
    return _proved(command, world, gone, identity)


def _proved(command: Command, world: _World, gone: str, identity: Identity) -> Command:
    """Say beside the proof which checkpoint survives, and what is lost."""
    left = world.ask.kept
    waited = f"There was {command.progress['lost']}. " if "lost" in command.progress else ""
    progress = {**command.progress, "kept": left.facts}
    return _to(command, "verified", world, f"{gone}. {waited}{left.survives()}", identity, progress)


def _vetoed(command: Command, world: _World, why: str) -> Command:
    """Cancel; where only the folder is away, the decision may be taken again once it is back."""
    is_away = not world.output.folder.is_dir()
    progress = {**command.progress, "withdrawn": True} if is_away else command.progress
    return _to(command, "cancelled", world, why, progress=progress)


def _named(identity: Identity) -> str:
    return "pid " + ", ".join(f"{root.pid} ({root.command[:80]})" for root in identity.roots)


def _to(
    command: Command,
    state: ActionState,
    world: _World,
    proof: str = "",
    identity: Identity | None = None,
    progress: Mapping[str, Any] | None = None,
) -> Command:
    return replace(
        command,
        state=state,
        changed_at=world.now,
        proof=proof,
        identity=command.identity if identity is None else identity.to_json(),
        progress=command.progress if progress is None else dict(progress),
    )


_TRANSITIONS: Mapping[str, Callable[[Command, _World], Command]] = {
    "planned": _plan,
    "waiting": _wait,
    "rechecked": _recheck,
    "saving": _save,
    "attempting": _attempt,
    "acknowledged": _verify,
}
