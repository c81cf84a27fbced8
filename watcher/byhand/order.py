"""An action that a person orders: the same verified one as a rule's, carried on by the daemon or by this process.

Beside a daemon the order is a row in its store. Where none runs, the same row is carried on here, one step at a time
under the store's lock, so that a daemon that is started meanwhile simply takes over. Where there is no store, the
action lives in this process alone.
"""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from watcher import act
from watcher.byhand.meant import Meant
from watcher.byhand.veto import who
from watcher.config import find_config, load_config
from watcher.errors import ConfigError, StepError
from watcher.notify import Target
from watcher.nouns import FINAL, ActionKind, Command, Limits, Run
from watcher.record import actions, runs
from watcher.record.lock import LockedError, locked
from watcher.record.store import Store
from watcher.steps.acting import Acting
from watcher.steps.routing import Routes

NAME = "watcher stop, checkpoint or lr"


def _reason() -> str:
    return f"by hand by {who()} on {socket.gethostname()}"


def ordered(run: Run, kind: ActionKind, args: dict[str, Any], asked_at: float, now: float) -> Command:
    """Make the action that a person has ordered; what was started after they were asked is not meant."""
    return Command(
        id=0,
        run_id=run.id,
        rule="",
        kind=kind,
        args={**args, "delay": 0.0, "mode": "enforce", "severity": "info"},
        state="planned",
        reason=_reason(),
        evidence_at=asked_at,
        created_at=now,
        changed_at=now,
    )


class Order(ABC):
    """An order under way."""

    command: Command

    @property
    @abstractmethod
    def has_daemon(self) -> bool:
        """Whether a daemon carries it on without this process."""

    @abstractmethod
    def advance(self, now: float) -> Command:
        """Carry it on, or look how far the daemon has.

        Raises:
            StepError: it cannot be told or done just now; trying again may help.
            OSError: likewise.

        """

    @abstractmethod
    def give_up(self, now: float) -> Command:
        """Cancel it if nothing was signalled yet and no daemon carries it on; gives how it stands then."""


class PlainOrder(Order):
    """An action on a training that no daemon knows."""

    def __init__(self, meant: Meant, command: Command) -> None:
        self._meant = meant
        self.command = command

    @property
    def has_daemon(self) -> bool:
        """Whether a daemon carries it on: never."""
        return False

    def advance(self, now: float) -> Command:
        """Carry it on as far as it goes without waiting."""
        while self.command.state not in FINAL:
            before = self.command
            self.command = act.step(before, self._meant.output, self._meant.backends, now, self._meant.caller)
            if self.command == before:
                break
        return self.command

    def give_up(self, now: float) -> Command:
        """Cancel it if nothing was signalled yet."""
        if self.command.state not in FINAL and self.command.state != "acknowledged":
            self.command = _cancelled(self.command, "interrupted; nothing was signalled", now)
        return self.command


class StoredOrder(Order):
    """An action in the store of a daemon, whether that runs or not."""

    def __init__(self, meant: Meant, store: Store, state: Path, command: Command, config: Path | None) -> None:
        self.command = command
        self._store = store
        self._state = state
        self._acting = Acting(
            store,
            Routes(_targets(config)),
            backends=lambda _run: meant.backends,
            checkpoints=lambda _run: meant.caller.checkpoints(),
            limits=Limits(),
            forbidden=lambda _run, _rule, _kind: None,
        )

    @property
    def has_daemon(self) -> bool:
        """Whether a daemon runs over the store."""
        with _alone(self._state) as alone:
            return not alone

    def advance(self, now: float) -> Command:
        """Carry it on where no daemon does; gives how it stands in the store."""
        with _alone(self._state) as alone:
            if alone:
                self._acting.carry(self.command.id, now)
        return self._look()

    def give_up(self, now: float) -> Command:
        """Cancel it if nothing was signalled yet and no daemon runs."""
        with _alone(self._state) as alone:
            if alone:
                self._cancel("interrupted; nothing was signalled", now)
        return self._look()

    def _cancel(self, why: str, now: float) -> None:
        with self._store.change("give up order") as db:
            command = actions.get(db, self.command.id)
            if command.state not in FINAL and command.state != "acknowledged":
                actions.keep(db, _cancelled(command, why, now))
                runs.add_event(db, command.run_id, f"{command.kind} cancelled", why, now)

    def _look(self) -> Command:
        with self._store.read() as db:
            self.command = actions.get(db, self.command.id)
        return self.command


