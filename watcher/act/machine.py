"""The life of a stop: `planned -> waiting -> rechecked -> [saving] -> attempting -> acknowledged -> verified`.

Or `failed`, `cancelled`, `refused`. `step` makes one transition; the caller stores its result before it calls
again, so nothing is done in a state that is not on disk, and a daemon killed anywhere goes on from there.
Doing a state twice is harmless: signals go only to processes that are the very ones identified.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from watcher.act import processes, signals
from watcher.act.backend import Backend, ProcessBackend
from watcher.act.identity import Identity, Member, identify
from watcher.errors import ActError
from watcher.nouns import ActionState, Command

Checkpoints = Callable[[], list[tuple[int, str, float]]]
AFTER_KILL = 30.0
"""Seconds that a process has to vanish after SIGKILL."""
HOLD = "HOLD"
"""A file of this name in a run's folder vetoes every action on it."""


@dataclass(frozen=True, slots=True)
class _World:
    """What a transition may look at."""

    folder: Path
    backend: Backend
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
    """Make the next transition of a stop; the same command comes back while it has to wait.

    `recheck` says why the decision no longer holds, or None; `checkpoints` gives step, path and wall time of
    writing of the run's complete checkpoints; `behind` says which evaluations have to be judged first, or None.
    """
    world = _World(run_folder, backend, now, recheck, checkpoints, behind)
    return _TRANSITIONS[command.state](command, world)


def _plan(command: Command, world: _World) -> Command:
    if not isinstance(world.backend, ProcessBackend):
        return _to(command, "failed", world, f"no backend {world.backend.name} can stop this run")
    try:
        identity = identify(world.folder, world.backend, command.evidence_at)
    except ActError as error:
        found_none = str(error).startswith("no process of")
        return _to(command, "failed" if found_none else "refused", world, str(error))
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
        gone = not signals.living(Identity.from_json(command.identity), processes.everything())
        return _begin(command, world) if gone else command
    waited = f"no new checkpoint within {command.args['wait']:.0f} s"
    if command.args["save"] == "required":
        return _to(command, "failed", world, f"{waited}, and without one the run must not be stopped; it goes on")
    return _begin(command, world, {"lost": waited})


def _begin(command: Command, world: _World, progress: Mapping[str, Any] | None = None) -> Command:
    """Look once more who they are, note what they have started since, and store that before any signal."""
    known = processes.everything()
    identity = Identity.from_json(command.identity)
    if not _is_here(identity):
        return _to(command, "refused", world, "this is another host, boot or pid namespace than at the decision")
    changed = [root for root in identity.roots if _is_other(root, known)]
    if changed:
        return _to(command, "refused", world, f"pid {changed[0].pid} is another process now: nothing was signalled")
    if not signals.living(identity, known):
        return _ended(command, world)
    merged = {**command.progress, **(progress or {})}
    return _to(command, "attempting", world, "", identity.extended(known), merged)


def _ended(command: Command, world: _World) -> Command:
    """The run ended by itself before anything was done; perhaps another one has begun since."""
    try:
        assert isinstance(world.backend, ProcessBackend)
        fresh = identify(world.folder, world.backend, world.now)
    except ActError:
        return _to(command, "cancelled", world, "the run had ended by itself before anything was done")
    proof = f"the run was relaunched ({_named(fresh)}): an old decision does not stop a new launch"
    return _to(command, "refused", world, proof)


def _attempt(command: Command, world: _World) -> Command:
    known = processes.everything()
    identity = Identity.from_json(command.identity)
    sent = signals.send(signals.living(identity, known), signal.SIGTERM, known)
    progress = {**command.progress, "sent": [sent], "at": world.now, "began": world.now}
    return _to(command, "acknowledged", world, progress=progress)


def _verify(command: Command, world: _World) -> Command:
    """Wait until every process is gone; signal what was started meanwhile; kill only when that is allowed."""
    known = processes.everything()
    identity = Identity.from_json(command.identity).extended(known)
    left = signals.living(identity, known)
    if not left:
        return _to(command, "verified", world, _proof(command, identity, world), identity)
    if len(identity.members) > len(command.identity["members"]):
        new = left[-(len(identity.members) - len(command.identity["members"])) :]
        sent = signals.send(new, signal.SIGTERM, known)
        return _to(command, "acknowledged", world, "", identity, _also_sent(command, sent))
    return _escalate(command, world, left, known)


def _escalate(command: Command, world: _World, left: list[Member], known: Mapping[int, processes.Process]) -> Command:
    killed = command.progress.get("killed", False)
    if world.now - command.progress["at"] < (AFTER_KILL if killed else command.args["grace"]):
        return command
    if command.args["kill"] and not killed:
        sent = signals.send(left, signal.SIGKILL, known)
        progress = {**_also_sent(command, sent), "killed": True, "at": world.now}
        return _to(command, "acknowledged", world, progress=progress)
    names = ", ".join(f"{member.pid} ({member.command[:60]})" for member in left)
    way_out = "" if killed else "; allow SIGKILL with `kill: true`, or end it by hand"
    sent = "; ".join(command.progress["sent"])
    return _to(command, "failed", world, f"still running after {sent}: {names}{way_out}")


def _also_sent(command: Command, sent: str) -> dict[str, Any]:
    return {**command.progress, "sent": [*command.progress["sent"], sent]}


def _proof(command: Command, identity: Identity, world: _World) -> str:
    seconds = world.now - command.progress["began"]
    pids = ", ".join(str(member.pid) for member in identity.members)
    kept = _kept(command, world)
    return f"all processes are gone after {seconds:.0f} s: {pids} ({'; '.join(command.progress['sent'])}). {kept}"


def _kept(command: Command, world: _World) -> str:
    """Say which checkpoint survives, and what is lost."""
    found = world.checkpoints()
    lost = f"{command.progress['lost']}. " if "lost" in command.progress else ""
    if not found:
        return f"{lost}No checkpoint was found."
    return f"{lost}Last checkpoint: {found[-1][1]} (step {found[-1][0]}); later steps are lost."


def _veto(world: _World) -> str | None:
    return f"held: {world.folder / HOLD} exists" if (world.folder / HOLD).exists() else None


def _is_here(identity: Identity) -> bool:
    here = (processes.host(), processes.boot_id(), processes.pid_namespace())
    return (identity.host, identity.boot_id, identity.namespace) == here


def _is_other(root: Member, known: Mapping[int, processes.Process]) -> bool:
    """Tell whether a root's pid now belongs to a different process."""
    return root.pid in known and known[root.pid].start != root.start


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
