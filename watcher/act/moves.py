"""What all transitions of an action share: what they may look at, and the forms in which they end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from watcher.act.backend import Backend
from watcher.act.caller import Caller
from watcher.act.identity import Member
from watcher.act.kept import Checkpoint
from watcher.act.processes import Process
from watcher.act.programs import UnansweredError
from watcher.act.ties import Output
from watcher.errors import ActError
from watcher.nouns import ActionKind, ActionState, Command

SAVES = 1800.0
"""Seconds in which a checkpoint that is asked for has to be there."""
LOGS = 600.0
"""Seconds in which a trainer that logs its rate is waited for to log the new one."""
READ = 60.0
"""Seconds in which what a training has logged until its end is read."""
OVER = "the run had ended by itself before anything was done"


@dataclass(frozen=True, slots=True)
class World:
    """What a transition may look at."""

    output: Output
    backend: Backend
    """The one that the action goes through."""
    now: float
    ask: Caller
    backends: Sequence[Backend] = ()
    """All that the run has, in the order in which they are tried."""


class Frozen(Protocol):
    """Who a run was when an action was planned, as a way has identified it."""

    @property
    def named(self) -> str:
        """Name it for people, briefly."""

    @property
    def tie(self) -> str:
        """Say what ties it to the run."""

    @property
    def members(self) -> Sequence[Member]:
        """Give its processes, as far as they are seen from here."""

    def to_json(self) -> dict[str, Any]:
        """Give it for the store."""


class Way(Protocol):
    """How a family of backends acts on a run: whom it identifies, what it does, and when that is proved.

    One that can make a checkpoint makes it as part of a stop too, unless that is ordered with `save: no`; with `save:
    required` it never ends a run without one.
    """

    def can(self, backend: Any, kind: ActionKind) -> bool:
        """Tell whether it can do an action of this kind at all."""

    def find(
        self, output: Output, backend: Any, evidence_at: float, known: Mapping[int, Process] | None = None
    ) -> Frozen:
        """Identify a run, which must be older than its evidence; `known` are all processes, where they were just read.

        Raises:
            NoProcessError: nothing that runs is the run.
            ActError: it cannot be told, or must not be touched.

        """

    def deed(self, backend: Any, kind: ActionKind, args: Mapping[str, Any]) -> str:
        """Say what would be done to it."""

    def is_gone(self, command: Command, world: World) -> bool:
        """Tell whether the run that was identified has ended by itself."""

    def begin(self, command: Command, world: World, noted: Mapping[str, Any]) -> Command:
        """Look once more who it is, right before anything is done, and store that beside what is `noted`."""

    def attempt(self, command: Command, world: World) -> Command:
        """Do it; a daemon that ended in this very state may have done so already, and comes here again."""

    def verify(self, command: Command, world: World) -> Command:
        """Wait until it is proved, do more where that is allowed, or say that it failed."""


def to(
    command: Command,
    state: ActionState,
    world: World,
    proof: str = "",
    identity: Frozen | None = None,
    progress: Mapping[str, Any] | None = None,
) -> Command:
    """Give the command in its next state; identity and progress stay as they are where none is given."""
    return replace(
        command,
        state=state,
        changed_at=world.now,
        proof=proof,
        identity=command.identity if identity is None else identity.to_json(),
        progress=command.progress if progress is None else dict(progress),
    )


def vetoed(command: Command, world: World, why: str) -> Command:
    """Cancel; where only the folder is away, the decision may be taken again once it is back."""
    is_away = not world.output.folder.is_dir()
    progress = {**command.progress, "withdrawn": True} if is_away else command.progress
    return to(command, "cancelled", world, why, progress=progress)


def is_passing(error: ActError) -> bool:
    """Tell whether only a program does not answer just now: it may at the next pass."""
    return isinstance(error, UnansweredError) and not error.permanent


def refused(command: Command, world: World, error: ActError, what: str = "nothing was done") -> Command:
    """End a stop that is not certain enough.

    Raises:
        UnansweredError: that may pass.

    """
    if is_passing(error):
        raise error
    return to(command, "refused", world, f"{error}; {what}")


def proved(command: Command, world: World, gone: str, identity: Frozen) -> Command:
    """Say beside the proof which checkpoint survives, and what is lost."""
    left = world.ask.kept
    waited = f"There was {command.progress['lost']}. " if "lost" in command.progress else ""
    progress = {**command.progress, "kept": left.facts}
    proof = f"{gone}.{on_gpu(world, identity)}{tried(command)} {waited}{left.survives()}"
    return to(command, "verified", world, proof, identity, progress)


def saved(command: Command, world: World, new: Checkpoint, also: str) -> Command:
    """Say which checkpoint was made, and what is to be said `also`."""
    progress = {**command.progress, "kept": {"checkpoint": new[1], "checkpoint_step": new[0]}}
    return to(command, "verified", world, f"saved {new[1]} (step {new[0]}).{also}", None, progress)


def unproved(command: Command, world: World, why: str, **noted: Any) -> Command:
    """Fail, though it may have been done: a change of the rate is not tried otherwise then."""
    return to(command, "failed", world, why, None, {**command.progress, **noted, "perhaps": True})


def on_gpu(world: World, identity: Frozen) -> str:
    """Say, as a sentence, which processes that are gone still hold memory of a GPU: the driver may need a restart."""
    found = world.ask.on_gpu([member.pid for member in identity.members])
    listed = ", ".join(f"GPU {gpu} for process {pid}" for gpu, pid in found)
    return f" NVML still shows memory of {listed}." if found else ""


def tried(command: Command) -> str:
    """Say, as sentences, through which backends it was tried in vain before."""
    return "".join(f" Before that {name} had failed: {why}." for name, why in command.progress.get("tried", ()))


def also_sent(command: Command, sent: str, **noted: Any) -> dict[str, Any]:
    """Give the progress with one more thing that was done, and what is `noted` beside it."""
    return {**command.progress, "sent": [*command.progress.get("sent", ()), sent], **noted}


def perhaps_before(command: Command, world: World, what: str) -> str:
    """Say that a daemon which ended in this very state may have done it already; nothing where this is the first."""
    return "" if world.now == command.changed_at else f"; the daemon was restarted, {what} may have been sent before"


def escalates(command: Command, held: str | None) -> bool:
    """Tell whether the run may be killed now: only where that is allowed, once, and while nobody holds it."""
    return bool(command.args["kill"]) and not command.progress.get("killed") and not held


class Paces:
    """Lets what is asked of a shared server be asked every so many seconds per action; kept in memory alone."""

    def __init__(self, every: float) -> None:
        self._every = every
        self._asked: dict[tuple[str, int, float, str], float] = {}

    def due(self, command: Command, world: World) -> bool:
        """Tell whether it is time to ask, and note it; a new state is looked at at once."""
        key = (str(world.output), command.id, command.created_at, f"{command.state}{len(command.progress)}")
        asked = self._asked.get(key)
        if asked is not None and 0 <= world.now - asked < self._every:
            return False
        self._asked = {other: at for other, at in self._asked.items() if at > world.now - 600} | {key: world.now}
        return True
