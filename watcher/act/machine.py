"""The life of a stop: `planned -> waiting -> rechecked -> [saving] -> attempting -> acknowledged -> verified`.

Or `failed`, `cancelled`, `refused`. `step` makes one transition; the caller stores its result before it calls
again, so nothing is done in a state that is not on disk, and a daemon killed anywhere goes on from there.
Doing a state twice is harmless: signals go only to processes that are the very ones identified.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from watcher.act import processes, signals
from watcher.act.backend import Backend, ProcessBackend
from watcher.act.identity import Identity, Member, NoProcessError, confirm, identify, others, own_groups
from watcher.act.processes import Process
from watcher.errors import ActError
from watcher.nouns import FINAL, HOLD, ActionState, Command

Checkpoints = Callable[[], list[tuple[int, str, float]]]
AFTER_KILL = 30.0
"""Seconds that a process has to vanish after SIGKILL."""


@dataclass(frozen=True, slots=True)
class _World:
    """What a transition may look at."""

    folder: Path
    backend: ProcessBackend
    now: float
    recheck: Callable[[], str | None]
    checkpoints: Checkpoints
    behind: Callable[[], str | None]


def step(
    command: Command,
    run_folder: Path,
    backend: Backend,
    now: float,
    recheck: Callable[[], str | None],
    checkpoints: Checkpoints,
    behind: Callable[[], str | None] = lambda: None,
) -> Command:
    """Make the next transition of a stop; the same command comes back while it has to wait, and once it is final.

    `recheck` says why the decision no longer holds, or None; `checkpoints` gives step, path and wall time of
    writing of the run's complete checkpoints; `behind` says which evaluations have to be judged first, or None.
    """
    if command.state in FINAL:
        return command
    if not isinstance(backend, ProcessBackend):
        proof = f"no backend {backend.name} can stop this run"
        return replace(command, state="failed", changed_at=now, proof=proof)
    return _TRANSITIONS[command.state](command, _World(run_folder, backend, now, recheck, checkpoints, behind))


def _plan(command: Command, world: _World) -> Command:
    try:
        identity = identify(world.folder, world.backend, command.evidence_at)
    except NoProcessError as error:
        return _to(command, "failed", world, str(error))
    except ActError as error:
        return _to(command, "refused", world, str(error))
    if command.args.get("mode") != "enforce":
        return _to(command, "refused", world, f"observe mode: would have stopped {_named(identity)}", identity)
    return _to(command, "waiting", world, "", identity)


def _wait(command: Command, world: _World) -> Command:
    if veto := _veto(world):
        return _to(command, "cancelled", world, veto)
    if world.now - command.created_at < command.args["delay"] or world.behind():
        return command
    return _to(command, "rechecked", world)


def _recheck(command: Command, world: _World) -> Command:
    if why_not := _veto(world) or world.recheck():
        return _to(command, "cancelled", world, why_not)
    if command.args["save"] == "no":
        return _begin(command, world)
    return _to(command, "saving", world, progress={"since": world.now})


def _save(command: Command, world: _World) -> Command:
    """Wait for a checkpoint that the trainer makes by itself after the decision."""
    if why_not := _veto(world) or world.recheck():
        return _to(command, "cancelled", world, why_not)
    new = [found for found in world.checkpoints() if found[2] > command.created_at]
    if new:
        return _begin(command, world, {"checkpoint": list(new[-1])})
    if world.now - command.progress["since"] < command.args["wait"]:
        gone = not Identity.from_json(command.identity).living(processes.everything())
        return _begin(command, world) if gone else command
    waited = f"no new checkpoint within {command.args['wait']:.0f} s"
    if command.args["save"] == "required":
        return _to(command, "failed", world, f"{waited}, and without one the run must not be stopped; it goes on")
    return _begin(command, world, {"lost": waited})


def _begin(command: Command, world: _World, progress: Mapping[str, Any] | None = None) -> Command:
    """Look once more who they are, note what they have started since, and store that before any signal."""
    known = processes.everything()
    try:
        identity = confirm(Identity.from_json(command.identity), world.folder, world.backend, known)
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
        fresh = identify(world.folder, world.backend, world.now)
    except NoProcessError:
        return _to(command, "cancelled", world, over)
    except ActError as error:
        return _to(command, "refused", world, f"{over}; now {error}")
    proof = f"the run was relaunched ({_named(fresh)}): an old decision does not stop a new launch"
    return _to(command, "refused", world, proof)


def _attempt(command: Command, world: _World) -> Command:
    """Signal; a daemon that ended in this very state may have done so already, and comes here again."""
    again = "" if world.now == command.changed_at else "; the daemon was restarted, SIGTERM may have been sent before"
    if why_not := _veto(world):
        return _to(command, "cancelled", world, f"{why_not}{again}")
    known = processes.everything()
    identity = Identity.from_json(command.identity)
    try:
        identity = confirm(identity, world.folder, world.backend, known)
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
    if new and command.progress.get("caught") != world.now and not _veto(world):
        number = signal.SIGKILL if command.progress.get("killed") else signal.SIGTERM
        progress = {**_also_sent(command, signals.send(new, number)), "caught": world.now}
        return _to(command, "acknowledged", world, "", identity, progress)
    if left := identity.living(known):
        return _escalate(command, world, left, identity)
    beside = others(identity, command.progress.get("groups", ()), world.folder, world.backend, known)
    return _beside(command, world, beside) if beside else _verified(command, world, identity)


def _from_elsewhere(command: Command, world: _World, identity: Identity) -> Command:
    """The pids mean nothing here; only after a restart of the same machine it is known that they are gone."""
    is_same_place = (identity.host, identity.namespace) == (processes.host(), processes.pid_namespace())
    if is_same_place and identity.boot_id != processes.boot_id():
        return _to(command, "verified", world, f"{identity.host} was started anew since. {_kept(command, world)}")
    sent = "; ".join(command.progress["sent"])
    proof = f"its end cannot be verified from here: it ran on {identity.host} or in another container ({sent})"
    return _to(command, "failed", world, proof)


def _escalate(command: Command, world: _World, left: list[Member], identity: Identity) -> Command:
    if not _is_over(command, world):
        return command
    killed, held = command.progress.get("killed", False), _veto(world)
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
    return _to(command, "verified", world, f"{gone}. {_kept(command, world)}", identity)


def _kept(command: Command, world: _World) -> str:
    """Say which checkpoint survives, and what is lost."""
    found = world.checkpoints()
    lost = f"{command.progress['lost']}. " if "lost" in command.progress else ""
    if not found:
        return f"{lost}No checkpoint was found."
    return f"{lost}Last checkpoint: {found[-1][1]} (step {found[-1][0]}); later steps are lost."


def _veto(world: _World) -> str | None:
    """Look for a veto.

    Raises:
        OSError: it cannot be told; then nothing is done.

    """
    try:
        os.lstat(world.folder / HOLD)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return f"held: {world.folder / HOLD} exists"


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
