"""Acting by programs of the user's; that one says so proves nothing, what is looked at afterwards does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from watcher.act import commanded, processes
from watcher.act.backend import CommandBackend
from watcher.act.caller import veto
from watcher.act.commanded import CommandIdentity
from watcher.act.identity import NoProcessError
from watcher.act.moves import LOGS, OVER, SAVES, Paces, World, also_sent, proved, refused, saved, to, tried, vetoed
from watcher.act.processes import Process
from watcher.act.programs import Running
from watcher.act.ties import Output
from watcher.clock import span
from watcher.errors import ActError
from watcher.nouns import RATES, ActionKind, Command

EVERY = 2.0
"""Seconds between two looks at what a program was to bring about."""


class ByCommand:
    """The way of `command`; a program may take its time, and is looked after at every pass.

    A stop that is to save runs the program for checkpoints first, where there is one, and then, as another attempt,
    the one that stops.
    """

    def __init__(self) -> None:
        self._running: dict[tuple[str, int, float], Running] = {}
        self._paces = Paces(EVERY)

    def find(
        self, output: Output, backend: CommandBackend, evidence_at: float, known: Mapping[int, Process] | None = None
    ) -> CommandIdentity:
        """Find the run's processes, and ask `status`."""
        return commanded.find(output, backend, evidence_at, known)

    def can(self, backend: CommandBackend, kind: ActionKind) -> bool:
        """Tell whether there is a program for it."""
        return bool(backend.program(kind))

    def deed(self, backend: CommandBackend, kind: ActionKind, args: Mapping[str, Any]) -> str:
        """Say which programs are run."""
        words = [backend.program(kind)]
        if kind == "stop" and backend.checkpoint and args["save"] != "no":
            words.insert(0, backend.checkpoint)
        listed = ", then ".join(f"`{' '.join(one)[:200]}`" for one in words)
        after = f"; then {span(args['grace'])} pass" if kind == "stop" else ""
        return f"{listed} is run and has {span(backend.timeout)}{after}"

    def is_gone(self, command: Command, world: World) -> bool:
        """Tell whether the run has ended; where that is not sure, it has not."""
        if not self._paces.due(command, world):
            return False
        return _is_gone(command, world)

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
        if held := veto(world.output, world.ask):
            return vetoed(command, world, held)
        if command.kind in RATES and (ended := _unprovable(command, world)):
            return ended
        words = _words(command, world)
        try:
            identity = _confirm(CommandIdentity.from_json(command.identity), command, world)
            running = commanded.start(words, world.output, _facts(command, identity, saves=_saves(command, world)))
        except NoProcessError:
            progress = also_sent(command, "nothing was run, it had ended", at=world.now, began=world.now, accepted=True)
            return to(command, "acknowledged", world, "", None, progress)
        except ActError as error:
            return refused(command, world, error, "nothing was run")
        self._running[_key(command, world)] = running
        started = processes.read(running.pid)
        noted = {"pid": running.pid, "start": started.start if started else 0, "at": world.now, "began": world.now}
        sent = also_sent(command, f"ran `{words[0]}`", accepted=False, rate_before=_rate(world), **noted)
        return to(command, "acknowledged", world, "", identity, sent)

    def verify(self, command: Command, world: World) -> Command:
        """Wait for the end of the program, then for what it was to bring about."""
        if not command.progress.get("accepted"):
            return self._accepted(command, world)
        if not self._paces.due(command, world):
            return command
        if command.kind in RATES:
            return _lowered(command, world)
        return _has_saved(command, world) if _saves(command, world) else _ended(command, world)

    def _accepted(self, command: Command, world: World) -> Command:
        """See how the program ended; of one that an earlier daemon has started that is not known."""
        backend, key, name = _backend(world), _key(command, world), _words(command, world)[0]
        running = self._running.get(key)
        if running is None:
            if _runs_on(command) and world.now - command.progress["began"] < backend.timeout:
                return command
            sent = f"{name} ended unseen: the daemon was restarted"
            return to(command, "acknowledged", world, "", None, also_sent(command, sent, accepted=True, at=world.now))
        answer = running.answer(0.0)
        if answer is None and not running.is_late(backend.timeout):
            return command
        del self._running[key]
        if answer is None:
            running.kill()
            return _not_accepted(command, world, f"{name} took longer than {backend.timeout:g} s and was killed")
        if answer.status:
            return _not_accepted(command, world, f"{name} ended with status {answer.status}: {answer.said}")
        progress = {**command.progress, "accepted": True, "at": world.now}
        return to(command, "acknowledged", world, "", None, progress)


def _backend(world: World) -> CommandBackend:
    assert isinstance(world.backend, CommandBackend)
    return world.backend


def _saves(command: Command, world: World) -> bool:
    """Tell whether the program for checkpoints is the one that runs now."""
    if command.kind == "checkpoint":
        return True
    is_over = "checkpoint" in command.progress or "lost" in command.progress
    wanted = command.kind == "stop" and command.args["save"] != "no"
    return wanted and bool(_backend(world).checkpoint) and not is_over


def _words(command: Command, world: World) -> tuple[str, ...]:
    return _backend(world).program("checkpoint" if _saves(command, world) else command.kind)


def _key(command: Command, world: World) -> tuple[str, int, float]:
    return str(world.output), command.id, command.created_at


def _runs_on(command: Command) -> bool:
    """Tell whether the program that an earlier daemon has started still runs."""
    process = processes.read(command.progress["pid"])
    return process is not None and process.alive and process.start == command.progress["start"]


