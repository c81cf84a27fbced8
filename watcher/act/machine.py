"""The life of a stop: `planned -> waiting -> rechecked -> [saving] -> attempting -> acknowledged -> verified`.

Or `failed`, `cancelled`, `refused`. `step` makes one transition; the caller stores its result before it calls
again, so nothing is done in a state that is not on disk, and a daemon killed anywhere goes on from there.
What is done, and how it is proved, is the way of the run's backend.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from watcher.act import processes
from watcher.act.backend import Backend, CommandBackend, ProcessBackend, SlurmBackend, SystemdBackend
from watcher.act.by_command import ByCommand
from watcher.act.by_process import ByProcess
from watcher.act.by_slurm import BySlurm
from watcher.act.by_systemd import BySystemd
from watcher.act.caller import Caller, veto
from watcher.act.identity import Identity, NoProcessError, is_same
from watcher.act.moves import Frozen, Way, World, is_passing, refused, to, vetoed
from watcher.act.processes import Process
from watcher.act.programs import UnansweredError
from watcher.act.ties import Output
from watcher.clock import clock, span
from watcher.errors import ActError
from watcher.nouns import FINAL, Command

PATIENCE = 120.0
"""Seconds in which a program that does not answer is asked again, before a stop is refused because of it."""
WAYS: Mapping[type[Backend], Way] = {
    ProcessBackend: ByProcess(),
    SystemdBackend: BySystemd(),
    SlurmBackend: BySlurm(),
    CommandBackend: ByCommand(),
}


def find(output: Output, backend: Backend, evidence_at: float, known: Mapping[int, Process] | None = None) -> Frozen:
    """Identify a run as a stop would if it were ordered now; nothing is touched.

    Raises:
        NoProcessError: nothing that runs is the run.
        ActError: it cannot be told, or must not be touched.

    """
    return WAYS[type(backend)].find(output, backend, evidence_at, known)


def deed(backend: Backend, args: Mapping[str, Any]) -> str:
    """Say what a stop with these settings would do, as the beginning of a sentence."""
    return WAYS[type(backend)].deed(backend, args)


def lives(identity: Frozen) -> bool:
    """Tell whether the tops of a tree that was identified before run on; cheaper than to identify them anew."""
    if not isinstance(identity, Identity):
        return False
    return identity.is_here and all(is_same(root, processes.read(root.pid)) for root in identity.roots)


def step(command: Command, output: Output, backend: Backend, now: float, ask: Caller) -> Command:
    """Make the next transition of a stop; the same command comes back while it has to wait, and once it is final.

    While it waits, `proof` says for what.
    """
    if command.state in FINAL:
        return command
    way = WAYS.get(type(backend))
    if way is None:
        proof = f"no backend {backend.name} can stop this run"
        return replace(command, state="failed", changed_at=now, proof=proof)
    world = World(output, backend, now, ask)
    try:
        return _moved(command, world, way)
    except UnansweredError as error:
        return _asked_again(command, world, error)


def _moved(command: Command, world: World, way: Way) -> Command:
    if command.state == "attempting":
        return way.attempt(command, world)
    if command.state == "acknowledged":
        return way.verify(command, world)
    return _TRANSITIONS[command.state](command, world, way)


def _asked_again(command: Command, world: World, error: UnansweredError) -> Command:
    """Wait where systemd, Slurm or a program of the user's does not answer just now; not for ever."""
    key = f"{command.state} unanswered"
    since = command.progress.get(key)
    if since is None:
        progress = {**command.progress, key: world.now}
        return replace(command, proof=f"{error}; it is asked again", progress=progress)
    if world.now - since < PATIENCE:
        return command
    error.permanent = True
    return _unplanned(command, world, error) if command.state == "planned" else refused(command, world, error)


def _plan(command: Command, world: World, way: Way) -> Command:
    try:
        identity = way.find(world.output, world.backend, command.evidence_at)
    except ActError as error:
        if is_passing(error):
            raise
        return _unplanned(command, world, error)
    if command.args.get("mode") != "enforce":
        return to(command, "refused", world, f"observe mode: would have stopped {identity.named}", identity)
    delay = command.args["delay"]
    until = f"until {clock(command.created_at + delay)} it can be vetoed" if delay else ""
    return to(command, "waiting", world, until, identity)


def _unplanned(command: Command, world: World, error: ActError) -> Command:
    """End a stop of which it is not known whom it would be for; one that is only observed has not failed."""
    if command.args.get("mode") != "enforce":
        return to(command, "refused", world, f"observe mode: could not have stopped it: {error}")
    return to(command, "failed" if isinstance(error, NoProcessError) else "refused", world, str(error))


def _wait(command: Command, world: World, _way: Way) -> Command:
    if held := veto(world.output, world.ask):
        return vetoed(command, world, held)
    if world.now - command.created_at < command.args["delay"] or world.ask.behind():
        return command
    return to(command, "rechecked", world)


def _recheck(command: Command, world: World, way: Way) -> Command:
    if held := veto(world.output, world.ask):
        return vetoed(command, world, held)
    if why_not := world.ask.recheck():
        return to(command, "cancelled", world, why_not)
    if command.args["save"] == "no":
        return way.begin(command, world, {})
    return to(command, "saving", world, _awaited(command, world), progress={"since": world.now})


def _awaited(command: Command, world: World) -> str:
    """Say what is waited for, for how long, and what comes then."""
    until = f"it waits for the trainer's next checkpoint, until {clock(world.now + command.args['wait'])} at the latest"
    then = "the run goes on" if command.args["save"] == "required" else "it is stopped"
    return f"{until}; without one {then}. If it ended now, {world.ask.kept.survives(would=True)}"


def _save(command: Command, world: World, way: Way) -> Command:
    """Wait for a checkpoint that the trainer makes by itself after the decision."""
    if held := veto(world.output, world.ask):
        return vetoed(command, world, held)
    if why_not := world.ask.recheck():
        return to(command, "cancelled", world, why_not)
    new = [found for found in world.ask.checkpoints() if found[2] > command.created_at]
    if new:
        return way.begin(command, world, {"checkpoint": list(new[-1])})
    if world.now - command.progress["since"] < command.args["wait"]:
        return way.begin(command, world, {}) if way.is_gone(command, world) else command
    waited = f"no new checkpoint within {span(command.args['wait'])}"
    if command.args["save"] == "required":
        return to(command, "failed", world, f"{waited}, and without one the run must not be stopped; it goes on")
    return way.begin(command, world, {"lost": waited})


_TRANSITIONS: Mapping[str, Callable[[Command, World, Way], Command]] = {
    "planned": _plan,
    "waiting": _wait,
    "rechecked": _recheck,
    "saving": _save,
}
