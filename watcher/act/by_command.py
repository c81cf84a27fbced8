"""Acting by programs of the user's; that one says so proves nothing, what is looked at afterwards does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from watcher.act import commanded, effects, processes
from watcher.act.backend import CommandBackend
from watcher.act.caller import veto
from watcher.act.commanded import CommandIdentity
from watcher.act.identity import NoProcessError
from watcher.act.moves import OVER, Paces, World, also_sent, refused, to, vetoed
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
        self._noted: dict[tuple[str, int, float], float] = {}
        """When this very process has noted that it is about to run a program."""
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
        return effects.is_gone(command, world)

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
        """Note that a program is run, then run it.

        Where a daemon was killed right then, one that stops or saves is run once more, as that does no harm; one that
        lowers the rate is not.
        """
        if held := veto(world.output, world.ask):
            return vetoed(command, world, held)
        if _is_second(command) and (why_not := world.ask.recheck()):
            return to(command, "cancelled", world, why_not)
        if command.kind in RATES and "trying" not in command.progress and (ended := effects.unprovable(command, world)):
            return ended
        phase = _phase(command, world)
        if not effects.backend_of(world).program(phase):
            return to(command, "refused", world, f"`command` has no program for {phase} any more; nothing was run")
        if command.progress.get("trying") is None:
            self._noted[_key(command, world)] = world.now
            noted = {"trying": world.now, "phase": phase, "rate_before": effects.rate(world)}
            return to(command, "attempting", world, command.proof, None, {**command.progress, **noted})
        if self._may_have_run(command, world) and command.kind in RATES:
            return _unseen(command, world)
        return self._run(command, world)

    def _may_have_run(self, command: Command, world: World) -> bool:
        """Tell whether another daemon has noted it, which may have been killed right after it was run."""
        key = _key(command, world)
        return key not in self._running and self._noted.get(key) != command.progress["trying"]

    def _run(self, command: Command, world: World) -> Command:
        words = effects.backend_of(world).program(command.progress["phase"])
        try:
            identity = _confirm(CommandIdentity.from_json(command.identity), command, world)
            # What could not be stored right after it was run must not be run again.
            running = self._running.get(_key(command, world)) or commanded.start(
                words, world.output, _facts(command, identity)
            )
        except NoProcessError:
            return _had_ended(command, world)
        except ActError as error:
            return refused(command, world, error, "nothing was run")
        self._running[_key(command, world)] = running
        started = processes.read(running.pid)
        noted = {"pid": running.pid, "start": started.start if started else 0, "at": world.now, "began": world.now}
        sent = also_sent(command, f"ran `{words[0]}`", program=words[0], accepted=False, perhaps=True, **noted)
        return to(command, "acknowledged", world, "", identity, sent)

    def verify(self, command: Command, world: World) -> Command:
        """Wait for the end of the program, then for what it was to bring about."""
        if not command.progress.get("accepted"):
            return self._accepted(command, world)
        if not self._paces.due(command, world):
            return command
        if command.kind in RATES:
            return effects.lowered(command, world)
        return effects.has_saved(command, world) if effects.is_saving(command) else effects.ended(command, world)

    def _accepted(self, command: Command, world: World) -> Command:
        """See how the program ended; of one that an earlier daemon has started that is not known."""
        backend, key, name = (
            effects.backend_of(world),
            _key(command, world),
            command.progress.get("program", "the program"),
        )
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
        self._noted.pop(key, None)
        if answer is None:
            running.kill()
            return _not_accepted(command, world, f"{name} took longer than {backend.timeout:g} s and was killed")
        if answer.status:
            return _not_accepted(command, world, f"{name} ended with status {answer.status}: {answer.said}")
        progress = {**command.progress, "accepted": True, "at": world.now}
        return to(command, "acknowledged", world, "", None, progress)


def _phase(command: Command, world: World) -> ActionKind:
    """Give for what a program is run now; what was noted stands, however `control:` was changed since."""
    if "trying" in command.progress:
        noted: ActionKind = command.progress["phase"]
        return noted
    return "checkpoint" if _saves(command, world) else command.kind


def _saves(command: Command, world: World) -> bool:
    """Tell whether the program for checkpoints is the one that runs now."""
    if command.kind == "checkpoint":
        return True
    is_over = "checkpoint" in command.progress or "lost" in command.progress
    wanted = command.kind == "stop" and command.args["save"] != "no"
    return wanted and bool(effects.backend_of(world).checkpoint) and not is_over


def _is_second(command: Command) -> bool:
    """Tell whether a stop has come to its second program, after it has waited for a checkpoint."""
    return command.kind == "stop" and "phase" in command.progress and "trying" not in command.progress


def _key(command: Command, world: World) -> tuple[str, int, float]:
    return str(world.output), command.id, command.created_at


def _runs_on(command: Command) -> bool:
    """Tell whether the program that an earlier daemon has started still runs."""
    process = processes.read(command.progress["pid"])
    return process is not None and process.alive and process.start == command.progress["start"]


def _not_accepted(command: Command, world: World, why: str) -> Command:
    if command.kind == "stop" and effects.is_saving(command) and command.args["save"] != "required":
        return to(command, "attempting", world, why, None, effects.then(command, lost=why))
    what = "; the run may still train" if command.kind == "stop" else ""
    return to(command, "failed", world, f"{why}{what}")


def _unseen(command: Command, world: World) -> Command:
    """Look only for what comes of a program that may have been run, and must not be run twice."""
    sent = "the daemon was restarted right when it ran the program, which is not run twice"
    noted = {"accepted": True, "perhaps": True, "at": world.now, "began": command.progress["trying"]}
    return to(command, "acknowledged", world, "", None, also_sent(command, sent, **noted))


def _had_ended(command: Command, world: World) -> Command:
    if command.kind != "stop":
        return to(command, "cancelled", world, OVER)
    noted = {"at": world.now, "began": world.now, "accepted": True}
    return to(command, "acknowledged", world, "", None, also_sent(command, "nothing was run, it had ended", **noted))


def _facts(command: Command, identity: CommandIdentity) -> dict[str, Any]:
    """Give what the program is told beside the run, as JSON."""
    pids = [member.pid for member in identity.members]
    names = (
        ()
        if effects.is_saving(command)
        else {"stop": ("grace", "kill"), "scale_lr": ("factor", "min"), "set_lr": ("to",)}[command.kind]
    )
    args = {name: command.args.get(name) for name in names}
    return {
        "action": command.progress["phase"],
        "reason": command.reason,
        "pids": pids,
        "launch": identity.launch,
        **args,
    }


def _confirm(stored: CommandIdentity, command: Command, world: World) -> CommandIdentity:
    """Find the run anew, right before something is done to it.

    Raises:
        NoProcessError: it has ended.
        ActError: it is another launch, or not to be told any more.

    """
    fresh = commanded.find(world.output, effects.backend_of(world), command.evidence_at)
    if fresh.launch != stored.launch or fresh.roots != stored.roots:
        raise ActError(f"the run was relaunched ({fresh.named}): an old decision does not stop a new launch")
    return fresh