def _not_accepted(command: Command, world: World, why: str) -> Command:
    what = "; the run may still train" if command.kind == "stop" else ""
    return to(command, "failed", world, f"{why}{what}")


def _facts(command: Command, identity: CommandIdentity, *, saves: bool) -> dict[str, Any]:
    """Give what the program is told beside the run, as JSON."""
    pids = [member.pid for member in identity.members]
    names = () if saves else {"stop": ("grace", "kill"), "scale_lr": ("factor", "min"), "set_lr": ("to",)}[command.kind]
    args = {name: command.args.get(name) for name in names}
    action = "checkpoint" if saves else command.kind
    return {"action": action, "reason": command.reason, "pids": pids, "launch": identity.launch, **args}


def _confirm(stored: CommandIdentity, command: Command, world: World) -> CommandIdentity:
    """Find the run anew, right before something is done to it.

    Raises:
        NoProcessError: it has ended.
        ActError: it is another launch, or not to be told any more.

    """
    fresh = commanded.find(world.output, _backend(world), command.evidence_at)
    if fresh.launch != stored.launch or fresh.roots != stored.roots:
        raise ActError(f"the run was relaunched ({fresh.named}): an old decision does not stop a new launch")
    return fresh


def _left(command: Command, world: World) -> str:
    """Say what of the run is still there; empty where all of it is proved to be gone.

    Raises:
        ActError: that cannot be told.

    """
    return commanded.look(CommandIdentity.from_json(command.identity), world.output, _backend(world))


def _sent(command: Command) -> str:
    return "; ".join(command.progress["sent"])


def _ended(command: Command, world: World) -> Command:
    """Wait until all of the run is gone."""
    try:
        left = _left(command, world)
    except ActError as error:
        left = f"it is not known whether it runs: {error}"
    if not left:
        stored = CommandIdentity.from_json(command.identity)
        seconds = world.now - command.progress["began"]
        gone = f"{commanded.gone(stored, _backend(world))} after {seconds:.0f} s ({_sent(command)})"
        return proved(command, world, gone, stored)
    if world.now - command.progress["at"] < command.args["grace"]:
        return command
    return to(command, "failed", world, f"{left} {span(command.args['grace'])} after it {_sent(command)}")


def _has_saved(command: Command, world: World) -> Command:
    """Wait for the new checkpoint; a stop goes on with it, or without it where that is allowed."""
    new = world.ask.new_checkpoint(command.created_at)
    if command.kind == "checkpoint" and new:
        return saved(command, world, new, tried(command))
    if new:
        return to(command, "attempting", world, f"it has saved {new[1]}", None, _then(command, checkpoint=list(new)))
    if _is_gone(command, world):
        return _gone_unsaved(command, world)
    patience = command.args.get("wait", SAVES)
    if world.now - command.progress["at"] < patience:
        words = "its checkpoint is waited for"
        return command if command.proof == words else replace(command, proof=words)
    waited = f"no new checkpoint within {span(patience)} after it {_sent(command)}"
    if command.kind == "checkpoint" or command.args["save"] == "required":
        return to(command, "failed", world, waited)
    return to(command, "attempting", world, waited, None, _then(command, lost=waited))


def _is_gone(command: Command, world: World) -> bool:
    try:
        return not _left(command, world)
    except ActError:
        return False


def _gone_unsaved(command: Command, world: World) -> Command:
    if command.kind == "checkpoint":
        return to(command, "cancelled", world, "the training ended before it had saved")
    if command.args["save"] == "required":
        return to(command, "failed", world, f"it has ended without a new checkpoint ({_sent(command)})")
    return _ended(command, world)


def _then(command: Command, **noted: Any) -> dict[str, Any]:
    return {**command.progress, "accepted": False, **noted}


def _rate(world: World) -> float | None:
    """Give the rate that the trainer has logged last."""
    rates = world.ask.rates()
    return rates[-1].value if rates else None


def _ratio(command: Command, old: float) -> float:
    if command.kind == "set_lr":
        return float(command.args["to"]) / old
    return max(float(command.args["factor"]), (command.args.get("min") or 0.0) / old)


def _unprovable(command: Command, world: World) -> Command | None:
    """End a change of the rate that could not be proved, or would not lower it, before anything is done."""
    old = _rate(world)
    if not old or old < 0:
        why = "the trainer logs no learning rate, by which alone it can be proved that a program lowers it"
        return to(command, "failed", world, f"{why}; nothing was run")
    if _ratio(command, old) >= 1:
        return to(command, "cancelled", world, f"nothing is left to lower: the trainer logs {old:g}")
    return None


def _lowered(command: Command, world: World) -> Command:
    """Wait until the trainer logs the lower rate."""
    old, began = float(command.progress["rate_before"]), command.progress["began"]
    new = next((rate for rate in reversed(world.ask.rates()) if rate.at > began), None)
    if new and new.shows(old, _ratio(command, old)):
        scalar = {"step": new.step, "value": new.value}
        change = {"before": [old], "after": [new.value], "factor": new.value / old, "step": new.step, "scalar": scalar}
        words = f"the trainer logs {new.value:g} at step {new.step}, {old:g} before ({_sent(command)}).{tried(command)}"
        progress = {**command.progress, "lr": change, "newest": world.ask.newest()}
        return to(command, "verified", world, words, None, progress)
    if world.now - command.progress["at"] < LOGS:
        words = "the trainer has not logged the new rate yet"
        return command if command.proof == words else replace(command, proof=words)
    still = f"still logs {new.value:g}" if new else "has logged no rate"
    return to(command, "failed", world, f"the trainer {still} {span(LOGS)} after it {_sent(command)}")
