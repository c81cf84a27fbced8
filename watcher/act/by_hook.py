"""Acting from inside of the training: by the hook of a launch under control, whose acknowledgements are the proof.

A command bears the action's own mark, so a daemon that was killed right after it had given it finds it again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from watcher.act import hooked
from watcher.act.backend import ExecBackend
from watcher.act.caller import veto
from watcher.act.hooked import Said
from watcher.act.identity import NoProcessError
from watcher.act.launched import LaunchIdentity, confirm, identify
from watcher.act.moves import (
    LOGS,
    OVER,
    READ,
    World,
    also_sent,
    on_gpu,
    perhaps_before,
    proved,
    refused,
    to,
    tried,
    unproved,
    vetoed,
)
from watcher.act.processes import Process
from watcher.act.ties import Output
from watcher.clock import clock, span
from watcher.control.lease import Lease
from watcher.control.lease import said as said_of
from watcher.errors import ActError
from watcher.nouns import RATES, ActionKind, Command

BEGINS = 1800.0
"""Seconds in which a training has to make a step, so that a command other than a stop is begun: it may validate."""
LONGEST = 7200.0
"""Seconds that what has begun may take: the slowest checkpoint."""
ANSWERS = 30.0
"""Seconds in which a hook has to answer that a command is taken back; it looks for commands twice a second."""


class ByHook:
    """The way of `exec`; of several programs that watch a run only the one with its lease acts."""

    def __init__(self) -> None:
        self._leases: dict[tuple[str, str | None], Lease] = {}

    def _taken(self, identity: LaunchIdentity, world: World) -> str:
        """Take the run's lease or renew it; says who has it instead, empty where it is ours."""
        state = str(world.backend.state) if isinstance(world.backend, ExecBackend) and world.backend.state else None
        key = (identity.control, state)
        try:
            other = self._leases.setdefault(key, Lease(identity.control, "watcher", state)).take()
        except FileNotFoundError:  # the control folder is gone, and with it everybody who could act by it
            return ""
        return said_of(other) if other else ""

    def can(self, backend: ExecBackend, kind: ActionKind) -> bool:  # noqa: ARG002 - as of every way
        """Tell whether it can do an action: all of them."""
        return True

    def find(
        self, output: Output, backend: ExecBackend, evidence_at: float, known: Mapping[int, Process] | None = None
    ) -> LaunchIdentity:
        """Find the launch of a run whose training steps under the hook."""
        return identify(output, backend, evidence_at, known)

    def deed(self, backend: ExecBackend, kind: ActionKind, args: Mapping[str, Any]) -> str:  # noqa: ARG002
        """Say what the hook is told."""
        return hooked.deed(kind, args)

    def is_gone(self, command: Command, world: World) -> bool:  # noqa: ARG002 - as of every way
        """Tell whether the training has ended."""
        return not LaunchIdentity.from_json(command.identity).has_trainer()

    def begin(self, command: Command, world: World, noted: Mapping[str, Any]) -> Command:
        """Look once more whether it is the same launch and training, and store that."""
        stored = LaunchIdentity.from_json(command.identity)
        try:
            identity = confirm(stored, world.output)
        except NoProcessError:
            return to(command, "cancelled", world, OVER)
        except ActError as error:
            return refused(command, world, error)
        if other := self._taken(identity, world):
            return to(command, "refused", world, f"{other}; nothing was done here")
        return to(command, "attempting", world, "", identity, {**command.progress, **noted})

    def attempt(self, command: Command, world: World) -> Command:
        """Give the command, unless it was given already by a daemon that ended in this very state."""
        identity = LaunchIdentity.from_json(command.identity)
        number = hooked.given(identity, command)
        if number is None:
            if held := veto(world.output, world.ask):
                return vetoed(command, world, held)
            try:
                confirm(identity, world.output)
            except ActError as error:
                return refused(command, world, error, f"nothing was done{perhaps_before(command, world, 'it')}")
            if other := self._taken(identity, world):
                return to(command, "refused", world, f"{other}; nothing was done here")
            number = hooked.give(identity, command, _patience(command))
        sent = f"command {number} ({hooked.named(command)}) to launch {identity.launch}"
        noted = {"order": number, "at": world.now, "began": world.now}
        return to(command, "acknowledged", world, "", None, also_sent(command, sent, **noted))

    def verify(self, command: Command, world: World) -> Command:
        """Read what the hook says, and see for oneself what can be seen."""
        identity = LaunchIdentity.from_json(command.identity)
        said = hooked.said(identity, command.progress["order"])
        self._taken(identity, world)
        if said.state == "applied":
            return _PROOFS[command.kind](command, world, identity, said)
        if not identity.has_trainer():
            return _without_trainer(command, world, identity, said)
        if "cancel" in command.progress:
            return _taken_back(command, world, identity, said)
        if hooked.is_at_least(command, said):
            return to(command, "cancelled", world, f"nothing is left to lower: {said.error}")
        if said.is_final:
            return to(command, "failed", world, f"the hook says that it is {said.state}: {said.error}{tried(command)}")
        return _in_time(command, world, identity, said)


def _patience(command: Command) -> float:
    return float(command.args["grace"]) if command.kind == "stop" else BEGINS


