"""Following an order to its end in a terminal: what would be done, how far it is, and how it ended."""

from __future__ import annotations

import shlex
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from watcher import act
from watcher.act import ProcessBackend
from watcher.byhand.meant import Meant
from watcher.byhand.order import Order
from watcher.clock import span
from watcher.errors import ActError, StepError
from watcher.nouns import FINAL, ActionKind, Command

Say = Callable[[str], None]
LOOK = 0.5
"""Seconds between two looks."""
_WORDS = {
    "planned": "looking for it",
    "waiting": "images that are there already are judged first",
    "rechecked": "about to begin",
    "attempting": "about to tell it",
    "acknowledged": "it was told; waiting until that is proved",
}
_NOT = {
    "stop": "is not stopped",
    "checkpoint": "is not asked for a checkpoint",
    "scale_lr": "keeps its learning rate",
    "set_lr": "keeps its learning rate",
}


def preview(meant: Meant, kind: ActionKind, args: dict[str, Any], now: float) -> Iterator[str]:
    """Name what would be done to which processes, and of a stop what would be lost.

    Raises:
        StepError: it is held, or there is nothing to which it could be done for sure; says why.

    """
    name, release = meant.run.name, f"`watcher release {shlex.quote(meant.run.name)}`"
    if meant.found is None:
        raise StepError(f"{meant.output} is not there, or not configured any more", permanent=True)
    if held := meant.veto:
        raise StepError(f"{name} {_NOT[kind]}: {held}; {release} takes the veto back", permanent=True)
    try:
        choice = act.choose(meant.output, meant.backends, kind, now, args=args)
    except ActError as error:
        raise StepError(f"{name} {_NOT[kind]}: {error}", permanent=True) from error
    identity = choice.identity
    if meant.is_elsewhere:
        yield f"The watcher over {meant.state} acts for {name}: it is told, and this is how it goes on there."
    yield f"{name} ({meant.output}), {identity.tie}:"
    if not isinstance(choice.backend, ProcessBackend):
        yield f"  {identity.named}"
    yield from (f"  pid {member.pid}  {member.command}" for member in identity.members)
    if kind != "stop":
        yield f"{choice.deed(kind, args)}."
        return
    yield f"{choice.deed(kind, args)}. If it ended now, {meant.left.survives(would=True)}."
    if not choice.saves:
        yield from _waits(args)


def _waits(args: dict[str, Any]) -> Iterator[str]:
    if args["save"] == "no":
        return
    then = "it is stopped without one" if args["save"] == "wait" else "without one it is not stopped"
    yield f"Before that, its next checkpoint is waited for, up to {span(args['wait'])}; then {then}."


class Following:
    """Carries an order on, or watches the daemon do so, and says what is new."""

    def __init__(self, meant: Meant, order: Order, say: Say) -> None:
        self._meant = meant
        self._order = order
        self._say = say
        self._told: set[str] = set()
        self._interrupted = False

    def until_it_ends(self) -> Command:
        """Follow it to its end, or until Ctrl-C.

        Raises:
            KeyboardInterrupt: at Ctrl-C, once it is said what becomes of the order.

        """
        with self._held_back():
            while True:
                command = self._advance()
                self._tell(command)
                if command.state in FINAL:
                    return command
                if self._interrupted:
                    self._leave()
                time.sleep(LOOK)

    def _advance(self) -> Command:
        try:
            return self._order.advance(time.time())
        except (StepError, OSError) as error:
            self._tell_new(f"trying again: {error}")
            return self._order.command

    @contextmanager
    def _held_back(self) -> Iterator[None]:
        """Keep Ctrl-C from tearing a step: between a signal and the note of it, nothing may end."""

        def note(_number: int, _frame: FrameType | None) -> None:
            self._interrupted = True

        before = signal.signal(signal.SIGINT, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _leave(self) -> None:
        command = self._order.give_up(time.time())
        hold = f"`watcher hold {shlex.quote(self._meant.run.name)}`"
        if command.state in FINAL:
            self._say(f"{command.state}: {command.proof}")
        elif self._order.has_daemon:
            self._say(f"the daemon goes on with it ({command.state}); {hold} vetoes that until it is told")
        else:
            self._say("it was told already, which is not taken back; nobody looks any more whether it happens")
        raise KeyboardInterrupt

    def _tell(self, command: Command) -> None:
        if command.state == "saving":
            self._tell_new(f"saving: {command.proof.partition('. If it ended')[0]}")
            self._tell_new(f"saving: if it ended now, {self._meant.left.survives(would=True)}")
        else:
            self._tell_new(f"{command.state}: {command.proof or _WORDS[command.state]}")

    def _tell_new(self, text: str) -> None:
        if text not in self._told:
            self._say(text)
        self._told.add(text)
