"""The life of an action: `planned -> waiting -> rechecked -> [saving] -> attempting -> acknowledged -> verified`.

Or `failed`, `cancelled`, `refused`. `step` makes one transition; the caller stores its result before it calls
again, so nothing is done in a state that is not on disk, and a daemon killed anywhere goes on from there.
What is done, and how it is proved, is the way of the backend that it goes through. Where that fails, the next of the
run's backends is tried, from `rechecked` on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from watcher.act import processes
from watcher.act.backend import Backend
from watcher.act.caller import Caller, veto
from watcher.act.choice import WAYS, CannotError, choose, placed
from watcher.act.identity import Identity, NoProcessError, is_same
from watcher.act.moves import Frozen, Way, World, is_passing, refused, to, vetoed
from watcher.act.programs import UnansweredError
from watcher.act.ties import Output
from watcher.clock import clock, span
from watcher.errors import ActError
from watcher.nouns import FINAL, RATES, Command

KEPT = ("checkpoint", "lost", "withdrawn", "freezes")
"""What the next backend takes over of the progress of one that has failed; all else is that one's own."""
PATIENCE = 120.0
"""Seconds in which a program that does not answer is asked again, before an action is refused because of it."""
APART = 60.0
"""Seconds between two silences that are not one."""


def lives(identity: Frozen) -> bool:
    """Tell whether the tops of a tree that was identified before run on; cheaper than to identify them anew."""
    if not isinstance(identity, Identity):
        return False
    return identity.is_here and all(is_same(root, processes.read(root.pid)) for root in identity.roots)


def step(command: Command, output: Output, backends: Sequence[Backend], now: float, ask: Caller) -> Command:
    """Make the next transition of an action; the same command comes back while it has to wait, and once it is final.

    `backends` are the run's, in the order in which they are tried. While it waits, `proof` says for what.
    """
    if command.state in FINAL:
        return command
    place = 0 if command.state == "planned" else placed(backends, command.progress.get("backend"))
    if place is None or not backends:
        proof = "what the run is controlled through was changed since (`control:`); nothing more is done"
        return replace(command, state="refused", changed_at=now, proof=proof)
    world = World(output, backends[place], now, ask, tuple(backends))
    try:
        return _plan(command, world) if command.state == "planned" else _moved(command, world)
    except UnansweredError as error:
        return _asked_again(command, world, error)


def _moved(command: Command, world: World) -> Command:
    way = WAYS[type(world.backend)]
    if command.state not in ("attempting", "acknowledged"):
        return _TRANSITIONS[command.state](command, world, way)
    following = way.attempt(command, world) if command.state == "attempting" else way.verify(command, world)
    return _escalated(command, following, world) if following.state == "failed" else following


def _escalated(before: Command, failed: Command, world: World) -> Command:
    """Go on through the next backend, if there is one that can and that knows the run; else it has failed.

    Raises:
        UnansweredError: that cannot be told just now; what was done was stored before, and is not done again.

    """
    if failed.kind in RATES and failed.progress.get("perhaps"):  # one that was made already must not be made once more
        return failed
    place = placed(world.backends, failed.progress.get("backend"))
    try:
        choice = choose(
            world.output, world.backends, failed.kind, failed.evidence_at, after=place or 0, args=failed.args
        )
    except ActError as error:
        if is_passing(error) and before.state == "acknowledged":
            raise
        why = "" if isinstance(error, CannotError) else f"; nor can it be done otherwise: {error}"
        return replace(failed, proof=f"{failed.proof}{why}")
    tried = [*failed.progress.get("tried", ()), [world.backend.name, failed.proof]]
    kept = {name: failed.progress[name] for name in KEPT if name in failed.progress}
    progress = {**kept, **choice.noted, "tried": tried}
    proof = f"{world.backend.name} failed: {failed.proof}; it goes on through {choice.backend.name}"
    return to(failed, "rechecked", world, proof, choice.identity, progress)