def _in_time(command: Command, world: World, identity: LaunchIdentity, said: Said) -> Command:
    """Wait for the hook; what it has not begun in time, or is held meanwhile, is taken back."""
    if said.is_begun:  # a checkpoint may take long, and what is half done is not left alone
        if world.now - command.progress["at"] > LONGEST:
            return unproved(command, world, f"begun, and not done by all ranks within {span(LONGEST)}")
        words = "it saves a checkpoint" if said.state == "saving" else "it is done, and watched for two further steps"
        return command if command.proof == words else replace(command, proof=words)
    held = veto(world.output, world.ask)
    if held is None and world.now - command.progress["at"] < _patience(command):
        until = clock(command.progress["at"] + _patience(command))
        words = f"the hook has {said.state or 'not seen'} it; it is done at the next optimizer step, until {until}"
        return command if command.proof == words else replace(command, proof=words)
    why = held or f"the training made no optimizer step within {span(_patience(command))}"
    number = hooked.take_back(identity, command)
    noted = {"cancel": number, "cancelled_at": world.now, "why": why, "held": held is not None}
    return to(command, "acknowledged", world, "it is taken back", None, also_sent(command, f"cancel {number}", **noted))


def _taken_back(command: Command, world: World, identity: LaunchIdentity, said: Said) -> Command:
    """Wait for the hook to say that it will not do it; only then may something else be tried."""
    why = command.progress["why"]
    if said.is_final:
        proof = f"{why}; the hook says that it is {said.state}"
        return vetoed(command, world, proof) if command.progress["held"] else to(command, "failed", world, proof)
    has_answered = hooked.said(identity, command.progress["cancel"]).is_final
    if has_answered or world.now - command.progress["cancelled_at"] < ANSWERS:
        return command  # an answer without an end of the other means that it has begun meanwhile
    return unproved(command, world, f"{why}, and the hook does not answer; it may still do it")


def _without_trainer(command: Command, world: World, identity: LaunchIdentity, said: Said) -> Command:
    """See what it means that the training has ended: a stop may be proved by it, for all else it is too late."""
    if command.kind == "stop":
        return _stopped(command, world, identity, said)
    proof = f"the training ended before it was done ({said.state or 'not seen'})"
    return to(command, "cancelled", world, proof)


def _stopped(command: Command, world: World, identity: LaunchIdentity, said: Said) -> Command:
    left = identity.left()
    if not left:
        return _all_gone(command, world, identity, said)
    since = command.progress.get("ended_at")
    if since is None:
        return replace(command, proof="it ends", progress={**command.progress, "ended_at": world.now})
    if world.now - since < command.args["grace"]:
        return command
    late = f"{span(command.args['grace'])} after the training had ended"
    fault = hooked.unfit_checkpoint(identity, world.output, command, said.checkpoint)
    return to(command, "failed", world, f"{left} {late}{_said_saved(said, fault)}")


def _all_gone(command: Command, world: World, identity: LaunchIdentity, said: Said) -> Command:
    """Say what has survived; a stop that must have a checkpoint has failed without a fit one."""
    seconds = world.now - command.progress["began"]
    fault = hooked.unfit_checkpoint(identity, world.output, command, said.checkpoint)
    how = f"{'; '.join(command.progress['sent'])}){_said_saved(said, fault)}"
    gone = f"all of launch {identity.launch} is gone after {seconds:.0f} s ({how}"
    if fault and command.args["save"] == "required":
        return to(command, "failed", world, f"{gone}; but a checkpoint was required, and none was saved")
    if fault:
        return proved(command, world, gone, identity)
    progress = {**command.progress, "kept": {"checkpoint": said.checkpoint}}
    return to(command, "verified", world, f"{gone}.{on_gpu(world, identity)}{tried(command)}", identity, progress)


def _said_saved(said: Said, fault: str) -> str:
    """Say which checkpoint the hook has named, and what is wrong with it, if anything is."""
    if not said.checkpoint:
        return ""
    return f"; its checkpoint {said.checkpoint} {fault or 'is whole'} ({said.details.get('note', '')})"


def _saved(command: Command, world: World, identity: LaunchIdentity, said: Said) -> Command:
    fault = hooked.unfit_checkpoint(identity, world.output, command, said.checkpoint)
    if fault:
        return to(command, "failed", world, f"the hook says that {said.checkpoint} is saved, but it {fault}")
    progress = {**command.progress, "kept": {"checkpoint": said.checkpoint}}
    proof = f"saved {said.checkpoint} after the hook's step {said.step}: {said.details.get('note', '')}"
    return to(command, "verified", world, f"{proof.rstrip(': ')}.{tried(command)}", identity, progress)


def _lowered(command: Command, world: World, identity: LaunchIdentity, said: Said) -> Command:
    if said.differs:
        return unproved(command, world, f"the ranks changed their rates differently: {said.differs}")
    seen = command.progress.get("applied_at", world.now)
    logged = hooked.logged(world.ask.rates(), said)
    if logged.waits and world.now - seen < (LOGS if identity.has_trainer() else READ):
        words = f"{hooked.went(said)}; the trainer has not logged it yet"
        progress = {**command.progress, "applied_at": seen}
        return command if command.proof == words else replace(command, proof=words, progress=progress)
    lowered = {"lr": hooked.facts(said, logged), "newest": world.ask.newest()}
    if logged.contradicts:
        return unproved(command, world, f"{hooked.went(said)}, but {logged.words}", **lowered)
    words = f"{hooked.went(said)}; {logged.words}.{tried(command)}"
    return to(command, "verified", world, words, identity, {**command.progress, **lowered})


_PROOFS: Mapping[ActionKind, Callable[[Command, World, LaunchIdentity, Said], Command]] = {
    "stop": _stopped,
    "checkpoint": _saved,
    **dict.fromkeys(RATES, _lowered),
}