def place(
    meant: Meant, kind: ActionKind, args: dict[str, Any], asked_at: float, now: float, config: Path | None
) -> Order:
    """Order an action; a stop that is under way already is gone on with instead.

    What a rule has ordered and nothing was done of yet is superseded where no daemon runs that could carry it on, and
    by a stop also what anybody has ordered otherwise.

    Raises:
        StepError: something else is under way, after which it may be ordered.
        StoreError: the store cannot be written.

    """
    new = ordered(meant.run, kind, args, asked_at, now)
    if meant.store is None or meant.state is None:
        return PlainOrder(meant, new)
    with _alone(meant.state) as alone, meant.store.change("order") as db:
        for other in _unfinished(db, meant.run):
            if _gives_way(other, kind, alone=alone):
                actions.keep(db, _cancelled(other, f"superseded: {kind} {new.reason}", now))
        left = _unfinished(db, meant.run)
        command = next((one for one in left if one.kind == kind == "stop"), None)
        if left and kind != "stop":  # a stop waits for nothing
            raise StepError(_not_beside(meant.run, left[0]), permanent=True)
        if command is None:
            command = replace(new, id=actions.plan(db, new, None))
            runs.add_event(db, meant.run.id, f"{kind} ordered", new.reason, now)
    return StoredOrder(meant, meant.store, meant.state, command, config)


def _gives_way(other: Command, kind: ActionKind, *, alone: bool) -> bool:
    """Tell whether something that is under way, and of which nothing was done yet, gives way to a person's order."""
    if other.state not in ("planned", "waiting", "rechecked", "saving"):
        return alone and not other.by_hand and other.kind == "stop" and other.state == "attempting"
    if other.kind != kind:
        return kind == "stop"
    return alone and not other.by_hand


def _not_beside(run: Run, other: Command) -> str:
    state = f" ({other.state}: {other.proof})" if other.proof else f" ({other.state})"
    ends = f"`watcher show {run.id}` tells how it ends"
    return f"{run.name}: {other.kind} is under way{state}, because of: {other.reason}; {ends}"


def under_way(meant: Meant) -> Command | None:
    """Give the stop of a run that would be gone on with, if there is one."""
    if meant.store is None or meant.state is None:
        return None
    with _alone(meant.state) as alone, meant.store.read() as db:
        command = next((one for one in _unfinished(db, meant.run) if one.kind == "stop"), None)
    is_mine = command is not None and (command.by_hand or command.state == "acknowledged")
    return command if is_mine or not alone else None


def daemon_runs(meant: Meant) -> bool:
    """Tell whether a daemon runs that knows the run."""
    if meant.store is None or meant.state is None:
        return False
    with _alone(meant.state) as alone:
        return not alone


@contextmanager
def _alone(state: Path) -> Iterator[bool]:
    """Hold the store's lock if no daemon does; gives whether that is so."""
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(state, NAME))
        except LockedError:
            yield False
        else:
            yield True


def _unfinished(db: Connection, run: Run) -> list[Command]:
    return [one for one in actions.unfinished(db) if one.run_id == run.id]


def _cancelled(command: Command, why: str, now: float) -> Command:
    return replace(command, state="cancelled", proof=why, changed_at=now)


def _targets(config: Path | None) -> Sequence[Target]:
    """Give who is told of the outcome once a daemon runs again; nobody where the configuration cannot be used."""
    try:
        return load_config(config.expanduser() if config else find_config()).notify
    except ConfigError:
        return ()