def _asked_again(command: Command, world: World, error: UnansweredError) -> Command:
    """Wait where systemd, Slurm or a program of the user's does not answer just now; not for ever."""
    key = f"{command.state} unanswered"
    since, last = command.progress.get(key) or (None, world.now)
    if since is None or world.now - last > APART:  # an earlier silence that has ended is no part of this one
        progress = {**command.progress, key: [world.now, world.now]}
        return replace(command, proof=f"{error}; it is asked again", progress=progress)
    if world.now - since < PATIENCE:
        is_old = world.now - last > APART / 4
        return replace(command, progress={**command.progress, key: [since, world.now]}) if is_old else command
    error.permanent = True
    return _unplanned(command, world, error) if command.state == "planned" else refused(command, world, error)


def _plan(command: Command, world: World) -> Command:
    try:
        choice = choose(world.output, world.backends, command.kind, command.evidence_at, args=command.args)
    except ActError as error:
        if is_passing(error):
            raise
        return _unplanned(command, world, error)
    identity, progress = choice.identity, {**command.progress, **choice.noted}
    if command.args.get("mode") != "enforce":
        proof = f"observe mode: would have {_DONE[command.kind]} {identity.named}"
        return to(command, "refused", world, proof, identity, progress)
    delay = command.args.get("delay", 0.0)
    until = f"until {clock(command.created_at + delay)} it can be vetoed" if delay else ""
    return to(command, "waiting", world, until, identity, progress)


def _unplanned(command: Command, world: World, error: ActError) -> Command:
    """End an action of which it is not known whom it would be for; one that is only observed has not failed."""
    if command.args.get("mode") != "enforce":
        return to(command, "refused", world, f"observe mode: could not have {_DONE[command.kind]} it: {error}")
    has_failed = isinstance(error, NoProcessError | CannotError)
    return to(command, "failed" if has_failed else "refused", world, str(error))


def _wait(command: Command, world: World, _way: Way) -> Command:
    if held := veto(world.output, world.ask):
        return vetoed(command, world, held)
    if world.now - command.created_at < command.args.get("delay", 0.0) or world.ask.behind():
        return command
    return to(command, "rechecked", world)


def _recheck(command: Command, world: World, way: Way) -> Command:
    if held := veto(world.output, world.ask):
        return vetoed(command, world, held)
    if why_not := world.ask.recheck():
        return to(command, "cancelled", world, why_not)
    if not _waits_for_checkpoint(command, world) or way.can(world.backend, "checkpoint"):
        return way.begin(command, world, {})
    progress = {**command.progress, "since": world.now}
    return to(command, "saving", world, _awaited(command, world), progress=progress)


def _waits_for_checkpoint(command: Command, world: World) -> bool:
    """Tell whether a stop has to wait for a checkpoint that the trainer makes by itself, and did not do so before."""
    is_over = "checkpoint" in command.progress or "lost" in command.progress
    if command.kind != "stop" or is_over:
        return False
    return command.args["save"] == "required" or (command.args["save"] == "wait" and not world.backend.saves_at_end)


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
    if new := world.ask.new_checkpoint(command.created_at):
        return way.begin(command, world, {"checkpoint": list(new)})
    if world.now - command.progress["since"] < command.args["wait"]:
        return way.begin(command, world, {}) if way.is_gone(command, world) else command
    waited = f"no new checkpoint within {span(command.args['wait'])}"
    if command.args["save"] == "required":
        return to(command, "failed", world, f"{waited}, and without one the run must not be stopped; it goes on")
    return way.begin(command, world, {"lost": waited})


_DONE = {
    "stop": "stopped",
    "checkpoint": "asked for a checkpoint of",
    "scale_lr": "lowered the learning rate of",
    "set_lr": "set the learning rate of",
}
_TRANSITIONS: Mapping[str, Callable[[Command, World, Way], Command]] = {
    "waiting": _wait,
    "rechecked": _recheck,
    "saving": _save,
}
